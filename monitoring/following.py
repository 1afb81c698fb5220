"""A detector's way through the log: which outcome it reads when, so that every reader agrees.

- A **reading** is a leaf up to which a correctness report evaluated, and last the leaf asked for
  now. At a reading a detector knows the outcomes recorded up to it and no others.
- Predictions are passed in ledger order, each once. The one in front is passed when it is
  **mature**: with a stated maturity, once an outcome of the model was observed that many days after
  the instant the forecast speaks from; in a series, once it or a later one has an outcome. So
  labels enter at maturity and not at arrival: defaults are known early and repayments late, and
  reading arrivals would make every young month look bad.
- Whatever its newest outcome is at that reading is read. Without one it is passed unlabelled and
  counted; a label or a revision that comes later is not read and never rewinds anything.
- A forecast that claims an `as_of` after its own record matures from its record, so that nobody can
  hold a detector up with a date.
- An alarm closed at a leaf starts the detector anew at the first reading from there on.

Where it stands (`Progress`) is plain JSON inside the report; taken from there or computed from the
first leaf, the bits are the same. Only an erasure between the two makes a difference: what was read
then can be read no more, and the recorded state is what remains of it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from monitoring import detectors
from monitoring.columns import NO_TIME, ROW_BITS, micros
from monitoring.detectors import Detector, Seen, State
from monitoring.errors import DetectorError
from monitoring.metrics import R
from monitoring.outcomes import is_legible, label_of, speaks_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitoring.columns import Outcomes, Predictions
    from monitoring.outcomes import Labelled
    from monitoring.source import Outcome, Prediction

SCHEMA = "assay/detector-progress/v1"
NOTHING = (-1, -1)
LONG_AGO = int(NO_TIME)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a detector has come."""

    state: State
    read_to: int = -1  # the last reading
    passed: tuple[int, int] = NOTHING  # leaf and row of the last prediction passed
    newest_observed: int = LONG_AGO  # microseconds since 1970
    newest_labelled: tuple[int, int] = NOTHING
    unlabelled: int = 0  # mature and without an outcome when passed
    unusable: int = 0  # not of this kind, not legible, or no forecast

    def to_json(self) -> dict[str, Any]:
        """Exact."""
        return {
            "progress_schema": SCHEMA,
            "state": self.state.to_json(),
            "read_to": self.read_to,
            "passed": list(self.passed),
            "newest_observed": str(self.newest_observed),  # beyond what JSON numbers are exact for
            "newest_labelled": list(self.newest_labelled),
            "unlabelled": self.unlabelled,
            "unusable": self.unusable,
        }


def read_progress(detector: Detector, told: Mapping[str, Any]) -> Progress:
    """Progress from its JSON. Raises DetectorError on another detector's, or a malformed one."""
    try:
        whole = [told["read_to"], *told["passed"], *told["newest_labelled"]]
        whole += [told["unlabelled"], told["unusable"]]
        (leaf, row), (last_leaf, last_row) = told["passed"], told["newest_labelled"]
        observed = int(told["newest_observed"])
        if told["progress_schema"] != SCHEMA or not all(type(number) is int for number in whole):
            raise DetectorError(detector.name, "its progress is of another form")
        state = detectors.read_state(detector, told["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise DetectorError(detector.name, f"its progress cannot be read ({error})") from error
    return Progress(
        state,
        read_to=told["read_to"],
        passed=(leaf, row),
        newest_observed=observed,
        newest_labelled=(last_leaf, last_row),
        unlabelled=told["unlabelled"],
        unusable=told["unusable"],
    )


@dataclass(frozen=True, slots=True)
class Follower(Generic[R]):
    """One detector, and what it needs to read rows."""

    detector: Detector
    read: Callable[[Labelled], R | None]
    observe: Callable[[R], float]
    judges: Callable[[int], bool]  # whether a forecast at a leaf falls under the limit
    maturity_days: int | None  # None: a series, mature by sequence

    def start(self) -> Progress:
        """Nothing passed."""
        return Progress(detectors.start(self.detector))

    def follow(
        self,
        progress: Progress,
        rows: Predictions,
        outcomes: Outcomes,
        *,
        readings: Iterable[int],
        closings: Iterable[int],
    ) -> Progress:
        """Go on from `progress` through each reading after it.

        `rows` and `outcomes` in ledger order; everything up to `read_to` that was passed already
        may be left out. `closings` are leaves.
        """
        leaf, row = progress.passed
        passed = (leaf << ROW_BITS) | row if leaf >= 0 else -1
        first = int(np.searchsorted(rows.keys, passed, side="right"))
        walk = _Walk(self, progress, rows, first)
        todo = sorted({leaf for leaf in readings if leaf > progress.read_to})
        news = np.flatnonzero((outcomes.leaf > progress.read_to) | (outcomes.keys > passed))
        ends = np.searchsorted(outcomes.leaf[news], np.asarray(todo, np.int64), side="right")
        closed, at = sorted(closings), 0
        for reading, end in zip(todo, ends.tolist(), strict=True):
            walk.close(closed, reading)
            for place in news[at:end].tolist():
                walk.learn(outcomes.at(place))
            at = end
            walk.pass_mature(reading)
        return walk.progress


@dataclass(slots=True)
class _Walk(Generic[R]):
    """The one part that changes while it goes."""

    follower: Follower[R]
    progress: Progress
    rows: Predictions
    front: int
    known: dict[str, Outcome] = field(default_factory=dict)

    def close(self, closed: Sequence[int], reading: int) -> None:
        """Start anew when a person closed the alarm since the last reading."""
        now = self.progress
        since = bisect_right(closed, now.read_to)
        fresh = since < len(closed) and closed[since] <= reading
        if fresh and now.state.alarm is not None:
            self.progress = replace(now, state=detectors.close(now.state))

    def learn(self, outcome: Outcome) -> None:
        """Know an outcome from now on."""
        self.known[outcome.prediction_id] = outcome
        if outcome.leaf_index <= self.progress.read_to or not is_legible(outcome):
            return
        leaf, _, row = outcome.prediction_id.partition(".")
        self.progress = replace(
            self.progress,
            newest_observed=max(self.progress.newest_observed, micros(outcome.observed_at)),
            newest_labelled=max(self.progress.newest_labelled, (int(leaf), int(row or 0))),
        )

    def pass_mature(self, reading: int) -> None:
        """Pass predictions from the front as long as they are mature."""
        while self.front < len(self.rows):
            if self.rows.leaf[self.front] > reading:
                break
            row = self.rows.at(self.front)
            if not self._is_mature(row):
                break
            self._pass(row)
            self.front += 1
        self.progress = replace(self.progress, read_to=reading)

    def _is_mature(self, row: Prediction) -> bool:
        days = self.follower.maturity_days
        if days is None:
            return _place(row) <= self.progress.newest_labelled
        return speaks_by(row, days) <= self.progress.newest_observed

    def _pass(self, row: Prediction) -> None:
        now = replace(self.progress, passed=_place(row))
        if self.follower.judges(row.leaf_index):
            outcome = self.known.get(row.prediction_id)
            if outcome is None:
                now = replace(now, unlabelled=now.unlabelled + 1)
            else:
                now = self._read(now, row, outcome)
        self.progress = now

    def _read(self, now: Progress, row: Prediction, outcome: Outcome) -> Progress:
        label = label_of(row, outcome)
        seen = self.follower.read(label) if label is not None else None
        if seen is None:
            return replace(now, unusable=now.unusable + 1)
        where = Seen(row.leaf_index, row.row_index, outcome.leaf_index, outcome.observed_at)
        value = self.follower.observe(seen)
        state = detectors.advance(self.follower.detector, now.state, value, where)
        return replace(now, state=state)


def _place(row: Prediction) -> tuple[int, int]:
    return row.leaf_index, row.row_index
