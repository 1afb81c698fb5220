"""Limits of a model with who signed them: a limit is an entry, older than the data it judges.

Read from the model's limits where the API lists them, else from the report that names their leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards.words import figure, sentence, standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.correctness import Estimate, Evaluated

ACTIONS: Final = {
    "alert": "people are told",
    "shadow": "the model answers nobody, and still computes",
    "blocked": "the model answers nobody",
}
SIDES: Final = {"max": "at most", "min": "at least"}


@dataclass(frozen=True, slots=True)
class Limit:
    """One signed limit, with its sign-off as far as it was served."""

    leaf: Any
    metric: str
    title: str
    terms: tuple[tuple[str, str], ...]
    said: str  # the limit in words
    signed_by: str
    second_person: str
    signed_at: str
    reason: str
    replaces: Any
    replaced_at: Any
    standing: str

    @property
    def state(self) -> str:
        """How the mark of its figure is drawn."""
        return standing(self.standing)[0] if self.standing else "unstruck"

    @property
    def word(self) -> str:
        """Where its figure stands, in the report."""
        return standing(self.standing)[1] if self.standing else "Not in the report"


def lay_out(body: Mapping[str, Any] | None, found: Evaluated | None) -> list[Limit]:
    """Every limit of the model, the newest first."""
    judged = {e.limit_leaf: e for e in found.estimates if e.limit is not None} if found else {}
    items = (body or {}).get("policies")
    if items:
        titles = {e.metric: e for e in found.estimates} if found else {}
        found_limits = [
            signed(item, judged.get(item.get("leaf_index")), titles.get(str(item.get("metric"))))
            for item in items
        ]
    else:
        found_limits = [_reported(e) for e in judged.values()]
    return sorted(found_limits, key=lambda limit: -int(limit.leaf or 0))


def signed(
    item: Mapping[str, Any], estimate: Estimate | None = None, named: Estimate | None = None
) -> Limit:
    """A limit as served; `estimate` is the figure it judges, `named` one of the same metric."""
    named = estimate or named
    metric = str(item.get("metric") or "")
    terms = [
        ("Tolerance", item.get("tolerance")),
        ("Window", item.get("window")),
        ("Least labels", item.get("minimum_labels")),
        ("Detector", item.get("detector")),
        ("Observations to a false alarm, at least", item.get("run_length")),
        ("When crossed", ACTIONS.get(str(item.get("on_alarm")), item.get("on_alarm"))),
    ]
    return Limit(
        leaf=item.get("leaf_index"),
        metric=metric,
        title=named.title if named else sentence(metric),
        terms=tuple((word, str(value)) for word, value in terms if value not in (None, "")),
        said=_said(item.get("limit"), item.get("side"), named.unit if named else ""),
        signed_by=str(item.get("signed_by") or ""),
        second_person=str(item.get("second_person") or ""),
        signed_at=str(item.get("signed_at") or ""),
        reason=str(item.get("reason") or ""),
        replaces=item.get("replaces"),
        replaced_at=item.get("replaced_at"),
        standing=estimate.standing if estimate else "",
    )


def _reported(estimate: Estimate) -> Limit:
    return Limit(
        leaf=estimate.limit_leaf,
        metric=estimate.metric,
        title=estimate.title,
        terms=tuple((word, str(value)) for word, value in estimate.limit_terms),
        said=_said(estimate.limit, estimate.limit_side, estimate.unit),
        signed_by="",
        second_person="",
        signed_at="",
        reason="",
        replaces=None,
        replaced_at=None,
        standing=estimate.standing,
    )


def _said(limit: object, side: object, unit: str) -> str:
    return f"{SIDES.get(str(side), '')} {figure(limit, unit)}".strip()
