"""Does a score rank, does a probability hit, does a signal earn: each figure with its interval.

- AUC: Mann-Whitney with half credit for ties; interval of DeLong, DeLong and Clarke-Pearson,
  Biometrics 44 (1988), by the midranks of Sun and Xu, IEEE Signal Processing Letters 21 (2014).
  At complete separation that variance is zero, so there the interval is method 5 of Newcombe,
  Statistics in Medicine 25 (2006), which does not collapse.
- Brier score: mean squared error of a probability; normal interval of a mean.
- Hit rate: Wilson's score interval, JASA 22 (1927).
- P&L after cost: mean per forecast; standard error of Newey and West, Econometrica 55 (1987),
  so that neighbouring days may be related.

All intervals are two-sided at 95%. Rows are taken as independent except for P&L. Pure functions on
numbers in the standard library; sums by `math.fsum`, so order cannot change them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def auc(scores: Sequence[float], labels: Sequence[int]) -> Measured:
    """Chance that a defaulter scores above a repayer. Needs one of each."""
    bad = [s for s, y in zip(scores, labels, strict=True) if y]
    good = [s for s, y in zip(scores, labels, strict=True) if not y]
    m, n = len(bad), len(good)
    everyone = _midranks([*bad, *good])
    # Placements: for each defaulter the share of repayers below, and the other way round.
    above = [(r - own) / n for r, own in zip(everyone[:m], _midranks(bad), strict=True)]
    below = [1 - (r - own) / m for r, own in zip(everyone[m:], _midranks(good), strict=True)]
    value = math.fsum(above) / m
    variance = _variance(above) / m + _variance(below) / n
    if variance <= 0:
        low, high = _newcombe(value, m, n)
    else:
        half = Z95 * math.sqrt(variance)
        low, high = value - half, value + half
    return Measured(value, max(0.0, low), min(1.0, high), m + n)


def brier(probabilities: Sequence[float], labels: Sequence[int]) -> Measured:
    """Mean of (probability - outcome) squared; 0 is best."""
    losses = [(p - y) ** 2 for p, y in zip(probabilities, labels, strict=True)]
    return mean(losses, lowest=0.0, highest=1.0)


def excess_brier(probabilities: Sequence[float], labels: Sequence[int]) -> Measured:
    """Brier loss beyond what a calibrated model expects of itself; 0 on average if calibrated."""
    pairs = zip(probabilities, labels, strict=True)
    return mean([(p - y) ** 2 - p * (1 - p) for p, y in pairs], lowest=-0.25, highest=1.0)


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


def turnover(positions: Sequence[int]) -> list[int]:
    """Units traded at each forecast, starting flat."""
    return [abs(now - before) for before, now in zip([0, *positions], positions, strict=False)]


def pnl_after_cost(positions: Sequence[int], returns_pct: Sequence[float]) -> list[float]:
    """Percent earned per forecast: position times return, less the cost of getting there."""
    traded = turnover(positions)
    return [p * r - COST_PCT * t for p, r, t in zip(positions, returns_pct, traded, strict=True)]


def mean(
    values: Sequence[float], *, lowest: float = -math.inf, highest: float = math.inf
) -> Measured:
    """Mean of independent values with a normal interval, kept inside what is possible."""
    n = len(values)
    value = math.fsum(values) / n
    half = Z95 * math.sqrt(_variance(values) / n)
    return Measured(value, max(lowest, value - half), min(highest, value + half), n)


def related_mean(values: Sequence[float]) -> Measured:
    """Mean of values in time order, neighbours possibly related (Newey and West)."""
    n = len(values)
    value = math.fsum(values) / n
    error = [v - value for v in values]
    lags = min(n - 1, int(4 * (n / 100) ** (2 / 9)))
    long_run = math.fsum(e * e for e in error) / n
    for lag in range(1, lags + 1):
        related = math.fsum(a * b for a, b in zip(error, error[lag:], strict=False)) / n
        long_run += 2 * (1 - lag / (lags + 1)) * related
    half = Z95 * math.sqrt(max(0.0, long_run) / n)
    return Measured(value, value - half, value + half, n)


def _variance(values: Sequence[float]) -> float:
    n = len(values)
    if n < 2:  # noqa: PLR2004 - one value has no spread to estimate
        return 0.0
    centre = math.fsum(values) / n
    return math.fsum((v - centre) ** 2 for v in values) / (n - 1)


def _midranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for position in range(start, end):
            ranks[order[position]] = (start + end + 1) / 2
        start = end
    return ranks


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
