"""Population stability index of one column, with a limit that knows how many rows there are.

PSI = sum over bins of (current share - reference share) x ln(current share / reference share).
Without any drift its expectation is (bins - 1)(1/n + 1/m), so a fixed cut-off of 0.25 flags almost
any small window. The limit here is the chi-squared quantile with bins - 1 degrees of freedom times
(1/n + 1/m), the error rate divided by the number of columns tested (Yurdakul and Naranjo, Journal
of Risk Model Validation 14, 2020). It assumes independent rows.

Bins are the reference's tenths; missing values are left out and counted elsewhere. Counts are
enough to compute it, so two days' counts can be added and measured together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.performance import bisect

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 10
ERROR_RATE = 0.01  # chance of any false flag over all columns of one measurement
_EMPTY = 0.5  # stands for a count of 0, so that the logarithm exists
_CHI2_MAX = 1e4  # far beyond any quantile asked for here


@dataclass(frozen=True, slots=True)
class Psi:
    """The index and the value it would pass by chance once in a hundred measurements."""

    value: float
    limit: float


def edges(reference: Sequence[float]) -> list[float]:
    """Inner edges of the reference's tenths; fewer when values repeat."""
    ordered = sorted(reference)
    cuts = {ordered[len(ordered) * i // BINS] for i in range(1, BINS)}
    return sorted(cuts - {ordered[0]})


def counts(values: Sequence[float], inner: Sequence[float]) -> list[int]:
    """Values per bin; a bin holds its lower edge."""
    held = [0] * (len(inner) + 1)
    for value in values:
        held[bisect_right(inner, value)] += 1
    return held


def psi(reference: Sequence[int], current: Sequence[int], *, columns: int) -> Psi:
    """Index of two lists of bin counts; `columns` is how many are tested together."""
    n, m = sum(reference), sum(current)
    shares = [
        (max(a, _EMPTY) / n, max(b, _EMPTY) / m) for a, b in zip(reference, current, strict=True)
    ]
    value = math.fsum((b - a) * math.log(b / a) for a, b in shares)
    freedom = len(reference) - 1
    quantile = chi2_quantile(ERROR_RATE / columns, freedom) if freedom else 0.0
    return Psi(value, quantile * (1 / n + 1 / m))


def chi2_quantile(tail: float, freedom: int) -> float:
    """Where the upper tail of chi-squared with that many degrees of freedom is `tail`."""
    return bisect(lambda x: chi2_tail(x, freedom) > tail, 0.0, _CHI2_MAX)


def chi2_tail(statistic: float, freedom: int) -> float:
    """Upper tail of chi-squared, by the recurrence over degrees of freedom in steps of two."""
    half = statistic / 2
    if half <= 0:
        return 1.0
    tail = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    for step in range(2 - freedom % 2, freedom, 2):
        tail += math.exp(step / 2 * math.log(half) - half - math.lgamma(step / 2 + 1))
    return min(1.0, tail)
