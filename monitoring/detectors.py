"""Alarms with a promised run length: Shiryaev-Roberts e-detectors ("e-SR").

Source: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change
detection", New England Journal of Statistics in Data Science 2 (2024). For each bet size b a sum S
starts at 0 and, at each observation x with tolerated mean m, becomes (S + 1)(1 + b(x - m)). The
evidence is the average over bets; the alarm comes when it reaches `run_length`. While the
conditional mean of x stays at or below m, the expected number of observations to a false alarm is
at least `run_length`, however often one looks. It promises nothing on how soon a change is found.

A detector reads each observation once, in ledger order, when its label is mature; a revision never
rewinds it. An alarm stays until `close`, which the caller records with a person and a reason. State
is plain JSON with floats in exact hexadecimal, so a stream cut anywhere goes on bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from monitoring.errors import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "assay/detector-state/v1"
CEILING = 1e300  # evidence is kept below, so that it never overflows to infinity
PD_TOLERANCE, PD_CAP = 1.1, 0.95  # a tenth more defaults than promised is tolerated


@dataclass(frozen=True, slots=True)
class Detector:
    """What is tolerated, how it is bet against, and how rare a false alarm must be.

    `lowest` and `highest` bound the observations; every factor stays positive within them.
    """

    name: str
    tolerated_mean: float
    bets: tuple[float, ...]
    lowest: float
    highest: float
    run_length: float

    def __post_init__(self) -> None:
        if not self.bets or min(self.bets) <= 0:
            raise DetectorError(self.name, "bets are positive, and there is at least one")
        if 1 + max(self.bets) * (self.lowest - self.tolerated_mean) <= 0:
            raise DetectorError(self.name, f"a bet of {max(self.bets)} can lose everything")
        if not self.run_length >= 1:
            raise DetectorError(self.name, f"a run length of {self.run_length} promises nothing")

    def digest(self) -> str:
        """Digest of every parameter; a state belongs to exactly one."""
        parts = [self.tolerated_mean, *self.bets, self.lowest, self.highest, self.run_length]
        text = json.dumps([self.name, *(float(part).hex() for part in parts)])
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# The defaults of our design note, chosen on simulated exceedances and on real rows in synthetic
# order. The excess Brier detector was chosen after another had failed there: exploratory.
EXCEEDANCES_990 = Detector("exceedances_990", 0.01, (2, 5, 10, 20, 40), 0.0, 1.0, 2_750)
PD_CALIBRATION = Detector(
    "pd_calibration", 0.0, (0.02, 0.05, 0.1, 0.2, 0.4, 0.8), -0.95, 1.0, 20_000
)
EXCESS_BRIER = Detector("excess_brier", 0.01, PD_CALIBRATION.bets, -0.125, 1.0, 20_000)


def observe_pd(probability: float, default: int) -> float:
    """Observation of the PD calibration detector."""
    return default - min(PD_TOLERANCE * probability, PD_CAP)


def observe_excess_brier(probability: float, default: int) -> float:
    """Observation of the excess Brier detector: mean zero for a calibrated model."""
    return (probability - default) ** 2 - probability * (1 - probability)


def sharing(detector: Detector, count: int) -> Detector:
    """One of `count` detectors that share a budget: together they keep the promised run length."""
    return replace(detector, run_length=detector.run_length * count)


@dataclass(frozen=True, slots=True)
class State:
    """Where a detector stands after `count` observations."""

    parameters: str  # digest of the detector
    sums: tuple[float, ...]
    count: int = 0
    last_leaf: int = -1
    last_row: int = -1
    alarm_leaf: int | None = None  # where the evidence first reached the run length

    @property
    def evidence(self) -> float:
        """Average over bets."""
        return math.fsum(value / len(self.sums) for value in self.sums)

    def to_json(self) -> dict[str, Any]:
        """Exact: floats as hexadecimal text."""
        return {
            "state_schema": SCHEMA,
            "parameters": self.parameters,
            "sums": [value.hex() for value in self.sums],
            "count": self.count,
            "last_leaf": self.last_leaf,
            "last_row": self.last_row,
            "alarm_leaf": self.alarm_leaf,
        }


def start(detector: Detector) -> State:
    """Nothing seen."""
    return State(detector.digest(), (0.0,) * len(detector.bets))


def read_state(detector: Detector, told: Mapping[str, Any]) -> State:
    """State from its JSON. Raises DetectorError when it is of other parameters or malformed."""
    try:
        state = State(
            parameters=told["parameters"],
            sums=tuple(float.fromhex(text) for text in told["sums"]),
            count=told["count"],
            last_leaf=told["last_leaf"],
            last_row=told["last_row"],
            alarm_leaf=told["alarm_leaf"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DetectorError(detector.name, f"its state cannot be read ({error})") from error
    whole = (state.count, state.last_leaf, state.last_row, state.alarm_leaf or 0)
    if told.get("state_schema") != SCHEMA or not all(type(number) is int for number in whole):
        raise DetectorError(detector.name, "its state is of another form")
    if state.parameters != detector.digest() or len(state.sums) != len(detector.bets):
        raise DetectorError(detector.name, f"its state belongs to parameters {state.parameters}")
    if not all(0 <= value <= CEILING for value in state.sums):
        raise DetectorError(detector.name, "its state holds impossible evidence")
    return state


def advance(detector: Detector, state: State, value: float, *, leaf: int, row: int = 0) -> State:
    """Read one observation. Raises DetectorError on one read before, or out of its bounds."""
    if state.parameters != detector.digest():
        raise DetectorError(detector.name, f"its state belongs to parameters {state.parameters}")
    if (leaf, row) <= (state.last_leaf, state.last_row):
        seen = f"{state.last_leaf}.{state.last_row}"
        raise DetectorError(detector.name, f"{leaf}.{row} does not come after {seen}")
    if not detector.lowest <= value <= detector.highest:
        bounds = f"[{detector.lowest}, {detector.highest}]"
        raise DetectorError(
            detector.name, f"observation {value} at {leaf}.{row} is not in {bounds}"
        )
    excess = value - detector.tolerated_mean
    sums = tuple(
        min(CEILING, (held + 1) * (1 + bet * excess))
        for held, bet in zip(state.sums, detector.bets, strict=True)
    )
    after = State(state.parameters, sums, state.count + 1, leaf, row, state.alarm_leaf)
    if after.alarm_leaf is None and after.evidence >= detector.run_length:
        return replace(after, alarm_leaf=leaf)
    return after


def close(state: State) -> State:
    """Start again after an alarm; who closed it and why is the caller's entry."""
    return replace(state, sums=(0.0,) * len(state.sums), count=0, alarm_leaf=None)
