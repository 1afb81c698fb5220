"""Was a value at risk exceeded as often as it said, and not in clusters.

- An exceedance is a day whose return is strictly below minus the value at risk; compared as exact
  fractions, so no rounding decides one.
- Kupiec, Journal of Derivatives 3 (1995): likelihood ratio of the rate, one degree of freedom,
  two-sided: too few exceedances are as much a miss as too many.
- Christoffersen, International Economic Review 39 (1998): independence of consecutive days and,
  with Kupiec's, conditional coverage (two degrees of freedom).
- Traffic light of the Basel Framework, MAR32 (back-testing at 99% over 250 days): 0-4 green,
  5-9 amber, 10 or more red, and the multiplier of each count. MAR32 takes the larger count of
  actual and hypothetical P&L; here is one P&L, the one reported.
- Acerbi and Szekely, Risk (December 2014), second test: expected shortfall, 0 when it is right.
- Exact interval of a rate: Clopper and Pearson, Biometrika 26 (1934).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from monitoring.performance import Measured, bisect, mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

BASEL_DAYS = 250
AMBER, RED = 5, 10  # first counts of each zone
MULTIPLIERS = {5: "1.70", 6: "1.76", 7: "1.83", 8: "1.88", 9: "1.92"}
GREEN_MULTIPLIER, RED_MULTIPLIER = "1.50", "2.00"
_Q16 = 1 << 16
_TAIL = 0.025  # each side of a 95% interval


@dataclass(frozen=True, slots=True)
class TestResult:
    """A likelihood-ratio statistic and its p-value."""

    statistic: float
    p_value: float

    __test__ = False  # not a test case, whatever pytest thinks of the name


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """Zone and multiplier of 250 days at 99%."""

    exceedances: int
    zone: str
    multiplier: str


def exceeded(return_pct: Fraction, var_pct_q16: int) -> bool:
    """Whether the loss went beyond the value at risk; a loss equal to it does not."""
    return return_pct * _Q16 < -var_pct_q16


def kupiec(exceedances: int, days: int, rate: float) -> TestResult:
    """Unconditional coverage: the share of exceedances against the promised `rate`."""
    expected = _log_likelihood(exceedances, days, rate)
    seen = _log_likelihood(exceedances, days, exceedances / days)
    statistic = max(0.0, 2 * (seen - expected))
    return TestResult(statistic, chi2_tail_1(statistic))


def christoffersen(flags: Sequence[bool]) -> TestResult | None:
    """Test independence: an exceedance after one, against an exceedance after a quiet day.

    None when there was no exceedance before the last day, so nothing to tell it from.
    """
    counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for pair in pairwise(flags):
        counts[pair] += 1
    quiet = counts[False, False] + counts[False, True]
    hit = counts[True, False] + counts[True, True]
    if not hit or not quiet:
        return None
    after = counts[False, True] + counts[True, True]
    apart = _log_likelihood(counts[False, True], quiet, counts[False, True] / quiet)
    apart += _log_likelihood(counts[True, True], hit, counts[True, True] / hit)
    together = _log_likelihood(after, quiet + hit, after / (quiet + hit))
    statistic = max(0.0, 2 * (apart - together))
    return TestResult(statistic, chi2_tail_1(statistic))


def conditional_coverage(flags: Sequence[bool], rate: float) -> TestResult | None:
    """Kupiec and Christoffersen together."""
    independence = christoffersen(flags)
    if independence is None:
        return None
    statistic = kupiec(sum(flags), len(flags), rate).statistic + independence.statistic
    return TestResult(statistic, chi2_tail_2(statistic))


def acerbi_szekely_z2(
    losses: NDArray[np.float64],
    shortfall: NDArray[np.float64],
    over: NDArray[np.bool_],
    rate: float,
) -> Measured:
    """Z2: 1 less the mean of loss over promised shortfall on days beyond the VaR, over `rate`."""
    depth = np.where(over, losses / shortfall, 0.0) / rate
    found = mean(depth)
    low, high = found.low or 0.0, found.high or 0.0
    return Measured(1 - found.value, 1 - high, 1 - low, found.n)


def traffic_light(exceedances: int) -> TrafficLight:
    """Zone and multiplier for a count in 250 days at 99%."""
    if exceedances < AMBER:
        return TrafficLight(exceedances, "green", GREEN_MULTIPLIER)
    if exceedances < RED:
        return TrafficLight(exceedances, "amber", MULTIPLIERS[exceedances])
    return TrafficLight(exceedances, "red", RED_MULTIPLIER)


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """Exact 95% interval of a share; meant for small counts, its cost grows with `hits`."""
    centre = hits / n
    low, high = 0.0, 1.0
    if hits:
        low = bisect(lambda p: 1 - _binomial_cdf(hits - 1, n, p) < _TAIL, 0.0, centre)
    if hits < n:
        high = bisect(lambda p: _binomial_cdf(hits, n, p) > _TAIL, centre, 1.0)
    return low, high


def chi2_tail_1(statistic: float) -> float:
    """Upper tail of chi-squared with one degree of freedom."""
    return math.erfc(math.sqrt(statistic / 2))


def chi2_tail_2(statistic: float) -> float:
    """Upper tail of chi-squared with two degrees of freedom."""
    return math.exp(-statistic / 2)


def _log_likelihood(hits: int, n: int, rate: float) -> float:
    return _times_log(hits, rate) + _times_log(n - hits, 1 - rate)


def _times_log(count: int, chance: float) -> float:
    return count * math.log(chance) if count else 0.0  # 0 log 0 is 0


def _binomial_cdf(hits: int, n: int, p: float) -> float:
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if hits >= n else 0.0
    up, down, all_ways = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return math.fsum(
        math.exp(all_ways - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * up + (n - k) * down)
        for k in range(hits + 1)
    )
