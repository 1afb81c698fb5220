"""Metrics of a trading signal: long or flat against the return of the next day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring import performance, watches
from monitoring.metrics import Kind, Metric, Table, decimal_text
from monitoring.performance import COST_PCT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.outcomes import Joined, Labelled
    from monitoring.performance import Measured

MINIMUM = 30  # labels below which a share or a mean says too little to print an interval
QUARTER = 63  # trading days in a block of the history
POSITIONS = {"long": 1, "flat": 0, "short": -1}


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One day: the position taken and the return in percent."""

    source: Labelled
    position: int
    return_pct: float
    hit: bool


def read(pair: Labelled) -> SignalRow | None:
    """None when the decision is no position. Flat is right when the market did not rise."""
    position = POSITIONS.get(pair.prediction.decision)
    if position is None:
        return None
    right = pair.value * position > 0 if position else pair.value <= 0
    return SignalRow(pair, position, float(pair.value), right)


def _hit(row: SignalRow) -> bool:
    return row.hit


def _hit_rate(rows: Sequence[SignalRow]) -> Measured | str:
    if len(rows) < MINIMUM:
        return f"{len(rows)} days with an outcome; needs {MINIMUM}"
    return performance.share(sum(row.hit for row in rows), len(rows))


def _profit(rows: Sequence[SignalRow]) -> Measured | str:
    if len(rows) < MINIMUM:
        return f"{len(rows)} days with an outcome; needs {MINIMUM}"
    return performance.related_mean(_earned(rows))


def _turnover(rows: Sequence[SignalRow]) -> Measured | str:
    if len(rows) < MINIMUM:
        return f"{len(rows)} days with an outcome; needs {MINIMUM}"
    return performance.related_mean([float(t) for t in _traded(rows)])


def _earned(rows: Sequence[SignalRow]) -> list[float]:
    return performance.pnl_after_cost([r.position for r in rows], [r.return_pct for r in rows])


def _traded(rows: Sequence[SignalRow]) -> list[int]:
    return performance.turnover([row.position for row in rows])


_COST = f"{COST_PCT:g}% of the value traded"

METRICS = (
    Metric(
        name="hit_rate",
        title="Hit rate",
        meaning="The share of days called right: long and the market rose, or flat and it did not. "
        "Compare it with the share of days that rose, in the table.",
        unit="share",
        interval="95%, Wilson",
        measure=_hit_rate,
        history_size=QUARTER,
        history_step=QUARTER,
        watch=watches.share("hit_rate", _hit, run_length=watches.DAYS_RUN_LENGTH),
    ),
    Metric(
        name="pnl_after_cost_pct",
        title="P&L after cost, per day",
        meaning=f"The mean daily return of the positions taken, less an assumed cost of {_COST}.",
        unit="percent a day",
        interval="95%, Newey-West",
        measure=_profit,
        history_size=QUARTER,
        history_step=QUARTER,
    ),
    Metric(
        name="turnover",
        title="Turnover, per day",
        meaning="Units of position traded a day; 1 is getting in or out entirely.",
        unit="units a day",
        interval="95%, Newey-West",
        measure=_turnover,
        history_size=QUARTER,
        history_step=QUARTER,
    ),
)


def tables(rows: Sequence[SignalRow], joined: Joined) -> list[Table]:
    """Set the signal beside always being long, over the same days."""
    if not rows:
        return []
    earned = math.fsum(_earned(rows))
    held = math.fsum(performance.pnl_after_cost([1] * len(rows), [r.return_pct for r in rows]))
    rose = sum(row.return_pct > 0 for row in rows)
    days, missing = str(len(rows)), str(len(joined.unlabelled_ids))
    columns = ("Over the days with an outcome", "Signal", "Always long")
    return [
        Table(
            f"P&L after an assumed cost of {_COST}",
            columns,
            (
                ("Sum of daily percent", decimal_text(earned, 4), decimal_text(held, 4)),
                ("Units traded", str(sum(_traded(rows))), "1"),
                (
                    "Share of days right",
                    decimal_text(sum(r.hit for r in rows) / len(rows), 4),
                    decimal_text(rose / len(rows), 4),
                ),
                ("Days", days, days),
                ("Days without an outcome", missing, missing),
            ),
        )
    ]


SIGNAL = Kind(
    name="signal",
    series=True,
    read=read,
    metrics=METRICS,
    tables=tables,
    caveats=(
        f"The cost is an assumption: {_COST}. Daily percents are added, not compounded.",
        "The first forecast of a day counts; later ones of the same day do not.",
    ),
)
