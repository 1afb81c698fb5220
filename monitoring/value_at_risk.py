"""Metrics of a value-at-risk model: one-day 99% and 97.5% loss limits against the day's return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring import backtest, watches
from monitoring.backtest import BASEL_DAYS
from monitoring.calibration import Q16
from monitoring.metrics import Kind, Metric, Table, decimal_text
from monitoring.performance import Measured
from monitoring.rows import read_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitoring.backtest import TestResult
    from monitoring.outcomes import Joined, Labelled
    from monitoring.rows import Rows

MINIMUM_DAYS = 100  # below, one expected exceedance at 99% or fewer: a rate test says nothing
LEVELS = {"990": 0.01, "975": 0.025}  # promised share of exceedances
MONTH = 21  # trading days between points of the history


@dataclass(frozen=True, slots=True)
class VarRow:
    """One day: whether its loss went beyond each level, and the expected shortfall if recorded."""

    source: Labelled
    over: dict[str, bool]
    loss_pct: float
    limit_990_pct: float
    es_975_pct: float  # NaN: the model records none


def read(pair: Labelled) -> VarRow | None:
    """None unless both levels are recorded."""
    over, outputs = {}, pair.prediction.outputs
    for level in LEVELS:
        limit = outputs.get(f"var_{level}_pct_q16")
        if limit is None:
            return None
        over[level] = backtest.exceeded(pair.value, limit)
    shortfall = outputs.get("es_975_pct_q16")
    return VarRow(
        pair,
        over,
        -float(pair.value),
        outputs["var_990_pct_q16"] / Q16,
        math.nan if shortfall is None else shortfall / Q16,
    )


def _columns(rows: Sequence[VarRow]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        f"over_{level}": np.asarray([row.over[level] for row in rows], bool) for level in LEVELS
    }
    columns["loss"] = np.asarray([row.loss_pct for row in rows], np.float64)
    columns["shortfall"] = np.asarray([row.es_975_pct for row in rows], np.float64)
    return columns


def _flags(rows: Rows[VarRow], level: str) -> NDArray[np.bool_]:
    return rows.columns[f"over_{level}"]


def _hits(rows: Rows[VarRow], level: str) -> int:
    return int(_flags(rows, level).sum())


def _count(level: str) -> Callable[[Rows[VarRow]], float]:
    return lambda rows: float(_hits(rows, level))


def _exceedances(level: str) -> Callable[[Rows[VarRow]], Measured | str]:
    def measure(rows: Rows[VarRow]) -> Measured | str:
        if len(rows) < BASEL_DAYS:
            return f"{len(rows)} days with an outcome; needs {BASEL_DAYS}"
        return _of_250(_hits(rows[-BASEL_DAYS:], level))

    return measure


def _of_250(hits: int) -> Measured:
    low, high = backtest.clopper_pearson(hits, BASEL_DAYS)
    return Measured(float(hits), low * BASEL_DAYS, high * BASEL_DAYS, BASEL_DAYS)


def _exceptions(rows: Rows[VarRow]) -> Measured | str:
    """Exceedances among the newest 250 forecast days, a day without an outcome being one."""
    if len(rows) < BASEL_DAYS:
        return f"{len(rows)} days with an outcome; needs {BASEL_DAYS}"
    return _of_250(min(BASEL_DAYS, int(_exceptions_of(rows))))


def _exceptions_of(rows: Rows[VarRow]) -> float:
    places = rows.labelled.at_row
    newest = places > places[-1] - BASEL_DAYS
    missing = BASEL_DAYS - int(newest.sum())
    return float(_flags(rows, "990")[newest].sum() + missing)


def _rate(level: str) -> Callable[[Rows[VarRow]], Measured | str]:
    def measure(rows: Rows[VarRow]) -> Measured | str:
        if len(rows) < MINIMUM_DAYS:
            return f"{len(rows)} days with an outcome; needs {MINIMUM_DAYS}"
        hits = _hits(rows, level)
        low, high = backtest.clopper_pearson(hits, len(rows))
        return Measured(hits / len(rows), low, high, len(rows))

    return measure


def _p_value(
    test: Callable[[list[bool]], TestResult | None], level: str
) -> Callable[[Rows[VarRow]], Measured | str]:
    def measure(rows: Rows[VarRow]) -> Measured | str:
        if len(rows) < MINIMUM_DAYS:
            return f"{len(rows)} days with an outcome; needs {MINIMUM_DAYS}"
        result = test(_flags(rows, level).tolist())
        if result is None:
            return "no exceedance that another day follows"
        return Measured(result.p_value, None, None, len(rows))

    return measure


def _kupiec(level: str) -> Callable[[list[bool]], TestResult | None]:
    return lambda flags: backtest.kupiec(sum(flags), len(flags), LEVELS[level])


def _both(level: str) -> Callable[[list[bool]], TestResult | None]:
    return lambda flags: backtest.conditional_coverage(flags, LEVELS[level])


def _shortfall(rows: Rows[VarRow]) -> Measured | str:
    shortfall = rows.columns["shortfall"]
    if len(rows) < BASEL_DAYS:
        return f"{len(rows)} days with an outcome; needs {BASEL_DAYS}"
    if not bool((shortfall > 0).all()):
        return "the model records no es_975_pct_q16 above 0 for each day"
    return backtest.acerbi_szekely_z2(rows.columns["loss"], shortfall, _flags(rows, "975"), 0.025)


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
                f"over_{level}",
                run_length=watches.DAYS_RUN_LENGTH,
            ),
        ),
    )


def _independence_metrics(level: str, percent: str) -> tuple[Metric[VarRow], ...]:
    return (
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
        Metric(
            name=f"exceedances_{level}_coverage_p",
            title=f"Conditional coverage of the {percent} VaR",
            meaning="Rate and clustering together: how often a model right in both would look at "
            "least this wrong.",
            unit="p-value",
            interval="none: a p-value has no interval",
            measure=_p_value(_both(level), level),
            history_step=MONTH,
        ),
    )


METRICS = (
    *_level_metrics("990", "99%"),
    *_independence_metrics("990", "99%"),
    *_level_metrics("975", "97.5%"),
    *_independence_metrics("975", "97.5%"),
    Metric(
        name="exceptions_990_250d",
        title="Exceptions of the 99% VaR in 250 days, missing days counted",
        meaning="Of the newest 250 forecast days, those whose loss went beyond the 99% value at "
        "risk and those nobody reported a P&L for: a missing day counts as one.",
        unit="days of 250",
        interval="95%, Clopper-Pearson; the count itself has no decimals",
        measure=_exceptions,
        digits=0,
        history_step=MONTH,
        rolling=BASEL_DAYS,
        quick=_exceptions_of,
    ),
    Metric(
        name="es_975_z2",
        title="Expected shortfall at 97.5% (Acerbi-Szekely Z2)",
        meaning="0 when losses beyond the VaR are as deep and as frequent as promised; below 0 the "
        "promise was too small. At -0.70 a right model with normal tails is refused once in 20.",
        unit="ratio",
        interval="95%, normal, days taken as independent",
        measure=_shortfall,
        history_step=MONTH,
    ),
)


def tables(rows: Rows[VarRow], joined: Joined) -> list[Table]:
    """Show the traffic light, both levels over all days, and days nobody reported on."""
    found = []
    if len(rows) >= BASEL_DAYS:
        hits, exceptions = _hits(rows[-BASEL_DAYS:], "990"), int(_exceptions_of(rows))
        lights = (
            ("exceedances of days with an outcome", backtest.traffic_light(hits)),
            ("missing days counted as exceptions", backtest.traffic_light(exceptions)),
        )
        found.append(
            Table(
                "Traffic light at 99%, newest 250 days (Basel MAR32)",
                ("Counted", "Exceedances", "Zone", "Multiplier", "Green", "Amber", "Red"),
                tuple(
                    (
                        told,
                        str(light.exceedances),
                        light.zone,
                        light.multiplier,
                        "0-4",
                        "5-9",
                        "10+",
                    )
                    for told, light in lights
                ),
            )
        )
    if len(rows):
        found.append(
            Table(
                "Exceedances over all days with an outcome",
                ("Level", "Days", "Exceedances", "Promised", "Conditional coverage p"),
                tuple(_level_row(rows, level) for level in LEVELS),
            )
        )
        found.append(_days(rows[-BASEL_DAYS:]))
    missing = len(joined.unlabelled)
    if missing:
        found.append(
            Table(
                "Days without an outcome",
                ("Days", "Exceedances at 99% if each were one"),
                ((str(missing), str(_hits(rows, "990") + missing)),),
            )
        )
    return found


def _days(rows: Rows[VarRow]) -> Table:
    """Each day's P&L beside the limit promised for it, which is a loss and so below nought."""
    shown = []
    for at, row in enumerate(rows):
        day = rows.spoke_on(at)
        shown.append(
            (
                rows.prediction_id(at) if day is None else day[:10],
                decimal_text(-row.loss_pct, 4),
                decimal_text(-row.limit_990_pct, 4),
                "beyond" if row.over["990"] else "",
            )
        )
    columns = ("Day", "P&L in percent", "VaR 99% as P&L", "Exceeded")
    return Table("Newest days against the 99% VaR", columns, tuple(shown))


def _level_row(rows: Rows[VarRow], level: str) -> tuple[str, ...]:
    flags, rate = _flags(rows, level).tolist(), LEVELS[level]
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
    rows=read_each(read, _columns),
    metrics=METRICS,
    tables=tables,
    caveats=(
        "One P&L is compared, the one reported; MAR32 asks for the actual and the hypothetical.",
        "The first forecast of a day counts; later ones of the same day do not.",
    ),
)
