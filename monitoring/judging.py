"""A figure against a limit signed before the data it judges.

`standing` says how far one may read it:

- `alarm`: a limit was crossed in a closed window. It stays, whatever later windows show, until a
  person closes it; from there on only outcomes of later leaves count.
- `no_alarm`: no closed window crossed the limit. That is not evidence of accuracy.
- `not_yet_judgeable`: too few matured labels, too few labelled, or a limit nobody can apply.
- `exploratory`: computed, but no limit was signed, or it was signed after the forecasts.

A limit judges forecasts recorded after it and, once a newer limit of the same metric, side, window
and detector is signed, only those before the newer one; so signing anew neither repairs the past
nor hides it. A threshold looked at again and again is crossed by chance in the end: `guarantee`
says that it promises no run length. `e-sr` does promise one (`sequential.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitoring.detectors import DETECTORS
from monitoring.metrics import R, decimal_text, optional_text
from monitoring.terms import Terms, read_terms
from monitoring.windows import blocks, trailing, window_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from monitoring.metrics import Metric
    from monitoring.performance import Measured
    from monitoring.rows import Rows
    from monitoring.sequential import Watched
    from monitoring.source import Limit

__all__ = ["DETECTORS", "InForce", "Ruling", "Standing", "estimate", "in_force", "unknown_metric"]
NO_GUARANTEE = "none: a threshold looked at repeatedly is crossed by chance in the end"


class Standing(StrEnum):
    """How far a figure may be read."""

    ALARM = "alarm"
    NO_ALARM = "no_alarm"
    NOT_YET_JUDGEABLE = "not_yet_judgeable"
    EXPLORATORY = "exploratory"


@dataclass(frozen=True, slots=True)
class InForce:
    """A limit and the leaf that replaced it, if one did."""

    limit: Limit
    replaced_at: int | None
    restarted_at: int = -1  # where its last alarm was closed: outcomes up to there are done with

    def judges(self, leaf_index: int) -> bool:
        """Whether a forecast at that leaf falls under this limit."""
        if leaf_index <= self.limit.leaf_index:
            return False
        return self.replaced_at is None or leaf_index < self.replaced_at


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a limit says of some rows."""

    standing: Standing
    reason: str
    measured: Measured | None
    crossing: Mapping[str, Any] | None = None  # the window in which the limit was first crossed


def in_force(
    limits: Iterable[Limit], closings: Mapping[int, Sequence[int]] | None = None
) -> list[InForce]:
    """Each limit with its successor of the same metric, side, window and detector.

    `closings` are the leaves, by limit, at which its alarms were closed.
    """
    closed = closings or {}
    ordered = sorted(limits, key=lambda limit: limit.leaf_index)
    found = []
    for place, limit in enumerate(ordered):
        later = (n.leaf_index for n in ordered[place + 1 :] if _terms_key(n) == _terms_key(limit))
        restarted = max(closed.get(limit.leaf_index, ()), default=-1)
        found.append(InForce(limit, next(later, None), restarted))
    return found


def estimate(
    metric: Metric[R],
    rows: Rows[R],
    held: InForce | None,
    *,
    coverage: str | None,
    watched: Watched | str | None = None,
) -> dict[str, Any]:
    """One metric over a model's rows, judged by one limit (or none), as the report shows it.

    `coverage` says why labels are too few to judge by, or is None. `watched` is what an e-detector
    makes of the limit, or why there is none; None for the other detectors.
    """
    ruling = _rule(metric, rows, held, coverage, watched)
    seen = None if isinstance(watched, str) else watched
    limit = held.limit if held else None
    shown = ruling.measured
    return {
        "metric": metric.name,
        "title": metric.title,
        "meaning": metric.meaning,
        "value": optional_text(shown.value, metric.digits) if shown else None,
        "low": optional_text(shown.low) if shown else None,
        "high": optional_text(shown.high) if shown else None,
        "interval": metric.interval,
        "n": shown.n if shown else len(rows),
        "unit": metric.unit,
        "limit": limit.limit if limit else None,
        "limit_leaf": limit.leaf_index if limit else None,
        "limit_side": limit.side if limit else None,
        "limit_tolerance": limit.tolerance if limit else None,
        "limit_replaced_at": held.replaced_at if held else None,
        "detector": limit.detector if limit else None,
        "guarantee": None if limit is None else seen.guarantee if seen else NO_GUARANTEE,
        "evidence": seen.to_json() if seen else _crossed(ruling),
        "standing": ruling.standing.value,
        "reason": ruling.reason,
        "history": history(metric, rows),
    }


def unknown_metric(held: InForce, kind: str) -> dict[str, Any]:
    """Show a signed limit on a metric this kind of model does not have; it is never dropped."""
    limit = held.limit
    return {
        "metric": limit.metric,
        "title": limit.metric,
        "meaning": "A limit was signed for this name.",
        "value": None,
        "low": None,
        "high": None,
        "interval": "",
        "n": 0,
        "unit": "",
        "limit": limit.limit,
        "limit_leaf": limit.leaf_index,
        "limit_side": limit.side,
        "limit_tolerance": limit.tolerance,
        "limit_replaced_at": held.replaced_at,
        "detector": limit.detector,
        "guarantee": NO_GUARANTEE,
        "evidence": None,
        "standing": Standing.NOT_YET_JUDGEABLE.value,
        "reason": f"a model of kind {kind} has no metric of this name",
        "history": [],
    }


def history(metric: Metric[R], rows: Rows[R]) -> list[dict[str, Any]]:
    """Compute the metric over closed windows, oldest first; windows too thin are left out."""
    found: list[dict[str, Any]] = []
    for window in trailing(rows, metric.history_size, metric.history_step):
        measured = metric.measure(window)
        if isinstance(measured, str):
            continue
        found.append(
            {
                "window": window_label(window),
                "value": decimal_text(measured.value, metric.digits),
                "low": optional_text(measured.low),
                "high": optional_text(measured.high),
                "n": measured.n,
            }
        )
    return found


def _rule(
    metric: Metric[R],
    rows: Rows[R],
    held: InForce | None,
    coverage: str | None,
    watched: Watched | str | None,
) -> Ruling:
    if held is None:
        return _explore(metric, rows, "no limit was signed for this metric")
    limit = held.limit
    judged = rows.between(limit.leaf_index, held.replaced_at)
    if len(rows) and not len(judged):
        reason = f"the limit at leaf {limit.leaf_index} judges none of these forecasts"
        return _explore(metric, rows, reason)
    measured = metric.measure(judged)
    terms = read_terms(limit)
    if isinstance(watched, str):
        terms = watched
    elif watched is not None:
        return _rule_watched(watched, measured, limit, coverage)
    why_not = _why_not(measured, terms, len(judged), limit, coverage)
    if isinstance(terms, str) or why_not is not None:
        shown = None if isinstance(measured, str) else measured
        return Ruling(Standing.NOT_YET_JUDGEABLE, why_not or str(terms), shown)
    open_rows = judged.heard_after(held.restarted_at)
    if len(judged) and not len(open_rows):
        reason = f"no outcome since its alarm was closed at leaf {held.restarted_at}"
        return Ruling(Standing.NOT_YET_JUDGEABLE, reason, None)
    return _scan(metric, open_rows, limit, terms)


def _crossed(ruling: Ruling) -> dict[str, Any] | None:
    return None if ruling.crossing is None else {"alarm": dict(ruling.crossing)}


def _rule_watched(
    watched: Watched, measured: Measured | str, limit: Limit, coverage: str | None
) -> Ruling:
    """By its evidence; the figure is shown beside it. An alarm outlasts a lack of labels."""
    shown = None if isinstance(measured, str) else measured
    read = watched.progress.state.count
    if read < limit.minimum_labels:
        reason = f"{read} matured labels read; the limit asks for {limit.minimum_labels}"
        return Ruling(Standing.NOT_YET_JUDGEABLE, reason, shown)
    if watched.alarm is not None:
        return Ruling(Standing.ALARM, watched.reason(), shown)
    if coverage is not None:
        return Ruling(Standing.NOT_YET_JUDGEABLE, coverage, shown)
    if not read:
        return Ruling(Standing.NOT_YET_JUDGEABLE, "no matured label was read yet", shown)
    return Ruling(Standing.NO_ALARM, watched.reason(), shown)


def _why_not(
    measured: Measured | str, terms: Terms | str, labels: int, limit: Limit, coverage: str | None
) -> str | None:
    if isinstance(terms, str):
        return terms
    if labels < limit.minimum_labels:
        return f"{labels} matured labels; the limit asks for {limit.minimum_labels}"
    return measured if isinstance(measured, str) else coverage


def _explore(metric: Metric[R], rows: Rows[R], reason: str) -> Ruling:
    measured = metric.measure(rows)
    if isinstance(measured, str):
        return Ruling(Standing.NOT_YET_JUDGEABLE, measured, None)
    return Ruling(Standing.EXPLORATORY, reason, measured)


def _scan(metric: Metric[R], judged: Rows[R], limit: Limit, terms: Terms) -> Ruling:
    newest: Rows[R] | None = None
    first: str | None = None
    crossing: dict[str, Any] | None = None
    for window in _windows(metric, judged, terms):
        newest = window
        if first is None:
            reached = _reading(metric, window, limit)
            if reached is not None and _beyond(reached, limit.side, terms.bound):
                at = window.prediction_id(-1)
                first = f"first crossed at prediction {at} with {reached}"
                crossing = _crossing(window)
    if newest is None:
        reason = f"{len(judged)} labelled forecasts; a closed window holds {terms.size}"
        return Ruling(Standing.NOT_YET_JUDGEABLE, reason, None)
    measured = metric.measure(newest)
    if isinstance(measured, str) and first is None:
        return Ruling(Standing.NOT_YET_JUDGEABLE, measured, None)
    shown = None if isinstance(measured, str) else measured
    now = optional_text(shown.value, metric.digits) if shown else "nothing to measure"
    side = "above" if limit.side == "max" else "below"
    if first is None:
        return Ruling(Standing.NO_ALARM, f"{now} has not gone {side} {limit.limit}", shown)
    reason = f"{side} the limit {limit.limit}: {first}; now {now}"
    return Ruling(Standing.ALARM, reason, shown, crossing)


def _crossing(window: Rows[R]) -> dict[str, Any]:
    """Say which outcomes a window holds, as the e-detectors say it."""
    leaves = window.labelled.outcome_leaf
    return {
        "prediction": window.prediction_id(-1),
        "outcomes_read": len(window),
        "carried_by": {
            "since_prediction": window.prediction_id(0),
            "since": window.labelled[0].outcome.observed_at,
            "outcomes": len(window),
            "first_outcome_leaf": int(leaves.min()),
            "last_outcome_leaf": int(leaves.max()),
        },
    }


def _windows(metric: Metric[R], judged: Rows[R], terms: Terms) -> Iterator[Rows[R]]:
    if metric.rolling is not None:
        return trailing(judged, metric.rolling, 1)
    if terms.size is not None:
        return blocks(judged, terms.size)
    return iter([judged])


def _reading(metric: Metric[R], window: Rows[R], limit: Limit) -> Decimal | None:
    """Return what the bound is compared with: the figure, or the interval's nearer end."""
    if limit.detector == "threshold" and metric.quick is not None:
        return Decimal(decimal_text(metric.quick(window), metric.digits))
    measured = metric.measure(window)
    if isinstance(measured, str):
        return None
    if limit.detector == "threshold":
        return Decimal(decimal_text(measured.value, metric.digits))
    end = measured.low if limit.side == "max" else measured.high
    return None if end is None else Decimal(decimal_text(end))


def _beyond(reached: Decimal, side: str, bound: Decimal) -> bool:
    return reached > bound if side == "max" else reached < bound


def _terms_key(limit: Limit) -> tuple[str, str, str, str]:
    name = limit.detector.partition(" ")[0]  # other parameters of a detector replace it too
    return limit.metric, limit.side, limit.window, name
