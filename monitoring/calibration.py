"""Do probabilities mean what they say: defaults seen against defaults expected.

- `probability`: a margin in units of 2^-16 to a probability by the logistic function. For display
  and monitoring; the integer is what is recorded.
- Calibration ratio: observed defaults over the sum of predicted probabilities. 1 is calibrated,
  above 1 the model promised too little risk. Interval: Wilson's interval of the default rate over
  the mean predicted probability, which is taken as known. Defaulters of unequal risk spread a
  little less than a binomial, so the interval errs on the wide side.
- PD by band: fixed bands of predicted probability, so that two reports compare row by row.
- Reliability: ten groups of equal size by predicted probability, and from them the expected
  calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from monitoring.performance import Measured, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

Q16 = 1 << 16
BAND_EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
GROUPS = 10


@dataclass(frozen=True, slots=True)
class Band:
    """Rows of similar predicted probability."""

    name: str
    n: int
    defaults: int
    expected: float  # sum of predicted probabilities
    low: float  # Wilson interval of the observed rate
    high: float


def probability(margin_q16: int) -> float:
    """Logistic of a margin; never overflows."""
    margin = margin_q16 / Q16
    if margin >= 0:
        return 1 / (1 + math.exp(-min(margin, 700.0)))  # 700: exp stays finite in a double
    small = math.exp(max(margin, -700.0))
    return small / (1 + small)


def ratio(probabilities: Sequence[float], labels: Sequence[int]) -> Measured:
    """Observed defaults over expected ones. Needs a positive expectation."""
    n, seen = len(labels), sum(labels)
    expected = math.fsum(probabilities)
    low, high = wilson(seen, n)
    return Measured(seen / expected, low * n / expected, high * n / expected, n)


def bands(probabilities: Sequence[float], labels: Sequence[int]) -> list[Band]:
    """Rows by fixed band, empty ones included; a band holds its lower edge, the last both."""
    held: list[list[tuple[float, int]]] = [[] for _ in BAND_EDGES[1:]]
    for p, y in zip(probabilities, labels, strict=True):
        place = sum(1 for edge in BAND_EDGES[1:-1] if p >= edge)
        held[place].append((p, y))
    edges = pairwise(BAND_EDGES)
    return [
        _band(f"{low * 100:g}% to {high * 100:g}%", rows)
        for (low, high), rows in zip(edges, held, strict=True)
    ]


def reliability(probabilities: Sequence[float], labels: Sequence[int]) -> list[Band]:
    """Up to ten groups of near-equal size, lowest probabilities first; ties keep ledger order."""
    pairs = sorted(zip(probabilities, labels, strict=True), key=lambda pair: pair[0])
    count = min(GROUPS, len(pairs))
    cuts = [len(pairs) * i // count for i in range(count + 1)] if count else [0]
    return [_band(str(i + 1), pairs[start:end]) for i, (start, end) in enumerate(pairwise(cuts))]


def calibration_error(groups: Sequence[Band]) -> float:
    """Mean gap between promised and seen rate, groups weighted by size."""
    n = sum(group.n for group in groups)
    return math.fsum(abs(group.defaults - group.expected) for group in groups) / n


def _band(name: str, rows: Sequence[tuple[float, int]]) -> Band:
    seen = sum(y for _, y in rows)
    low, high = wilson(seen, len(rows)) if rows else (0.0, 1.0)
    return Band(name, len(rows), seen, math.fsum(p for p, _ in rows), low, high)
