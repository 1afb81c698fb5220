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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from monitoring import detectors
from monitoring.columns import NO_TIME, ROW_BITS, moments
from monitoring.detectors import Detector, Seen, State
from monitoring.errors import DetectorError
from monitoring.metrics import R
from monitoring.outcomes import LabelledRows, legible, places, speaks_by, usable_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitoring.columns import Outcomes, Predictions
    from monitoring.rows import Rows

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
    rows: Callable[[LabelledRows], Rows[R]]
    observe: Callable[[Rows[R]], NDArray[np.float64]]
    after: int  # forecasts of leaves between the two fall under the limit
    before: int | None
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
        ahead = rows.take(
            slice(int(np.searchsorted(rows.keys, _key(progress.passed), "right")), None)
        )
        walk = _Walk(self, progress, ahead, outcomes, sorted(closings))
        for reading in sorted({leaf for leaf in readings if leaf > progress.read_to}):
            walk.read(reading)
        return walk.progress


class _Walk(Generic[R]):
    """The one part that changes on the way: `front` rows passed, `heard` outcomes known."""

    def __init__(
        self,
        follower: Follower[R],
        progress: Progress,
        rows: Predictions,
        outcomes: Outcomes,
        closed: Sequence[int],
    ) -> None:
        self.follower, self.progress = follower, progress
        self.rows, self.outcomes, self.closed = rows, outcomes, closed
        self.front = self.heard = 0
        self.newest = np.full(len(rows), -1, np.int64)
        self.place, self.ahead = places(rows.keys, outcomes.keys)
        self.legible = legible(outcomes)
        self.observed = moments(outcomes.observed_at)
        self.due = np.empty(0, np.int64)
        if follower.maturity_days is not None:
            self.due = speaks_by(rows, follower.maturity_days)

    def read(self, reading: int) -> None:
        """Close, learn what was recorded up to the reading, pass what is mature by it."""
        if self._was_closed(reading) and self.progress.state.alarm is not None:
            self.progress = replace(self.progress, state=detectors.close(self.progress.state))
        self._learn(reading)
        end = self._end(reading)
        if end > self.front:
            self._pass(slice(self.front, end))
            self.front = end
        self.progress = replace(self.progress, read_to=reading)

    def _was_closed(self, reading: int) -> bool:
        since = bisect_right(self.closed, self.progress.read_to)
        return since < len(self.closed) and self.closed[since] <= reading

    def _learn(self, reading: int) -> None:
        known = int(np.searchsorted(self.outcomes.leaf, reading, side="right"))
        news = np.arange(self.heard, known)
        mine = news[self.ahead[news]]
        np.maximum.at(self.newest, self.place[mine], mine)
        fresh = news[(self.outcomes.leaf[news] > self.progress.read_to) & self.legible[news]]
        if len(fresh):
            newest = int(self.outcomes.keys[fresh].max())
            observed = int(self.observed[fresh].max())
            self.progress = replace(
                self.progress,
                newest_observed=max(self.progress.newest_observed, observed),
                newest_labelled=max(self.progress.newest_labelled, _unkey(newest)),
            )
        self.heard = known

    def _end(self, reading: int) -> int:
        """One past the last row to pass: recorded by the reading, and all before it mature too."""
        recorded = int(np.searchsorted(self.rows.leaf, reading, side="right"))
        if self.follower.maturity_days is None:
            labelled = _key(self.progress.newest_labelled)
            return min(recorded, int(np.searchsorted(self.rows.keys, labelled, side="right")))
        young = np.flatnonzero(self.due[self.front : recorded] > self.progress.newest_observed)
        return self.front + int(young[0]) if len(young) else recorded

    def _pass(self, cut: slice) -> None:
        rows, newest = self.rows.take(cut), self.newest[cut]
        judged = rows.leaf > self.follower.after
        if self.follower.before is not None:
            judged &= rows.leaf < self.follower.before
        usable = judged & usable_pairs(rows, self.outcomes, newest)
        at = np.flatnonzero(usable)
        labelled = LabelledRows(rows, self.outcomes, at, newest[at])
        found = self.follower.rows(labelled)
        unlabelled = int((judged & (newest < 0)).sum())
        now = self.progress
        self.progress = replace(
            now,
            state=detectors.advance_all(
                self.follower.detector, now.state, self.follower.observe(found), _seen(found)
            ),
            passed=_unkey(int(rows.keys[-1])),
            unlabelled=now.unlabelled + unlabelled,
            unusable=now.unusable + int(judged.sum()) - unlabelled - len(found),
        )


def _seen(rows: Rows[R]) -> Iterator[Seen]:
    """Where each observation comes from."""
    labelled = rows.labelled
    leaf, row = labelled.leaf, labelled.rows.row[labelled.at_row]
    observed = labelled.outcomes.observed_at
    texts, codes = observed.table, observed.codes[labelled.at_outcome]
    columns = (leaf, row, labelled.outcome_leaf, codes)
    for at_leaf, at_row, outcome, code in zip(*(c.tolist() for c in columns), strict=True):
        yield Seen(at_leaf, at_row, outcome, texts[code])


def _key(place: tuple[int, int]) -> int:
    leaf, row = place
    return (leaf << ROW_BITS) | row if leaf >= 0 else -1


def _unkey(key: int) -> tuple[int, int]:
    return key >> ROW_BITS, key & ((1 << ROW_BITS) - 1)
