"""What an e-detector says of a limit: evidence, since when, and the run length it promises.

The figure beside it is the metric over everything judged; the alarm comes from the evidence alone.
An alarm stays until a person closes it (`following.py`), even while labels become too few.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitoring.errors import DetectorError
from monitoring.following import read_progress
from monitoring.metrics import decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitoring.columns import Outcomes, Predictions
    from monitoring.detectors import Alarm, Run
    from monitoring.following import Follower, Progress
    from monitoring.metrics import R

_SHOWN = 1e9  # evidence is printed as a number up to here


@dataclass(frozen=True, slots=True)
class Log:
    """What followers read: rows of one model in ledger order."""

    rows: Predictions
    outcomes: Outcomes
    readings: Sequence[int]  # the last is the leaf asked for
    closings: Mapping[int, Sequence[int]]  # leaves by limit
    progress: Mapping[int, Mapping[str, Any]]  # as recorded, by limit


@dataclass(frozen=True, slots=True)
class Watched:
    """A follower and how far it came."""

    follower: Follower[Any]
    progress: Progress

    @property
    def alarm(self) -> Alarm | None:
        """Set while it stands."""
        return self.progress.state.alarm

    @property
    def guarantee(self) -> str:
        """What is promised of false alarms."""
        detector = self.follower.detector
        return (
            f"at least {detector.run_length:g} outcomes on average to a false alarm, however "
            "often one looks, while every outcome keeps to the limit on average given those before"
        )

    def reason(self) -> str:
        """What it says now."""
        state, detector = self.progress.state, self.follower.detector
        if state.alarm is not None:
            run = state.alarm.since
            return (
                f"evidence reached {detector.run_length:g} at prediction {state.alarm.leaf}."
                f"{state.alarm.row}, carried by {run.count} outcomes since prediction "
                f"{run.leaf}.{run.row} ({run.since}); it stays until a person closes it"
            )
        return (
            f"evidence {_amount(state.evidence)} of {detector.run_length:g} "
            f"after {state.count} outcomes"
        )

    def to_json(self) -> dict[str, Any]:
        """The evidence in words and numbers, and the exact progress with its digest."""
        state, told = self.progress.state, self.progress.to_json()
        best = max(state.runs, key=lambda run: run.product)
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return {
            "evidence": _amount(state.evidence),
            "needed": f"{self.follower.detector.run_length:g}",
            "outcomes_read": state.count,
            "passed_unlabelled": self.progress.unlabelled,
            "passed_unusable": self.progress.unusable,
            "gaining": _run(best) if best.product > 1 else None,
            "alarm": None if state.alarm is None else _alarm(state.alarm),
            "progress": told,
            "progress_digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        }


def watch(follower: Follower[R], limit_leaf: int, log: Log) -> Watched:
    """Go on from the recorded progress, or from the first leaf when there is none that fits."""
    progress = follower.start()
    told = log.progress.get(limit_leaf)
    if told is not None:
        try:
            progress = read_progress(follower.detector, told)
        except DetectorError:
            told = None  # of other parameters or harmed: the log has everything needed
    if progress.read_to > log.readings[-1]:
        progress = follower.start()  # recorded later than what is asked for
    followed = follower.follow(
        progress,
        log.rows,
        log.outcomes,
        readings=log.readings,
        closings=log.closings.get(limit_leaf, ()),
    )
    return Watched(follower, followed)


def gather_closings(closings: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Leaves of closings by the leaf of their limit."""
    found: dict[int, list[int]] = {}
    for leaf, limit_leaf in closings:
        found.setdefault(limit_leaf, []).append(leaf)
    return found


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "prediction": f"{alarm.leaf}.{alarm.row}",
        "outcomes_read": alarm.count,
        "carried_by": _run(alarm.since),
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "since_prediction": f"{run.leaf}.{run.row}",
        "since": run.since,
        "outcomes": run.count,
        "mean_observation": decimal_text(run.total / run.count),
        "first_outcome_leaf": run.first_outcome,
        "last_outcome_leaf": run.last_outcome,
    }


def _amount(evidence: float) -> str:
    return decimal_text(evidence, 2) if evidence < _SHOWN else "over 1000000000"
