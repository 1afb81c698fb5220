"""Metrics of a trading signal: long or flat against the return of the next day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring import earning, performance, watches
from monitoring.calibration import Q16
from monitoring.metrics import Kind, Metric, Table, decimal_text
from monitoring.performance import COST_PCT
from monitoring.rows import read_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitoring.outcomes import Joined, Labelled
    from monitoring.performance import Measured
    from monitoring.rows import Rows

MINIMUM = 30  # labels below which a share or a mean says too little to print an interval
QUARTER = 63  # trading days in a block of the history
POSITIONS = {"long": 1, "flat": 0, "short": -1}


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One day: the score, the position taken and the return in percent."""

    source: Labelled
    score: float  # NaN: none recorded
    position: int
    return_pct: float
    hit: bool


def read(pair: Labelled) -> SignalRow | None:
    """None when the decision is no position. Flat is right when the market did not rise."""
    position = POSITIONS.get(pair.prediction.decision)
    if position is None:
        return None
    right = pair.value * position > 0 if position else pair.value <= 0
    score = pair.prediction.outputs.get("margin_q16")
    return SignalRow(
        pair, math.nan if score is None else score / Q16, position, float(pair.value), right
    )


def _columns(rows: Sequence[SignalRow]) -> dict[str, NDArray[Any]]:
    return {
        "score": np.asarray([row.score for row in rows], np.float64),
        "position": np.asarray([row.position for row in rows], np.float64),
        "return_pct": np.asarray([row.return_pct for row in rows], np.float64),
        "hit": np.asarray([row.hit for row in rows], bool),
    }


def _over(
    compute: Callable[[Rows[SignalRow]], Measured | str],
) -> Callable[[Rows[SignalRow]], Measured | str]:
    def measure(rows: Rows[SignalRow]) -> Measured | str:
        if len(rows) < MINIMUM:
            return f"{len(rows)} days with an outcome; needs {MINIMUM}"
        return compute(rows)

    return measure


def _scored(
    compute: Callable[[NDArray[np.float64], NDArray[np.float64]], Measured | str],
) -> Callable[[Rows[SignalRow]], Measured | str]:
    def measure(rows: Rows[SignalRow]) -> Measured | str:
        score = rows.columns["score"]
        if bool(np.isnan(score).any()):
            return "the model records no margin_q16 for each day"
        return compute(score, rows.columns["return_pct"])

    return _over(measure)


def _earned(rows: Rows[SignalRow]) -> NDArray[np.float64]:
    return performance.pnl_after_cost(rows.columns["position"], rows.columns["return_pct"])


def _traded(rows: Rows[SignalRow]) -> NDArray[np.float64]:
    return performance.turnover(rows.columns["position"])


def _deflated(trials: int | None) -> Callable[[Rows[SignalRow]], Measured | str]:
    def measure(rows: Rows[SignalRow]) -> Measured | str:
        if trials is None:
            return (
                "the manifest's recipe records no number of trials, so luck cannot be allowed for"
            )
        return earning.deflated_sharpe(_earned(rows), trials)

    return _over(measure)


_COST = f"{COST_PCT:g}% of the value traded"

METRICS = (
    Metric(
        name="hit_rate",
        title="Hit rate",
        meaning="The share of days called right: long and the market rose, or flat and it did not. "
        "Compare it with the share of days that rose, in the table.",
        unit="share",
        interval="95%, Wilson",
        measure=_over(lambda rows: performance.share(int(rows.columns["hit"].sum()), len(rows))),
        history_size=QUARTER,
        history_step=QUARTER,
        watch=watches.share("hit_rate", "hit", run_length=watches.DAYS_RUN_LENGTH),
    ),
    Metric(
        name="pnl_after_cost_pct",
        title="P&L after cost, per day",
        meaning=f"The mean daily return of the positions taken, less an assumed cost of {_COST}.",
        unit="percent a day",
        interval="95%, Newey-West",
        measure=_over(lambda rows: performance.related_mean(_earned(rows))),
        history_size=QUARTER,
        history_step=QUARTER,
    ),
    Metric(
        name="turnover",
        title="Turnover, per day",
        meaning="Units of position traded a day; 1 is getting in or out entirely.",
        unit="units a day",
        interval="95%, Newey-West",
        measure=_over(lambda rows: performance.related_mean(_traded(rows))),
        history_size=QUARTER,
        history_step=QUARTER,
    ),
    Metric(
        name="information_coefficient",
        title="Information coefficient",
        meaning="Correlation of the score with the return that came: 0 orders nothing.",
        unit="correlation",
        interval="95%, Fisher, days taken as independent",
        measure=_scored(earning.information_coefficient),
        history_size=QUARTER,
        history_step=QUARTER,
    ),
    Metric(
        name="rank_information_coefficient",
        title="Rank information coefficient",
        meaning="The same of ranks, so that no single day decides.",
        unit="correlation",
        interval="95%, Fieller, days taken as independent",
        measure=_scored(earning.rank_coefficient),
        history_size=QUARTER,
        history_step=QUARTER,
    ),
    Metric(
        name="sharpe_after_cost",
        title="Sharpe ratio after cost, a year",
        meaning=f"Mean daily result after an assumed cost of {_COST} over its standard deviation, "
        "times the root of 252. No interest is taken off.",
        unit="ratio",
        interval="95%, Mertens, days taken as independent",
        measure=_over(lambda rows: earning.sharpe(_earned(rows))),
        history_size=QUARTER,
        history_step=QUARTER,
    ),
)


def deflated(trials: int | None) -> Metric[SignalRow]:
    """The one metric that needs to know how many signals were tried before this one."""
    told = "an unrecorded number of" if trials is None else str(trials)
    return Metric(
        name="deflated_sharpe",
        title="Deflated Sharpe ratio",
        meaning="The chance that the ratio beats the best that as many worthless signals would "
        f"have shown; {told} were tried, as the manifest says.",
        unit="probability",
        interval="none: it is a probability already",
        measure=_deflated(trials),
        history_size=QUARTER,
        history_step=QUARTER,
    )


def tables(rows: Rows[SignalRow], joined: Joined) -> list[Table]:
    """Set the signal beside always being long, over the same days."""
    if not len(rows):
        return []
    returns = rows.columns["return_pct"]
    earned = performance.exact_sum(_earned(rows))
    held = performance.exact_sum(performance.pnl_after_cost(np.ones(len(rows)), returns))
    rose = int((returns > 0).sum())
    days, missing = str(len(rows)), str(len(joined.unlabelled))
    columns = ("Over the days with an outcome", "Signal", "Always long")
    return [
        Table(
            f"P&L after an assumed cost of {_COST}",
            columns,
            (
                ("Sum of daily percent", decimal_text(earned, 4), decimal_text(held, 4)),
                ("Units traded", str(int(_traded(rows).sum())), "1"),
                (
                    "Share of days right",
                    decimal_text(int(rows.columns["hit"].sum()) / len(rows), 4),
                    decimal_text(rose / len(rows), 4),
                ),
                ("Days", days, days),
                ("Days without an outcome", missing, missing),
            ),
        )
    ]


def signal_kind(trials: int | None) -> Kind[SignalRow]:
    """The kind, for a signal chosen among so many."""
    return Kind(
        name="signal",
        series=True,
        read=read,
        rows=read_each(read, _columns),
        metrics=(*METRICS, deflated(trials)),
        tables=tables,
        caveats=(
            f"The cost is an assumption: {_COST}. Daily percents are added, not compounded.",
            "The first forecast of a day counts; later ones of the same day do not.",
        ),
    )


SIGNAL = signal_kind(None)
