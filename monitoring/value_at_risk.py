"""Metrics of a value-at-risk model: one-day 99% and 97.5% loss limits against the day's return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring import backtest, watches
from monitoring.backtest import BASEL_DAYS
from monitoring.metrics import Kind, Metric, Table, decimal_text
from monitoring.performance import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitoring.backtest import TestResult
    from monitoring.outcomes import Joined, Labelled

MINIMUM_DAYS = 100  # below, one expected exceedance at 99% or fewer: a rate test says nothing
LEVELS = {"990": 0.01, "975": 0.025}  # promised share of exceedances
MONTH = 21  # trading days between points of the history


@dataclass(frozen=True, slots=True)
class VarRow:
    """One day, and whether its loss went beyond each level."""

    source: Labelled
    over: dict[str, bool]


def read(pair: Labelled) -> VarRow | None:
    """None unless both levels are recorded."""
    over = {}
    for level in LEVELS:
        limit = pair.prediction.outputs.get(f"var_{level}_pct_q16")
        if limit is None:
            return None
        over[level] = backtest.exceeded(pair.value, limit)
    return VarRow(pair, over)


def _flags(rows: Sequence[VarRow], level: str) -> list[bool]:
    return [row.over[level] for row in rows]


def _count(level: str) -> Callable[[Sequence[VarRow]], float]:
    return lambda rows: float(sum(_flags(rows, level)))


def _exceedances(level: str) -> Callable[[Sequence[VarRow]], Measured | str]:
    def measure(rows: Sequence[VarRow]) -> Measured | str:
        if len(rows) < BASEL_DAYS:
            return f"{len(rows)} days with an outcome; needs {BASEL_DAYS}"
        hits = sum(_flags(rows[-BASEL_DAYS:], level))
        low, high = backtest.clopper_pearson(hits, BASEL_DAYS)
        return Measured(float(hits), low * BASEL_DAYS, high * BASEL_DAYS, BASEL_DAYS)

    return measure


def _rate(level: str) -> Callable[[Sequence[VarRow]], Measured | str]:
    def measure(rows: Sequence[VarRow]) -> Measured | str:
        if len(rows) < MINIMUM_DAYS:
            return f"{len(rows)} days with an outcome; needs {MINIMUM_DAYS}"
        hits = sum(_flags(rows, level))
        low, high = backtest.clopper_pearson(hits, len(rows))
        return Measured(hits / len(rows), low, high, len(rows))

    return measure


def _p_value(
    test: Callable[[list[bool]], TestResult | None], level: str
) -> Callable[[Sequence[VarRow]], Measured | str]:
    def measure(rows: Sequence[VarRow]) -> Measured | str:
        if len(rows) < MINIMUM_DAYS:
            return f"{len(rows)} days with an outcome; needs {MINIMUM_DAYS}"
        result = test(_flags(rows, level))
        if result is None:
            return "no exceedance that another day follows"
        return Measured(result.p_value, None, None, len(rows))

    return measure


def _kupiec(level: str) -> Callable[[list[bool]], TestResult | None]:
    return lambda flags: backtest.kupiec(sum(flags), len(flags), LEVELS[level])


def _level_metrics(level: str, percent: str) -> tuple[Metric[VarRow], ...]:
    promised = LEVELS[level] * BASEL_DAYS
    return (
        Metric(
            name=f"exceedances_{level}_250d",
            title=f"Exceedances of the {percent} VaR in 250 days",
            meaning=f"Days in the newest 250 on which the loss went beyond the {percent} value at "
            f"risk; {promised:g} are promised.",
            unit="days of 250",
            interval="95%, Clopper-Pearson; the count itself has no decimals",
            measure=_exceedances(level),
            digits=0,
            history_step=MONTH,
            rolling=BASEL_DAYS,
            quick=_count(level),
        ),
        Metric(
            name=f"exceedances_{level}_kupiec_p",
            title=f"Kupiec test of the {percent} VaR",
            meaning="How often a model whose promised rate is right would miss it at least this "
            "far, to either side; small means that the rate is hard to explain by chance.",
            unit="p-value",
            interval="none: a p-value has no interval; see the rate",
            measure=_p_value(_kupiec(level), level),
            history_step=MONTH,
        ),
        Metric(
            name=f"exceedance_rate_{level}",
            title=f"Share of days beyond the {percent} VaR",
            meaning=f"Exceedances over days; {LEVELS[level]:g} is promised.",
            unit="share",
            interval="95%, Clopper-Pearson",
            measure=_rate(level),
            history_step=MONTH,
            watch=watches.share(
                f"exceedance_rate_{level}",
                lambda row: row.over[level],
                run_length=watches.DAYS_RUN_LENGTH,
            ),
        ),
        Metric(
            name=f"exceedances_{level}_christoffersen_p",
            title=f"Christoffersen test of the {percent} VaR",
            meaning="How often exceedances that do not cluster would look at least this clustered, "
            "or this evenly spread, from one day to the next.",
            unit="p-value",
            interval="none: a p-value has no interval",
            measure=_p_value(backtest.christoffersen, level),
            history_step=MONTH,
        ),
    )


METRICS = (*_level_metrics("990", "99%"), *_level_metrics("975", "97.5%"))


def tables(rows: Sequence[VarRow], joined: Joined) -> list[Table]:
    """Show the traffic light, both levels over all days, and days nobody reported on."""
    found = []
    if len(rows) >= BASEL_DAYS:
        light = backtest.traffic_light(sum(_flags(rows[-BASEL_DAYS:], "990")))
        found.append(
            Table(
                "Traffic light at 99%, newest 250 days (Basel MAR32)",
                ("Exceedances", "Zone", "Multiplier", "Green", "Amber", "Red"),
                ((str(light.exceedances), light.zone, light.multiplier, "0-4", "5-9", "10+"),),
            )
        )
    if rows:
        found.append(
            Table(
                "Exceedances over all days with an outcome",
                ("Level", "Days", "Exceedances", "Promised", "Conditional coverage p"),
                tuple(_level_row(rows, level) for level in LEVELS),
            )
        )
    missing = len(joined.unlabelled_ids)
    if missing:
        found.append(
            Table(
                "Days without an outcome",
                ("Days", "Exceedances at 99% if each were one"),
                ((str(missing), str(sum(_flags(rows, "990")) + missing)),),
            )
        )
    return found


def _level_row(rows: Sequence[VarRow], level: str) -> tuple[str, ...]:
    flags, rate = _flags(rows, level), LEVELS[level]
    joint = backtest.conditional_coverage(flags, rate)
    return (
        f"{100 - rate * 100:g}%",
        str(len(flags)),
        str(sum(flags)),
        decimal_text(rate * len(flags), 1),
        decimal_text(joint.p_value) if joint else "not yet judgeable",
    )


VALUE_AT_RISK = Kind(
    name="value_at_risk",
    series=True,
    read=read,
    metrics=METRICS,
    tables=tables,
    caveats=(
        "One P&L is compared, the one reported; MAR32 asks for the actual and the hypothetical.",
        "The first forecast of a day counts; later ones of the same day do not.",
    ),
)
