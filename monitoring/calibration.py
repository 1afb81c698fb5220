"""Do probabilities mean what they say: defaults seen against defaults expected.

- `probability`: a margin in units of 2^-16 to a probability by the logistic function. For display
  and monitoring; the integer is what is recorded.
- Calibration ratio: observed defaults over the sum of predicted probabilities. 1 is calibrated,
  above 1 the model promised too little risk. Interval: Wilson's interval of the default rate over
  the mean predicted probability, which is taken as known. Defaulters of unequal risk spread a
  little less than a binomial, so the interval errs on the wide side.
- PD by band: fixed bands of predicted probability, so that two reports compare row by row; beside
  each rate its Jeffreys interval (Brown, Cai and DasGupta, Statistical Science 16, 2001), the one
  supervisors test a grade's PD with.
- Reliability: ten groups of equal size by predicted probability, and from them the expected
  calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015). A calibrated model's is above 0 too:
  it sums sizes of gaps. Hosmer and Lemeshow, Communications in Statistics 9 (1980), for the same
  groups, with ten degrees of freedom because the rows fitted nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from monitoring.beta import jeffreys
from monitoring.performance import Measured, exact_sum, wilson
from monitoring.psi import chi2_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Q16 = 1 << 16
BAND_EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
GROUPS = 10
Z_TEN = 2.8070337683438042  # 99.75% point of the normal distribution: ten intervals at once


@dataclass(frozen=True, slots=True)
class Band:
    """Rows of similar predicted probability."""

    name: str
    n: int
    defaults: int
    expected: float  # sum of predicted probabilities

    @property
    def interval(self) -> tuple[float, float]:
        """Jeffreys interval of the observed rate."""
        return jeffreys(self.defaults, self.n) if self.n else (0.0, 1.0)


def probability(margin_q16: int) -> float:
    """Logistic of a margin; never overflows."""
    margin = margin_q16 / Q16
    if margin >= 0:
        return 1 / (1 + math.exp(-min(margin, 700.0)))  # 700: exp stays finite in a double
    small = math.exp(max(margin, -700.0))
    return small / (1 + small)


def probabilities(margins_q16: NDArray[np.int64]) -> NDArray[np.float64]:
    """The logistic of each margin, as `probability` computes it."""
    return np.asarray([probability(margin) for margin in margins_q16.tolist()], np.float64)


def ratio(promised: ArrayLike, labels: ArrayLike) -> Measured:
    """Observed defaults over expected ones. Needs a positive expectation."""
    y = np.asarray(labels, np.int64)
    n, seen = len(y), int(y.sum())
    expected = exact_sum(np.asarray(promised, np.float64))
    low, high = wilson(seen, n)
    return Measured(seen / expected, low * n / expected, high * n / expected, n)


def bands(promised: ArrayLike, labels: ArrayLike) -> list[Band]:
    """Rows by fixed band, empty ones included; a band holds its lower edge, the last both."""
    p, y = np.asarray(promised, np.float64), np.asarray(labels, np.int64)
    place = np.searchsorted(np.asarray(BAND_EDGES[1:-1]), p, side="right")
    return [
        _band(f"{low * 100:g}% to {high * 100:g}%", p[place == at], y[place == at])
        for at, (low, high) in enumerate(pairwise(BAND_EDGES))
    ]


def reliability(promised: ArrayLike, labels: ArrayLike) -> list[Band]:
    """Up to ten groups of near-equal size, lowest probabilities first; ties keep ledger order."""
    p, y = np.asarray(promised, np.float64), np.asarray(labels, np.int64)
    order = np.argsort(p, kind="stable")
    count = min(GROUPS, len(p))
    cuts = [len(p) * i // count for i in range(count + 1)] if count else [0]
    return [
        _band(str(i + 1), p[order[start:end]], y[order[start:end]])
        for i, (start, end) in enumerate(pairwise(cuts))
    ]


def calibration_error(groups: Sequence[Band]) -> float:
    """Mean gap between promised and seen rate, groups weighted by size."""
    n = sum(group.n for group in groups)
    return math.fsum(abs(group.defaults - group.expected) for group in groups) / n


def expected_calibration_error(promised: ArrayLike, labels: ArrayLike) -> Measured:
    """Calibration error over ten groups; each group's gap within its bound, all at once."""
    groups = reliability(promised, labels)
    n = sum(group.n for group in groups)
    low = high = 0.0
    for group in groups:
        gap = abs(group.defaults - group.expected)
        rate = group.defaults / group.n
        wide = Z_TEN * math.sqrt(group.n * max(rate * (1 - rate), 1 / group.n))
        low, high = low + max(0.0, gap - wide), high + gap + wide
    return Measured(calibration_error(groups), low / n, min(1.0, high / n), n)


def hosmer_lemeshow(promised: ArrayLike, labels: ArrayLike) -> Measured | str:
    """p-value over the ten groups; as many degrees of freedom, since nothing was fitted to them."""
    p, y = np.asarray(promised, np.float64), np.asarray(labels, np.float64)
    order = np.argsort(p, kind="stable")
    cuts = [len(p) * i // GROUPS for i in range(GROUPS + 1)]
    statistic = 0.0
    for start, end in pairwise(cuts):
        rows = order[start:end]
        expected, spread = exact_sum(p[rows]), exact_sum(p[rows] * (1 - p[rows]))
        if spread <= 0:
            return "a group whose every probability is 0 or 1"
        statistic += (float(y[rows].sum()) - expected) ** 2 / spread
    return Measured(chi2_tail(statistic, GROUPS), None, None, len(p))


def _band(name: str, p: NDArray[np.float64], y: NDArray[np.int64]) -> Band:
    return Band(name, len(p), int(y.sum()), exact_sum(p))
