"""Outcomes joined to predictions by prediction id: what may count, and what is missing.

Rules, in order:

- The newest outcome of a row, by leaf, counts; older ones were revised and are only counted.
- **Only a forecast counts.** The outcome's leaf must follow the prediction's, and the outcome must
  not have been observed before the instant the forecast speaks from: its `as_of`, or the time of
  the record when it states none. Two times of which one is a plain date compare as dates.
- For a series (one forecast a day) the first forecast of an `as_of` counts and later ones are
  repeats, so nobody can forecast a day ten times and label the lucky one.
- **Maturity.** With a horizon: a row is mature once the newest observation in the range lies past
  its instant plus the horizon, and a label known earlier waits, because defaults are known before
  non-defaults. Without one: a row is mature once it, or any later row, has its outcome, so a gap
  in the labels shows as unlabelled and never as good.

`recorded_after` counts forecasts recorded after their outcome was observed, by the stated times:
all of a replay of history, none of live use. They count, since the log cannot tell the two apart,
and the number is shown so that a reader can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitoring.source import Outcome, Prediction

DATE_LENGTH = len("2026-11-25")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A forecast and what happened."""

    prediction: Prediction
    outcome: Outcome
    value: Fraction


@dataclass(frozen=True, slots=True)
class Joined:
    """Forecasts with a mature label, in ledger order, and the count of everything else."""

    labelled: tuple[Labelled, ...]
    predictions: int  # rows read
    matured: int  # of these, old enough to have a label
    revised: int  # outcomes replaced by a newer one
    not_forecasts: int  # the outcome came first
    repeats: int  # a later forecast of a day already forecast
    unreadable: int  # a value that is no decimal number, or a time that is no time
    orphans: int  # outcomes of no row read here
    recorded_after: int
    unlabelled_ids: tuple[str, ...]

    @property
    def unlabelled_share(self) -> Fraction | None:
        """Share of mature forecasts with no label; None when none is mature."""
        if not self.matured:
            return None
        return Fraction(self.matured - len(self.labelled), self.matured)


@dataclass(slots=True)
class _Tally:
    not_forecasts: int = 0
    unreadable: int = 0


def join(
    predictions: Sequence[Prediction],
    outcomes: Iterable[Outcome],
    *,
    series: bool,
    horizon_days: int | None,
) -> Joined:
    """Join by prediction id under the rules above; `predictions` come in ledger order."""
    newest, revised = _newest(outcomes)
    rows, repeats = first_of_each_day(predictions) if series else (list(predictions), 0)
    tally = _Tally()
    found: list[tuple[Prediction, Labelled | None]] = []
    for row in rows:
        outcome = newest.get(row.prediction_id)
        if outcome is not None and not is_readable(row, outcome):
            tally.unreadable += 1
            outcome = None
        if outcome is not None and not is_forecast(row, outcome):
            tally.not_forecasts += 1
            continue
        label = Labelled(row, outcome, Fraction(outcome.value)) if outcome else None
        found.append((row, label))
    mature = _mature(found, horizon_days)
    labelled = tuple(pair for (_, pair), old in zip(found, mature, strict=True) if pair and old)
    known = {row.prediction_id for row in predictions}
    return Joined(
        labelled=labelled,
        predictions=len(predictions),
        matured=sum(mature),
        revised=revised,
        not_forecasts=tally.not_forecasts,
        repeats=repeats,
        unreadable=tally.unreadable,
        orphans=sum(1 for name in newest if name not in known),
        recorded_after=sum(1 for pair in labelled if _recorded_after(pair)),
        unlabelled_ids=tuple(
            row.prediction_id
            for (row, pair), old in zip(found, mature, strict=True)
            if old and pair is None
        ),
    )


def label_delay_days(labelled: Sequence[Labelled]) -> int | None:
    """Lower median of whole days from a forecast's instant to its observation."""
    days = sorted(
        (instant(pair.outcome.observed_at) - instant(speaks_from(pair.prediction))).days
        for pair in labelled
    )
    return days[(len(days) - 1) // 2] if days else None


def _newest(outcomes: Iterable[Outcome]) -> tuple[dict[str, Outcome], int]:
    newest: dict[str, Outcome] = {}
    revised = 0
    for outcome in outcomes:
        held = newest.get(outcome.prediction_id)
        if held is not None:
            revised += 1
            if held.leaf_index > outcome.leaf_index:
                continue
        newest[outcome.prediction_id] = outcome
    return newest, revised


def first_of_each_day(predictions: Sequence[Prediction]) -> tuple[list[Prediction], int]:
    """The first forecast of each `as_of`, and how many others there were."""
    seen: set[str] = set()
    kept = []
    for row in predictions:
        if row.as_of is not None:
            if row.as_of in seen:
                continue
            seen.add(row.as_of)
        kept.append(row)
    return kept, len(predictions) - len(kept)


def label_of(row: Prediction, outcome: Outcome) -> Labelled | None:
    """A forecast with its outcome; None when it cannot be read or was no forecast."""
    if not is_readable(row, outcome) or not is_forecast(row, outcome):
        return None
    return Labelled(row, outcome, Fraction(outcome.value))


def is_readable(row: Prediction, outcome: Outcome) -> bool:
    """Whether both times are times and the value is a decimal number."""
    try:
        instant(speaks_from(row))
    except ValueError:
        return False
    return is_legible(outcome)


def is_legible(outcome: Outcome) -> bool:
    """Whether an outcome's time is a time and its value a decimal number."""
    try:
        instant(outcome.observed_at)
    except ValueError:
        return False
    return _DECIMAL.fullmatch(outcome.value) is not None


def is_forecast(row: Prediction, outcome: Outcome) -> bool:
    """Whether the outcome came after, in the log and by the stated times."""
    if outcome.leaf_index <= row.leaf_index:
        return False
    return not _before(outcome.observed_at, speaks_from(row))


def speaks_from(row: Prediction) -> str:
    """The instant the forecast speaks from, as text."""
    return row.as_of if row.as_of is not None else row.predicted_at


def _recorded_after(pair: Labelled) -> bool:
    return _before(pair.outcome.observed_at, pair.prediction.predicted_at)


def _before(left: str, right: str) -> bool:
    if DATE_LENGTH in (len(left), len(right)):
        return left[:DATE_LENGTH] < right[:DATE_LENGTH]
    return instant(left) < instant(right)


def instant(text: str) -> datetime:
    """A time or a plain date, in UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _mature(
    found: Sequence[tuple[Prediction, Labelled | None]], horizon_days: int | None
) -> list[bool]:
    if horizon_days is None:
        last = max((i for i, (_, pair) in enumerate(found) if pair), default=-1)
        return [i <= last for i in range(len(found))]
    observed = [instant(pair.outcome.observed_at) for _, pair in found if pair]
    if not observed:
        return [False] * len(found)
    due = max(observed) - timedelta(days=horizon_days)
    return [_spoke_by(row, due) for row, _ in found]


def _spoke_by(row: Prediction, due: datetime) -> bool:
    try:
        return instant(speaks_from(row)) <= due
    except ValueError:
        return False
