"""Does a signal order the returns, and does it earn after cost, luck among trials allowed for.

- Information coefficient: Pearson's correlation of score and return; interval of Fisher, Metron 1
  (1921). Rank IC: Spearman's; standard error of Fieller, Hartley and Pearson, Biometrika 44 (1957).
- Sharpe ratio: mean over standard deviation of daily percents, times the root of 252; interval by
  the variance of Mertens (2002), which knows skew and heavy tails. Days are taken as independent.
- Deflated Sharpe ratio: Bailey and Lopez de Prado, Journal of Portfolio Management 40 (2014): the
  chance that the ratio exceeds what the best of so many worthless trials would show. The spread
  among trials is not recorded, so that of worthless ones is used: 1/(n - 1) of a day's ratio.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from monitoring.performance import Z95, Measured, exact_sum, midranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

YEAR = 252  # trading days
EULER = 0.5772156649015329
_NORMAL = NormalDist()
_FIELLER = 1.06  # of Spearman's variance over Pearson's


def information_coefficient(
    scores: NDArray[np.float64], returns: NDArray[np.float64]
) -> Measured | str:
    """Pearson's correlation of score and return."""
    return _correlation(scores, returns, 1.0)


def rank_coefficient(scores: NDArray[np.float64], returns: NDArray[np.float64]) -> Measured | str:
    """Spearman's: Pearson's of the midranks."""
    return _correlation(midranks(scores), midranks(returns), _FIELLER)


def sharpe(daily: NDArray[np.float64]) -> Measured | str:
    """Yearly ratio with its interval."""
    found = _shape(daily)
    if isinstance(found, str):
        return found
    ratio, skew, tails = found
    half = Z95 * math.sqrt(ratio_variance(ratio, skew, tails, len(daily)))
    root = math.sqrt(YEAR)
    return Measured(ratio * root, (ratio - half) * root, (ratio + half) * root, len(daily))


def deflated_sharpe(daily: NDArray[np.float64], trials: int) -> Measured | str:
    """Chance that the ratio beats the best of `trials` worthless ones; 1 trial: that it beats 0."""
    found = _shape(daily)
    if isinstance(found, str):
        return found
    ratio, skew, tails = found
    floor = best_of(trials) / math.sqrt(len(daily) - 1)
    return Measured(chance_above(floor, ratio, skew, tails, len(daily)), None, None, len(daily))


def chance_above(floor: float, ratio: float, skew: float, tails: float, n: int) -> float:
    """Chance that a ratio measured over n days is above `floor`; the `tails` of a normal are 3."""
    error = math.sqrt(ratio_variance(ratio, skew, tails, n))
    return _NORMAL.cdf((ratio - floor) / error)


def ratio_variance(ratio: float, skew: float, tails: float, n: int) -> float:
    """Variance of the estimate of a day's ratio."""
    return (1 - skew * ratio + (tails - 1) / 4 * ratio**2) / (n - 1)


def best_of(trials: int) -> float:
    """Expected largest of so many standard normal draws, as the paper approximates it."""
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return (1 - EULER) * first + EULER * second


def _shape(daily: NDArray[np.float64]) -> tuple[float, float, float] | str:
    """A day's ratio, skew and tails (fourth moment)."""
    n = len(daily)
    gap = daily - exact_sum(daily) / n
    spread = math.sqrt(exact_sum(gap * gap) / n)
    if spread <= 0:
        return "the daily result never changes, so there is no ratio"
    ratio, scaled = exact_sum(daily) / n / spread, gap / spread
    skew, tails = exact_sum(scaled**3) / n, exact_sum(scaled**4) / n
    if ratio_variance(ratio, skew, tails, n) <= 0:
        return "too few different days for a ratio"
    return ratio, skew, tails


def _correlation(
    one: NDArray[np.float64], two: NDArray[np.float64], factor: float
) -> Measured | str:
    n = len(one)
    a, b = one - exact_sum(one) / n, two - exact_sum(two) / n
    spread = math.sqrt(exact_sum(a * a) * exact_sum(b * b))
    if spread <= 0:
        return "the score or the return never changes, so nothing can be ordered"
    value = max(-1.0, min(1.0, exact_sum(a * b) / spread))
    if abs(value) >= 1:
        return Measured(value, value, value, n)
    centre, half = math.atanh(value), Z95 * math.sqrt(factor / (n - 3))
    return Measured(value, math.tanh(centre - half), math.tanh(centre + half), n)
