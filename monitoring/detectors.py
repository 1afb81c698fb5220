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

**Since when.** Beside each sum runs a product that starts anew whenever it falls to 1 or below
(Page's CUSUM in product form, Biometrika 41, 1954). The stretch of the bet whose product stands
highest at the alarm is the evidence shown with it. It describes the alarm and does not raise it.

Names a limit may carry: `threshold`, `interval`, and `e-sr` with parameters, such as
`e-sr run_length=2500` or `e-sr run_length=20000 maturity_days=30`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from monitoring.errors import DetectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DETECTORS = ("threshold", "interval", "e-sr")  # what a limit may name
SEQUENTIAL = "e-sr"
RUN_LENGTH_MAX = 10**9  # observations; beyond it nobody lives to see a false alarm
MATURITY_DAYS_MAX = 36_500  # a hundred years

SCHEMA = "assay/detector-state/v1"
CEILING = 1e300  # evidence is kept below, so that it never overflows to infinity
PD_TOLERANCE, PD_CAP = 1.1, 0.95  # a tenth more defaults than promised is tolerated
_WHOLE = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """The detector a limit names, with its parameters where it states any."""

    name: str
    run_length: int | None = None
    maturity_days: int | None = None


def parse_detector(text: str) -> Choice:
    """Read `threshold`, `interval`, or `e-sr` and its parameters. Raises ValueError."""
    name, *words = text.split(" ")
    if name not in DETECTORS:
        message = f"detector {text!r} is not one of {', '.join(DETECTORS)}"
        raise ValueError(message)
    most = {"run_length": RUN_LENGTH_MAX, "maturity_days": MATURITY_DAYS_MAX}
    found: dict[str, int] = {}
    for word in words:
        key, _, value = word.partition("=")
        known = name == SEQUENTIAL and key in most and key not in found
        if not known or not _WHOLE.fullmatch(value) or int(value) > most[key]:
            message = (
                f"detector {text!r}: after e-sr may stand run_length=N and maturity_days=N, "
                "once each"
            )
            raise ValueError(message)
        found[key] = int(value)
    if found.get("run_length") == 0:
        message = f"detector {text!r}: a run length of 0 promises nothing"
        raise ValueError(message)
    return Choice(name, **found)


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
        if not self.lowest <= self.tolerated_mean < self.highest:
            raise DetectorError(self.name, f"no mean can exceed {self.tolerated_mean:g}")
        if 1 + max(self.bets) * (self.lowest - self.tolerated_mean) <= 0:
            raise DetectorError(self.name, f"a bet of {max(self.bets)} can lose everything")
        if not self.run_length >= 1:
            raise DetectorError(self.name, f"a run length of {self.run_length} promises nothing")

    def with_run_length(self, run_length: float) -> Detector:
        """The same, with another promise."""
        return replace(self, run_length=run_length)

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
class Run:
    """The stretch over which one bet has been gaining, up to the newest observation."""

    product: float = 1.0
    leaf: int = -1  # of its first prediction; -1: none
    row: int = -1
    count: int = 0
    total: float = 0.0  # sum of the observations
    since: str = ""  # when the first of the outcomes was observed
    first_outcome: int = -1  # leaves of the outcomes
    last_outcome: int = -1

    def to_json(self) -> list[Any]:
        """Exact."""
        counts = [self.leaf, self.row, self.count, self.first_outcome, self.last_outcome]
        return [self.product.hex(), self.total.hex(), *counts, self.since]


@dataclass(frozen=True, slots=True)
class Alarm:
    """When the evidence first reached the run length, and the stretch that carried it there."""

    leaf: int
    row: int
    count: int  # observations read up to it since the start
    since: Run

    def to_json(self) -> list[Any]:
        """Exact."""
        return [self.leaf, self.row, self.count, self.since.to_json()]


@dataclass(frozen=True, slots=True)
class State:
    """Where a detector stands after `count` observations."""

    parameters: str  # digest of the detector
    sums: tuple[float, ...]
    runs: tuple[Run, ...]
    count: int = 0
    last_leaf: int = -1
    last_row: int = -1
    alarm: Alarm | None = None

    @property
    def alarm_leaf(self) -> int | None:
        """Prediction whose outcome brought the evidence to the run length."""
        return None if self.alarm is None else self.alarm.leaf

    @property
    def evidence(self) -> float:
        """Average over bets."""
        return _average(self.sums)

    def to_json(self) -> dict[str, Any]:
        """Exact: floats as hexadecimal text."""
        return {
            "state_schema": SCHEMA,
            "parameters": self.parameters,
            "sums": [value.hex() for value in self.sums],
            "count": self.count,
            "last_leaf": self.last_leaf,
            "last_row": self.last_row,
            "runs": [run.to_json() for run in self.runs],
            "alarm": None if self.alarm is None else self.alarm.to_json(),
        }


def start(detector: Detector) -> State:
    """Nothing seen."""
    bets = len(detector.bets)
    return State(detector.digest(), (0.0,) * bets, (Run(),) * bets)


def read_state(detector: Detector, told: Mapping[str, Any]) -> State:
    """State from its JSON. Raises DetectorError when it is of other parameters or malformed."""
    try:
        state = State(
            parameters=told["parameters"],
            sums=tuple(float.fromhex(text) for text in told["sums"]),
            count=told["count"],
            last_leaf=told["last_leaf"],
            last_row=told["last_row"],
            runs=tuple(_read_run(run) for run in told["runs"]),
            alarm=None if told["alarm"] is None else _read_alarm(told["alarm"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DetectorError(detector.name, f"its state cannot be read ({error})") from error
    _check_state(detector, state, told)
    return state


def _read_run(told: Sequence[Any]) -> Run:
    product, total, leaf, row, count, first, last, since = told
    if not isinstance(since, str):
        raise TypeError(since)
    product, total = float.fromhex(product), float.fromhex(total)
    return Run(product, leaf, row, count, total, since, first, last)


def _read_alarm(told: Sequence[Any]) -> Alarm:
    leaf, row, count, since = told
    return Alarm(leaf, row, count, _read_run(since))


def _check_state(detector: Detector, state: State, told: Mapping[str, Any]) -> None:
    runs = state.runs if state.alarm is None else (*state.runs, state.alarm.since)
    whole = [state.count, state.last_leaf, state.last_row]
    whole += [number for run in runs for number in run.to_json()[2:-1]]
    if state.alarm is not None:
        whole += [state.alarm.leaf, state.alarm.row, state.alarm.count]
    if told.get("state_schema") != SCHEMA or not all(type(number) is int for number in whole):
        raise DetectorError(detector.name, "its state is of another form")
    if state.parameters != detector.digest() or {len(state.sums), len(state.runs)} != {
        len(detector.bets)
    }:
        raise DetectorError(detector.name, f"its state belongs to parameters {state.parameters}")
    evidence = [*state.sums, *(run.product for run in runs)]
    if not all(0 <= value <= CEILING for value in evidence):
        raise DetectorError(detector.name, "its state holds impossible evidence")
    if not all(math.isfinite(run.total) for run in runs):
        raise DetectorError(detector.name, "its state holds an impossible sum")


@dataclass(frozen=True, slots=True)
class Seen:
    """Where an observation comes from: the prediction's place, and its outcome."""

    leaf: int
    row: int = 0
    outcome_leaf: int = -1
    observed_at: str = ""


def advance(detector: Detector, state: State, value: float, seen: Seen) -> State:
    """Read one observation. Raises DetectorError on one read before, or out of its bounds."""
    return advance_all(detector, state, [value], [seen])


def advance_all(
    detector: Detector, state: State, values: Iterable[float], seen: Iterable[Seen]
) -> State:
    """Read observations in order; the same bits as one by one. Raises like `advance`."""
    if state.parameters != detector.digest():
        raise DetectorError(detector.name, f"its state belongs to parameters {state.parameters}")
    walk = _Walk(detector, state)
    for value, where in zip(values, seen, strict=True):
        walk.step(float(value), where)
    return walk.state()


class _Walk:
    """A state taken apart, so that a million steps make no million copies."""

    def __init__(self, detector: Detector, state: State) -> None:
        self.detector, self.parameters = detector, state.parameters
        self.sums, self.runs = list(state.sums), list(state.runs)
        self.count, self.alarm = state.count, state.alarm
        self.last = (state.last_leaf, state.last_row)

    def step(self, value: float, seen: Seen) -> None:
        """One observation."""
        detector, place = self.detector, (seen.leaf, seen.row)
        if place <= self.last:
            reason = f"{place[0]}.{place[1]} does not come after {self.last[0]}.{self.last[1]}"
            raise DetectorError(detector.name, reason)
        if not detector.lowest <= value <= detector.highest:
            bounds = f"[{detector.lowest}, {detector.highest}]"
            reason = f"observation {value} at {place[0]}.{place[1]} is not in {bounds}"
            raise DetectorError(detector.name, reason)
        excess = value - detector.tolerated_mean
        for at, bet in enumerate(detector.bets):
            factor = 1 + bet * excess
            self.sums[at] = min(CEILING, (self.sums[at] + 1) * factor)
            self.runs[at] = _extend(self.runs[at], factor, value, seen)
        self.count, self.last = self.count + 1, place
        if self.alarm is None and _average(self.sums) >= detector.run_length:
            since = max(self.runs, key=lambda run: run.product)
            self.alarm = Alarm(seen.leaf, seen.row, self.count, since)

    def state(self) -> State:
        """Put together again."""
        sums, runs = tuple(self.sums), tuple(self.runs)
        return State(self.parameters, sums, runs, self.count, *self.last, self.alarm)


def _average(sums: Sequence[float]) -> float:
    return math.fsum(value / len(sums) for value in sums)


def _extend(run: Run, factor: float, value: float, seen: Seen) -> Run:
    at = seen.outcome_leaf
    if run.product <= 1:  # nothing gained yet: the stretch begins here
        return Run(factor, seen.leaf, seen.row, 1, value, seen.observed_at, at, at)
    product, total = min(CEILING, run.product * factor), run.total + value
    first, last = min(run.first_outcome, at), max(run.last_outcome, at)
    return Run(product, run.leaf, run.row, run.count + 1, total, run.since, first, last)


def close(state: State) -> State:
    """Start again after an alarm; who closed it and why is the caller's entry."""
    bets = len(state.sums)
    return replace(state, sums=(0.0,) * bets, runs=(Run(),) * bets, count=0, alarm=None)
