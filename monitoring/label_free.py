"""What may be expected before labels come (CBPE), and what that cannot see.

Confidence-based performance estimation: if every probability is right, a forecast with probability
p is a default with chance p, so an expected AUC and default rate follow from the probabilities
alone. The assumption is the whole of it: when the relation of inputs and outcomes changes and the
inputs do not, nothing here moves. It raises no alarm and enters no standing.

The expected AUC is the expectation of Mann-Whitney's numerator over that of its denominator, ties
half. The interval of the default rate is that of a sum of independent defaults at these chances.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring.calibration import probabilities
from monitoring.metrics import Table, decimal_text
from monitoring.performance import Z95, exact_sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitoring.outcomes import Joined
    from monitoring.rows import Rows

FEWEST = 30  # forecasts


def expected_auc(pd: NDArray[np.float64]) -> float | None:
    """AUC to be expected if every probability is right; None when no two outcomes can differ."""
    order = np.argsort(pd, kind="stable")
    p = pd[order]
    starts = np.flatnonzero(np.r_[True, p[1:] != p[:-1]])
    good = np.add.reduceat(1 - p, starts)
    bad = np.add.reduceat(p, starts)
    below = np.cumsum(good) - good
    pairs = exact_sum(p) * exact_sum(1 - p)
    return exact_sum(bad * (below + good / 2)) / pairs if pairs > 0 else None


def expected_rate(pd: NDArray[np.float64]) -> tuple[float, float, float]:
    """Expected default rate and its interval."""
    n = len(pd)
    rate = exact_sum(pd) / n
    half = Z95 * math.sqrt(exact_sum(pd * (1 - pd))) / n
    return rate, max(0.0, rate - half), min(1.0, rate + half)


def tables(rows: Rows[Any], joined: Joined) -> list[Table]:
    """Estimates for forecasts whose labels are not due yet, beside those of the labelled ones."""
    every = joined.labelled.rows
    margins = every.outputs.get("margin_q16")
    shown = []
    if len(rows) >= FEWEST:
        shown.append(_row("with a mature label", rows.columns["pd"]))
    if margins is not None:
        waiting = joined.waiting[every.outputs_given["margin_q16"][joined.waiting]]
        if len(waiting) >= FEWEST:
            shown.append(_row("still waiting for one", probabilities(margins[waiting])))
    if not shown:
        return []
    return [
        Table(
            "Label-free estimate (CBPE): assumes unchanged P(y|x), cannot see that it changed",
            ("Forecasts", "Count", "Expected AUC", "Expected default rate", "Low 95%", "High 95%"),
            tuple(shown),
        )
    ]


def _row(name: str, pd: NDArray[np.float64]) -> tuple[str, ...]:
    ranking = expected_auc(pd)
    told = "" if ranking is None else decimal_text(ranking, 4)
    return (name, str(len(pd)), told, *(decimal_text(v, 4) for v in expected_rate(pd)))
