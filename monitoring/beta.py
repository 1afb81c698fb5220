"""The beta distribution, as far as an interval of a rate needs it.

Continued fraction of the regularised incomplete beta function: Abramowitz and Stegun 26.5.8, by
Lentz's method. Checked against scipy to nine digits.
"""

from __future__ import annotations

import math

from monitoring.performance import bisect

_TINY, _CLOSE, _STEPS = 1e-300, 1e-15, 10_000
_TAIL = 0.025  # each side of a 95% interval


def jeffreys(hits: int, n: int) -> tuple[float, float]:
    """95% interval of a rate under Jeffreys' prior; it reaches 0 or 1 when every row agrees."""
    a, b = hits + 0.5, n - hits + 0.5
    low = 0.0 if hits == 0 else bisect(lambda x: beta_cdf(x, a, b) < _TAIL, 0.0, 1.0)
    high = 1.0 if hits == n else bisect(lambda x: beta_cdf(x, a, b) < 1 - _TAIL, 0.0, 1.0)
    return low, high


def beta_cdf(x: float, a: float, b: float) -> float:
    """Chance that a beta variable is at most `x`."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _far(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _far(1 + term * d)
            c = _far(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return found


def _far(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
