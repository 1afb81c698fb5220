"""Does a score rank, does a probability hit, does a signal earn: each figure with its interval.

- AUC: Mann-Whitney with half credit for ties; interval of DeLong, DeLong and Clarke-Pearson,
  Biometrics 44 (1988), by the midranks of Sun and Xu, IEEE Signal Processing Letters 21 (2014).
  At complete separation that variance is zero, so there the interval is method 5 of Newcombe,
  Statistics in Medicine 25 (2006), which does not collapse.
- Brier score: mean squared error of a probability; normal interval of a mean.
- Hit rate: Wilson's score interval, JASA 22 (1927).
- P&L after cost: mean per forecast; standard error of Newey and West, Econometrica 55 (1987),
  so that neighbouring days may be related.

- KS: the two-sample Kolmogorov-Smirnov distance; band of Dvoretzky, Kiefer and Wolfowitz with
  Massart's constant (Annals of Probability 18, 1990) on both sides, so it errs on the wide side.

All intervals are two-sided at 95%. Rows are taken as independent except for P&L. Pure functions on
arrays; only operations that IEEE 754 rounds one way, and sums by `math.fsum`, so that neither order
nor processor can change a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054  # 97.5% point of the normal distribution
COST_PCT = 0.02  # assumed cost per unit of position traded: 2 basis points of its value
_BISECTIONS = 100  # halves [0, 1] below the spacing of doubles


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its interval; `low` and `high` are None where none is defined."""

    value: float
    low: float | None
    high: float | None
    n: int


def auc(scores: ArrayLike, labels: ArrayLike) -> Measured:
    """Chance that a defaulter scores above a repayer. Needs one of each."""
    every, hit = np.asarray(scores, np.float64), np.asarray(labels, bool)
    bad, good = every[hit], every[~hit]
    m, n = len(bad), len(good)
    ranks = midranks(np.concatenate([bad, good]))
    # Placements: for each defaulter the share of repayers below, and the other way round.
    above = (ranks[:m] - midranks(bad)) / n
    below = 1 - (ranks[m:] - midranks(good)) / m
    value = exact_sum(above) / m
    variance = _variance(above) / m + _variance(below) / n
    if variance <= 0:
        low, high = _newcombe(value, m, n)
    else:
        half = Z95 * math.sqrt(variance)
        low, high = value - half, value + half
    return Measured(value, max(0.0, low), min(1.0, high), m + n)


def gini(scores: ArrayLike, labels: ArrayLike) -> Measured:
    """Twice AUC less one, and its interval so too."""
    found = auc(scores, labels)
    ends = [None if end is None else 2 * end - 1 for end in (found.low, found.high)]
    return Measured(2 * found.value - 1, ends[0], ends[1], found.n)


def ks(scores: ArrayLike, labels: ArrayLike) -> Measured:
    """Largest gap between the shares of repayers and of defaulters up to a score."""
    every, hit = np.asarray(scores, np.float64), np.asarray(labels, bool)
    bad, good = np.sort(every[hit]), np.sort(every[~hit])
    at = np.unique(every)
    gap = np.searchsorted(good, at, side="right") / len(good)
    gap = gap - np.searchsorted(bad, at, side="right") / len(bad)
    value = float(np.abs(gap).max())
    wide = math.fsum(math.sqrt(math.log(2 / 0.025) / (2 * len(side))) for side in (bad, good))
    return Measured(value, max(0.0, value - wide), min(1.0, value + wide), len(every))


def brier(probabilities: ArrayLike, labels: ArrayLike) -> Measured:
    """Mean of (probability - outcome) squared; 0 is best."""
    gap = np.asarray(probabilities, np.float64) - np.asarray(labels, np.float64)
    return mean(gap * gap, lowest=0.0, highest=1.0)


def excess_brier(probabilities: ArrayLike, labels: ArrayLike) -> Measured:
    """Brier loss beyond what a calibrated model expects of itself; 0 on average if calibrated."""
    p = np.asarray(probabilities, np.float64)
    gap = p - np.asarray(labels, np.float64)
    return mean(gap * gap - p * (1 - p), lowest=-0.25, highest=1.0)


def share(hits: int, n: int) -> Measured:
    """Return a share of n with Wilson's interval."""
    low, high = wilson(hits, n)
    return Measured(hits / n, low, high, n)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    rate, z2 = hits / n, Z95 * Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    return low, 1.0 if hits == n else min(1.0, centre + half)


def turnover(positions: ArrayLike) -> NDArray[np.float64]:
    """Units traded at each forecast, starting flat."""
    held = np.asarray(positions, np.float64)
    return np.abs(np.diff(held, prepend=0.0))


def pnl_after_cost(positions: ArrayLike, returns_pct: ArrayLike) -> NDArray[np.float64]:
    """Percent earned per forecast: position times return, less the cost of getting there."""
    held = np.asarray(positions, np.float64)
    earned = held * np.asarray(returns_pct, np.float64)
    return np.asarray(earned - COST_PCT * turnover(held))


def mean(values: ArrayLike, *, lowest: float = -math.inf, highest: float = math.inf) -> Measured:
    """Mean of independent values with a normal interval, kept inside what is possible."""
    held = np.asarray(values, np.float64)
    n = len(held)
    value = exact_sum(held) / n
    half = Z95 * math.sqrt(_variance(held) / n)
    return Measured(value, max(lowest, value - half), min(highest, value + half), n)


def related_mean(values: ArrayLike) -> Measured:
    """Mean of values in time order, neighbours possibly related (Newey and West)."""
    held = np.asarray(values, np.float64)
    n = len(held)
    value = exact_sum(held) / n
    error = held - value
    lags = min(n - 1, int(4 * (n / 100) ** (2 / 9)))
    long_run = exact_sum(error * error) / n
    for lag in range(1, lags + 1):
        related = exact_sum(error[:-lag] * error[lag:]) / n
        long_run += 2 * (1 - lag / (lags + 1)) * related
    half = Z95 * math.sqrt(max(0.0, long_run) / n)
    return Measured(value, value - half, value + half, n)


def midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the middle of theirs."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(values) else order
    ends = np.r_[starts[1:], len(values)]
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def exact_sum(values: NDArray[np.float64]) -> float:
    """Sum rounded once: no order and no processor can change it."""
    return math.fsum(values.tolist())


def _variance(values: NDArray[np.float64]) -> float:
    n = len(values)
    if n < 2:  # noqa: PLR2004 - one value has no spread to estimate
        return 0.0
    gap = values - exact_sum(values) / n
    return exact_sum(gap * gap) / (n - 1)


def _newcombe(value: float, m: int, n: int) -> tuple[float, float]:
    size = (m + n) / 2 - 1

    def error(theta: float) -> float:
        spread = 1 + size * (1 - theta) / (2 - theta) + size * theta / (1 + theta)
        return Z95 * math.sqrt(theta * (1 - theta) * spread / (m * n))

    low = bisect(lambda t: t + error(t) < value, 0.0, value) if value > 0 else 0.0
    high = bisect(lambda t: t - error(t) <= value, value, 1.0) if value < 1 else 1.0
    return low, high


def bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds`, true at `low`, turns false."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
