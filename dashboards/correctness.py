"""The correctness report as its card and panels need it. Knows nothing of the honesty report.

Every figure arrives as decimal text with its interval and counts, and is printed as it came. A
missing part of a report becomes None here and a dash on the page, never a zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dashboards.words import standing, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORST_FIRST: Final = ("alarm", "not_yet_judgeable", "exploratory", "no_alarm")
_TERMS: Final = (
    ("limit_tolerance", "Tolerance"),
    ("detector", "Detector"),
    ("guarantee", "Guarantee"),
    ("limit_replaced_at", "Replaced at leaf"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One window of a metric's history."""

    window: str
    value: Any
    low: Any
    high: Any
    n: Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with interval, count, limit and history."""

    metric: str
    title: str
    meaning: str
    value: Any
    low: Any
    high: Any
    interval: str
    n: Any
    unit: str
    limit: Any
    limit_leaf: Any
    limit_side: str
    standing: str
    reason: str
    limit_terms: tuple[tuple[str, Any], ...]
    history: tuple[Point, ...]

    @property
    def state(self) -> str:
        """How the mark is drawn."""
        return standing(self.standing)[0]

    @property
    def word(self) -> str:
        """What the standing is called."""
        return standing(self.standing)[1]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model as evaluated."""

    digest: str
    name: str
    kind: str
    standing: str
    reason: str
    maturity: Mapping[str, Any]
    estimates: tuple[Estimate, ...]
    tables: tuple[Mapping[str, Any], ...]
    window: Mapping[str, Any]
    caveats: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """How the mark is drawn."""
        return standing(self.standing)[0]

    @property
    def word(self) -> str:
        """What the standing is called."""
        return standing(self.standing)[1]

    @property
    def headline(self) -> Estimate | None:
        """The estimate the overview shows: a crossed limit first, then one with a limit."""
        ranked = sorted(
            self.estimates,
            key=lambda e: (e.standing != "alarm", e.limit is None, not e.history),
        )
        return ranked[0] if ranked else None


@dataclass(frozen=True, slots=True)
class CorrectnessView:
    """The report, with the entry it is recorded at."""

    leaf: int
    issued_at: str
    silent_on: tuple[str, ...]
    models: tuple[Evaluated, ...]
    libraries: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tally(self) -> list[tuple[str, str, int]]:
        """State, word and number of models of each standing, the worst first."""
        counts = [(name, sum(m.standing == name for m in self.models)) for name in WORST_FIRST]
        return [(*standing(name), n) for name, n in counts if n]

    @property
    def state(self) -> str:
        """The card's mark: cancelled by any alarm, struck only if no model is undecided."""
        found = {m.state for m in self.models}
        if "cancelled" in found:
            return "cancelled"
        return "struck" if found == {"struck"} else "unstruck"

    @property
    def word(self) -> str:
        """The card's word."""
        alarms = sum(m.standing == "alarm" for m in self.models)
        if alarms:
            return f"Alarm for {alarms} of {len(self.models)}"
        return {"struck": "No alarm", "unstruck": "Not yet judgeable"}[self.state]

    @property
    def titles(self) -> dict[str, str]:
        """What each metric of the report is called."""
        return {e.metric: e.title for m in self.models for e in m.estimates}

    def of(self, digests: Sequence[str]) -> Evaluated | None:
        """What was evaluated of the first of these digests that the report knows."""
        found = {m.digest: m for m in self.models}
        return next((found[d] for d in digests if d in found), None)


def read_report(answer: Mapping[str, Any]) -> CorrectnessView:
    """The view of what GET /v1/reports/correctness answers."""
    report = answer["report"]
    return CorrectnessView(
        leaf=answer["leaf_index"],
        issued_at=answer["issued_at"],
        silent_on=texts(report.get("does_not_say")),
        models=tuple(_model(item) for item in report.get("evaluated_models") or ()),
        libraries=report.get("libraries") or {},
    )


def _model(item: Mapping[str, Any]) -> Evaluated:
    estimates = tuple(_estimate(e) for e in item.get("estimates") or ())
    return Evaluated(
        digest=item["model_digest"],
        name=item.get("model_name") or "",
        kind=item.get("kind") or "",
        standing=item.get("standing") or "not_yet_judgeable",
        reason=_in_words(item.get("standing_reason") or "", estimates),
        maturity=item.get("label_maturity") or {},
        estimates=estimates,
        tables=tuple(item.get("tables") or ()),
        window=item.get("window") or {},
        caveats=texts(item.get("caveats")),
    )


def _in_words(reason: str, estimates: Sequence[Estimate]) -> str:
    """The reason with each metric's title in place of its name."""
    titles = {e.metric: e.title for e in estimates}
    return re.sub(r"[a-z0-9_]+", lambda m: titles.get(m[0], m[0]), reason)


def _estimate(item: Mapping[str, Any]) -> Estimate:
    return Estimate(
        metric=item["metric"],
        title=item.get("title") or item["metric"],
        meaning=item.get("meaning") or "",
        value=item.get("value"),
        low=item.get("low"),
        high=item.get("high"),
        interval=item.get("interval") or "",
        n=item.get("n"),
        unit=item.get("unit") or "",
        limit=item.get("limit"),
        limit_leaf=item.get("limit_leaf"),
        limit_side=item.get("limit_side") or "",
        standing=item.get("standing") or "not_yet_judgeable",
        reason=item.get("reason") or "",
        limit_terms=tuple((word, item[key]) for key, word in _TERMS if item.get(key) is not None),
        history=tuple(
            Point(str(p.get("window", "")), p.get("value"), p.get("low"), p.get("high"), p.get("n"))
            for p in item.get("history") or ()
        ),
    )
