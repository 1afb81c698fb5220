"""What raises an alarm, how red it is, and where it stands after what people did about it.

Pure: a correctness report goes in, crossings come out; whoever calls records them, tells people and
halts models. One alarm per limit stands open at a time, so a limit that stays crossed is told once.

An alarm is `red` when its limit says that the model must not go on answering (`shadow`, `blocked`),
else `amber`. It is `open` until a named person acknowledges it and ends when one closes it; a
comment changes nothing. A closed alarm's detector starts again after the leaf that closed it, so
the same outcomes never raise a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from monitoring.judging import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALERT: Final = "alert"
HALTING: Final = frozenset({"shadow", "blocked"})
ACTIONS: Final = (ALERT, *sorted(HALTING))


class AlarmState(StrEnum):
    """Where an alarm stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A limit that a report says was crossed, with the evidence. Leaves are those of outcomes."""

    model_digest: str
    model_name: str
    limit_leaf: int
    metric: str
    detector: str
    guarantee: str | None
    detail: str
    since: str | None  # when the first outcome of the evidence was observed
    first_leaf: int | None
    last_leaf: int | None
    count: int
    evidence: Mapping[str, Any]  # all the report says of it, for who wants to recompute


def crossings(report: Mapping[str, Any]) -> list[Crossing]:
    """Every alarm of a report (`CorrectnessReport.to_json`), in its order."""
    return [
        _crossing(model, estimate)
        for model in report["evaluated_models"]
        for estimate in model["estimates"]
        if estimate["standing"] == Standing.ALARM and estimate["limit_leaf"] is not None
    ]


def _crossing(model: Mapping[str, Any], estimate: Mapping[str, Any]) -> Crossing:
    found = (estimate["evidence"] or {}).get("alarm") or {}
    carried = found.get("carried_by") or {}
    shown = {name: value for name, value in estimate.items() if name != "history"}
    return Crossing(
        model_digest=model["model_digest"],
        model_name=model["model_name"],
        limit_leaf=estimate["limit_leaf"],
        metric=estimate["metric"],
        detector=estimate["detector"],
        guarantee=estimate["guarantee"],
        detail=estimate["reason"],
        since=carried.get("since"),
        first_leaf=carried.get("first_outcome_leaf"),
        last_leaf=carried.get("last_outcome_leaf"),
        count=carried.get("outcomes", 0),
        evidence={"estimate": shown, "window": model["window"]},
    )


def severity(action: str) -> str:
    """How red an alarm of a limit with this `on_alarm` is."""
    return "red" if action in HALTING else "amber"


def state_after(acts: Iterable[str]) -> AlarmState:
    """Where an alarm stands after the entries about it, by type; nothing reopens a closed one."""
    seen = set(acts)
    if "alarm.closed" in seen:
        return AlarmState.CLOSED
    return AlarmState.ACKNOWLEDGED if "alarm.acknowledged" in seen else AlarmState.OPEN
