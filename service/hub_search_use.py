"""Use of each model as the newest correctness report shows it. Reads no proof and no verdict.

"Proved" means that predictions and labels stand in the log; the figures are the report's own, with
their intervals, and are never set against figures of another metric.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.record import parse_entry
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.assembly import Assembly
    from service.register import Line

WORDS: Final = {
    "alarm": "a signed limit was crossed",
    "no_alarm": "no signed limit crossed",
    "exploratory": "no signed limit",
    "not_yet_judgeable": "not yet judgeable",
}
NOT_EVALUATED: Final = "not evaluated"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure with its interval, as decimal text."""

    name: str
    title: str
    value: str
    low: str | None
    high: str | None
    interval: str
    n: int
    better: str  # "higher" or "lower"

    @property
    def cautious(self) -> float:
        """The end of the interval that says least for the model; larger is better."""
        if self.better == "higher":
            return float(self.low or self.value)
        return -float(self.high or self.value)


@dataclass(frozen=True, slots=True)
class Use:
    """One model's use. `leaf` is the report's entry."""

    leaf: int
    standing: str
    predictions: int
    matured: int
    labelled: int
    metric: Metric | None

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return asdict(self)


def proved_use(house: Assembly) -> dict[str, Use]:
    """Model name -> its use; empty when there is no report, or its bytes are gone."""
    for stored in house.ledger.entries(type="report", ref="correctness", newest=True, limit=1):
        digest = parse_entry(stored.entry).body["data"]["report_digest"]
        try:
            report = json.loads(house.blobs.get(digest))
        except ModelError:
            return {}
        return {
            model["model_name"]: _use(model, stored.index) for model in report["evaluated_models"]
        }
    return {}


def correctness_facet(use: Mapping[str, Use], lines: Iterable[Line]) -> dict[str, str]:
    """Model name -> its standing against signed limits."""
    return {
        line.name: WORDS.get(use[line.name].standing, NOT_EVALUATED)
        if line.name in use
        else NOT_EVALUATED
        for line in lines
    }


def _use(model: Mapping[str, Any], leaf: int) -> Use:
    counts = model.get("label_maturity") or {}
    return Use(
        leaf=leaf,
        standing=str(model.get("standing", "")),
        predictions=int(counts.get("predictions") or 0),
        matured=int(counts.get("matured") or 0),
        labelled=int(counts.get("labelled") or 0),
        metric=_headline(model.get("estimates") or []),
    )


def _headline(estimates: list[Mapping[str, Any]]) -> Metric | None:
    """The figure with a signed limit, else the first with an interval."""
    usable = [e for e in estimates if e.get("value") is not None]
    ranked = sorted(usable, key=lambda e: (e.get("limit") is None, e.get("low") is None))
    if not ranked:
        return None
    best = ranked[0]
    return Metric(
        name=str(best["metric"]),
        title=str(best.get("title") or best["metric"]),
        value=str(best["value"]),
        low=None if best.get("low") is None else str(best["low"]),
        high=None if best.get("high") is None else str(best["high"]),
        interval=str(best.get("interval") or ""),
        n=int(best.get("n") or 0),
        better="lower" if best.get("limit_side") == "max" else "higher",
    )
