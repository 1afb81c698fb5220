"""What a desk knows at the close of day t, and what it learns at the close of day t+1.

Every figure is in percent, rounded to 6 decimals, and uses days up to t only. A VaR is a loss, so
the historical quantiles are of losses and positive in ordinary times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.hub.manifest import Feature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from models.reference.data import MarketData

HISTORY_DAYS: Final = 250  # the supervisory window of historical simulation: one trading year
DECIMALS: Final = 6

VAR_FEATURES: Final = (
    ("ret_1d_pct", -100, 100, "return of the day"),
    ("ret_5d_pct", -500, 500, "sum of the last 5 daily returns"),
    ("vol_5d_pct", 0, 100, "root mean square of the last 5 daily returns"),
    ("vol_21d_pct", 0, 100, "root mean square of the last 21 daily returns"),
    ("vol_63d_pct", 0, 100, "root mean square of the last 63 daily returns"),
    ("worst_21d_pct", -100, 100, "largest daily loss of the last 21 days"),
    ("range_1d_pct", 0, 200, "the day's high less its low, over its close"),
)
BASELINE_FEATURES: Final = (
    ("hs_990_250d_pct", -100, 100, "99% quantile of the last 250 daily losses (248th of 250)"),
    ("hs_975_250d_pct", -100, 100, "97.5% quantile of the last 250 daily losses (244th of 250)"),
)
SIGNAL_FEATURES: Final = (
    ("ret_1d_pct", -100, 100, "return of the day"),
    ("ret_5d_pct", -500, 500, "sum of the last 5 daily returns"),
    ("ret_21d_pct", -2000, 2000, "sum of the last 21 daily returns"),
    ("vol_21d_pct", 0, 100, "root mean square of the last 21 daily returns"),
    ("range_1d_pct", 0, 200, "the day's high less its low, over its close"),
)


@dataclass(frozen=True, slots=True)
class Day:
    """One day's features by name (of all market models), and the next day's return."""

    as_of: str
    features: Mapping[str, float]
    outcome_date: str
    return_pct: float

    def of(self, names: tuple[str, ...]) -> dict[str, float]:
        """The features of one model."""
        return {name: self.features[name] for name in names}


def days(data: MarketData, first: str, last: str) -> Iterator[Day]:
    """Days whose outcome falls from `first` to `last`, both included."""
    returns = returns_pct(data)
    for t in range(HISTORY_DAYS, len(data.dates) - 1):
        if first <= data.dates[t + 1] <= last:
            yield Day(
                as_of=data.dates[t],
                features=_features(data, returns, t),
                outcome_date=data.dates[t + 1],
                return_pct=round(float(returns[t + 1]), DECIMALS),
            )


def returns_pct(data: MarketData) -> NDArray[np.float64]:
    """Simple daily returns of the close, in percent; 0 on the first day."""
    change = 100 * (data.close[1:] / data.close[:-1] - 1)
    return np.concatenate([[0.0], change])


def matrix(rows: list[Day], names: tuple[str, ...]) -> NDArray[np.float32]:
    """The features of one model as rows."""
    return np.asarray([[day.features[name] for name in names] for day in rows], np.float32)


def names_of(table: tuple[tuple[str, int, int, str], ...]) -> tuple[str, ...]:
    """The names of a table of features."""
    return tuple(row[0] for row in table)


def schema_of(table: tuple[tuple[str, int, int, str], ...]) -> tuple[Feature, ...]:
    """A table of features as the manifest holds it."""
    return tuple(
        Feature(
            name=name, type="decimal", minimum=low, maximum=high, missing=False, description=text
        )
        for name, low, high, text in table
    )


def _features(data: MarketData, returns: NDArray[np.float64], t: int) -> dict[str, float]:
    month, losses = returns[t - 20 : t + 1], np.sort(-returns[t - HISTORY_DAYS + 1 : t + 1])
    found = {
        "ret_1d_pct": returns[t],
        "ret_5d_pct": month[-5:].sum(),
        "ret_21d_pct": month.sum(),
        "vol_5d_pct": _rms(month[-5:]),
        "vol_21d_pct": _rms(month),
        "vol_63d_pct": _rms(returns[t - 62 : t + 1]),
        "worst_21d_pct": -month.min(),
        "range_1d_pct": 100 * (data.high[t] - data.low[t]) / data.close[t],
        "hs_990_250d_pct": losses[247],
        "hs_975_250d_pct": losses[243],
    }
    return {name: round(float(value), DECIMALS) for name, value in found.items()}


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values * values)))
