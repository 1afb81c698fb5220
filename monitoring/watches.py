"""How a metric is watched one outcome at a time: what is observed, and what it may be on average.

Each watch turns a signed bound into an e-detector (`detectors.py`) and a labelled row into an
observation whose mean stays at or below the tolerated one while the bound holds, row by row, given
everything before:

- **share** (exceedances, hits): 1 or 0 against the bound; for a `min` side the complement against
  its complement.
- **calibration ratio**: default - min(bound x p, 0.95) against 0; for `min` the negative.
- **excess Brier score**: (p - y)^2 - p(1 - p) against the bound; for `min` the negative. Its mean
  is zero for a calibrated model whatever the mix of customers.

Bets and run lengths come from our design note and from docs/detection.md: for 99% value at risk 2,
5, 10, 20, 40 (shares of 1/bound, so that another level has the same shape) and 2,500 days, ten
years; for credit .02 to .8 and 20,000 loans. A limit may state its own run length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring.detectors import PD_CALIBRATION, PD_CAP, Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitoring.rows import Rows

DAYS_RUN_LENGTH = 2_500  # 2,750 missed a target by a day and a half in a first acceptance
LOANS_RUN_LENGTH = 20_000
RARE_BETS = (0.02, 0.05, 0.1, 0.2, 0.4)  # of 1/bound, on an event rarer than it should be allowed
COMMON_BETS = (0.05, 0.1, 0.2, 0.4, 0.8)  # on an event that is common
_RARE = 0.2  # a bound below it is a rare event's


@dataclass(frozen=True, slots=True)
class Watch:
    """A metric's detector for a side and a bound, and what it observes of each row."""

    make: Callable[[str, float], Detector]
    observe: Callable[[Rows[Any], str, float], NDArray[np.float64]]


def share(name: str, column: str, *, run_length: float) -> Watch:
    """Watch how often something happens: a column of flags."""

    def make(side: str, bound: float) -> Detector:
        mean = bound if side == "max" else 1 - bound
        bets = tuple(b / mean for b in RARE_BETS) if 0 < mean < _RARE else COMMON_BETS
        return Detector(f"{name} {side}", mean, bets, 0.0, 1.0, run_length)

    def observe(rows: Rows[Any], side: str, bound: float) -> NDArray[np.float64]:  # noqa: ARG001
        return np.asarray(rows.columns[column] == (side == "max"), np.float64)

    return Watch(make, observe)


def calibration() -> Watch:
    """Watch defaults against `bound` times what was promised."""

    def make(side: str, bound: float) -> Detector:  # noqa: ARG001 - the bound is in the observation
        lowest, highest = (-PD_CAP, 1.0) if side == "max" else (-1.0, PD_CAP)
        name = f"calibration_ratio {side}"
        return Detector(name, 0.0, PD_CALIBRATION.bets, lowest, highest, LOANS_RUN_LENGTH)

    def observe(rows: Rows[Any], side: str, bound: float) -> NDArray[np.float64]:
        beyond = rows.columns["default"] - np.minimum(bound * rows.columns["pd"], PD_CAP)
        return np.asarray(beyond if side == "max" else -beyond)

    return Watch(make, observe)


def excess_brier() -> Watch:
    """Watch the squared error beyond what the probabilities expect of themselves."""

    def make(side: str, bound: float) -> Detector:
        lowest, highest = (-0.125, 1.0) if side == "max" else (-1.0, 0.125)
        mean = bound if side == "max" else -bound
        name = f"excess_brier {side}"
        return Detector(name, mean, PD_CALIBRATION.bets, lowest, highest, LOANS_RUN_LENGTH)

    def observe(rows: Rows[Any], side: str, bound: float) -> NDArray[np.float64]:  # noqa: ARG001
        p = rows.columns["pd"]
        gap = p - rows.columns["default"]
        excess = gap * gap - p * (1 - p)
        return np.asarray(excess if side == "max" else -excess)

    return Watch(make, observe)
