"""Outputs as they are judged: what records a probability is given the log-odds that metrics read.

Forests add up shares, so they record `probability_q16`; every metric reads `margin_q16`. One is the
other's logit, taken from a table of all 65,537 values, so that a row and a column agree. Nothing
here is recorded. A share of 0 or 1 counts as the nearest one between.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SCALE: Final = 1 << 16
PROBABILITY: Final = "probability_q16"
MARGIN: Final = "margin_q16"


def judged_row(outputs: Mapping[str, int]) -> dict[str, int]:
    """A row's outputs, and a margin where it has a probability and none."""
    found = dict(outputs)
    if PROBABILITY in found and MARGIN not in found:
        found[MARGIN] = int(margins(np.asarray([found[PROBABILITY]]))[0])
    return found


def judged_columns(outputs: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """The same of many rows."""
    found = dict(outputs)
    if PROBABILITY in found and MARGIN not in found:
        found[MARGIN] = margins(found[PROBABILITY])
    return found


def margins(shares: NDArray[Any]) -> NDArray[np.int64]:
    """The logit of each share, both in units of 2^-16."""
    found: NDArray[np.int64] = _table()[np.clip(shares, 0, SCALE)]
    return found


@cache
def _table() -> NDArray[np.int64]:
    between = (min(max(share, 1), SCALE - 1) for share in range(SCALE + 1))
    return np.asarray(
        [round(math.log(share / (SCALE - share)) * SCALE) for share in between], np.int64
    )
