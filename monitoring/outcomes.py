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

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, overload

import numpy as np

from monitoring.columns import (
    NO_TIME,
    Outcomes,
    Predictions,
    days,
    is_decimal,
    moments,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitoring.columns import Flags, Ints, Texts
    from monitoring.source import Outcome, Prediction

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """A forecast and what happened."""

    prediction: Prediction
    outcome: Outcome
    value: Fraction


class LabelledRows(Sequence[Labelled]):
    """Forecasts with a mature label, in ledger order; one is made when it is asked for."""

    __slots__ = ("at_outcome", "at_row", "outcomes", "rows")

    def __init__(
        self, rows: Predictions, outcomes: Outcomes, at_row: Ints, at_outcome: Ints
    ) -> None:
        self.rows, self.outcomes = rows, outcomes
        self.at_row, self.at_outcome = at_row, at_outcome

    def __len__(self) -> int:
        return len(self.at_row)

    @overload
    def __getitem__(self, at: int) -> Labelled: ...
    @overload
    def __getitem__(self, at: slice) -> LabelledRows: ...
    def __getitem__(self, at: int | slice) -> Labelled | LabelledRows:
        if isinstance(at, slice):
            return LabelledRows(self.rows, self.outcomes, self.at_row[at], self.at_outcome[at])
        outcome = self.outcomes.at(int(self.at_outcome[at]))
        return Labelled(self.rows.at(int(self.at_row[at])), outcome, fraction(outcome.value))

    def take(self, places: Ints | Flags) -> LabelledRows:
        """Some of them, in order."""
        return LabelledRows(self.rows, self.outcomes, self.at_row[places], self.at_outcome[places])

    @property
    def leaf(self) -> Ints:
        """Leaves of the predictions."""
        return self.rows.leaf[self.at_row]

    @property
    def outcome_leaf(self) -> Ints:
        """Leaves of the outcomes."""
        return self.outcomes.leaf[self.at_outcome]

    @property
    def values(self) -> Texts:
        """Outcomes as recorded."""
        return self.outcomes.value.take(self.at_outcome)


@dataclass(frozen=True, slots=True)
class Joined:
    """Forecasts with a mature label, in ledger order, and the count of everything else."""

    labelled: LabelledRows
    predictions: int  # rows read
    matured: int  # of these, old enough to have a label
    revised: int  # outcomes replaced by a newer one
    not_forecasts: int  # the outcome came first
    repeats: int  # a later forecast of a day already forecast
    unreadable: int  # a value that is no decimal number, or a time that is no time
    orphans: int  # outcomes of no row read here
    recorded_after: int
    unlabelled: Ints  # places among the rows: mature and without a label
    waiting: Ints  # not mature yet

    @property
    def unlabelled_ids(self) -> tuple[str, ...]:
        """Prediction ids of mature forecasts with no label."""
        return tuple(self.labelled.rows.names(self.unlabelled.tolist()))

    @property
    def unlabelled_share(self) -> Fraction | None:
        """Share of mature forecasts with no label; None when none is mature."""
        if not self.matured:
            return None
        return Fraction(self.matured - len(self.labelled), self.matured)


def join(
    predictions: Predictions | Iterable[Prediction],
    outcomes: Outcomes | Iterable[Outcome],
    *,
    series: bool,
    horizon_days: int | None,
) -> Joined:
    """Join by prediction id under the rules above; `predictions` come in ledger order."""
    given = predictions if isinstance(predictions, Predictions) else Predictions.of(predictions, "")
    told = outcomes if isinstance(outcomes, Outcomes) else Outcomes.of(outcomes)
    if (told.leaf[1:] < told.leaf[:-1]).any():
        told = told.take(np.argsort(told.leaf, kind="stable"))
    rows = first_of_each_day(given) if series else given
    newest, revised, orphans = _newest(given, rows, told)
    pairs = _Pairs.of(rows, told, newest)
    mature = pairs.mature(horizon_days)
    labelled = pairs.usable & mature
    at_row = np.flatnonzero(labelled)
    return Joined(
        labelled=LabelledRows(rows, told, at_row, newest[at_row]),
        predictions=len(given),
        matured=int(mature.sum()),
        revised=revised,
        not_forecasts=int(pairs.no_forecast.sum()),
        repeats=len(given) - len(rows),
        unreadable=int(pairs.unreadable.sum()),
        orphans=orphans,
        recorded_after=int(pairs.recorded_after[at_row].sum()),
        unlabelled=np.flatnonzero(mature & ~pairs.usable),
        waiting=np.flatnonzero(~mature & ~pairs.no_forecast),
    )


def label_delay_days(labelled: LabelledRows) -> int | None:
    """Lower median of whole days from a forecast's instant to its observation."""
    if not len(labelled):
        return None
    spoke = _spoke(labelled.rows)[labelled.at_row]
    observed = moments(labelled.outcomes.observed_at)[labelled.at_outcome]
    whole = np.sort((observed - spoke) // DAY_US)
    return int(whole[(len(whole) - 1) // 2])


def first_of_each_day(rows: Predictions) -> Predictions:
    """The first forecast of each `as_of`, and all that state none."""
    codes = rows.as_of.codes
    keep = codes < 0
    keep[np.unique(codes, return_index=True)[1]] = True
    return rows if keep.all() else rows.take(keep)


@lru_cache(maxsize=4096)
def fraction(text: str) -> Fraction:
    """An outcome's value, exactly."""
    return Fraction(text)


def _newest(given: Predictions, rows: Predictions, told: Outcomes) -> tuple[Ints, int, int]:
    """By row the place of its newest outcome, or -1; how many were revised, and are of no row."""
    keys = told.keys
    newest = np.full(len(rows), -1, np.int64)
    place, known = places(rows.keys, keys)
    np.maximum.at(newest, place[known], np.flatnonzero(known))
    different = np.unique(keys)
    orphans = len(different) - int(places(given.keys, different)[1].sum())
    return newest, len(keys) - len(different), orphans


def places(sorted_keys: Ints, keys: Ints) -> tuple[Ints, Flags]:
    """Where each key stands among the sorted ones, and whether it does."""
    if not len(sorted_keys):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return place, sorted_keys[place] == keys


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Each row beside its newest outcome."""

    usable: Flags
    unreadable: Flags
    no_forecast: Flags
    recorded_after: Flags
    spoke: Ints
    observed: Ints  # NO_TIME without a usable outcome

    @classmethod
    def of(cls, rows: Predictions, told: Outcomes, newest: Ints) -> _Pairs:
        """Which pairs count, and why the others do not."""
        has = newest >= 0
        at = np.where(has, newest, 0)
        if not len(told):
            nothing = np.zeros(len(rows), bool)
            none = np.full(len(rows), NO_TIME)
            return cls(nothing, nothing, nothing, nothing, _spoke(rows), none)
        observed = moments(told.observed_at)[at]
        when = _When(observed, plain(told.observed_at)[at], days(told.observed_at)[at])
        spoke, recorded = _speaks(rows), _recorded(rows)
        decimal = told.value.each(is_decimal, bool, absent=False)[at]
        readable = decimal & (observed != NO_TIME) & (spoke.micros != NO_TIME)
        follows = (told.leaf[at] > rows.leaf) & ~when.before(spoke)
        usable = has & readable & follows
        return cls(
            usable=usable,
            unreadable=has & ~readable,
            no_forecast=has & readable & ~follows,
            recorded_after=when.before(recorded),
            spoke=spoke.micros,
            observed=np.where(usable, observed, NO_TIME),
        )

    def mature(self, horizon_days: int | None) -> Flags:
        """Old enough to have a label; what turned out to be no forecast never is."""
        if horizon_days is None:
            with_label = np.flatnonzero(self.usable)
            last = with_label[-1] if len(with_label) else -1
            return (np.arange(len(self.usable)) <= last) & ~self.no_forecast
        if not self.usable.any():
            return np.zeros(len(self.usable), bool)
        due = int(self.observed.max()) - horizon_days * DAY_US
        old: Flags = (self.spoke != NO_TIME) & (self.spoke <= due)
        return old & ~self.no_forecast


@dataclass(frozen=True, slots=True)
class _When:
    """Times as they are compared: as dates when one of two is a plain date, else as instants."""

    micros: Ints
    plain: Flags
    days: np.typing.NDArray[np.bytes_]

    def before(self, other: _When) -> Flags:
        """Which lie before the other's."""
        as_dates = self.plain | other.plain
        found: Flags = self.micros < other.micros
        if as_dates.any():
            found = np.where(as_dates, np.less(self.days, other.days), found)
        return found


def _speaks(rows: Predictions) -> _When:
    """The instants the forecasts speak from: `as_of`, or the record's when there is none."""
    stated = rows.as_of.codes >= 0
    if stated.all():
        return _When(moments(rows.as_of), plain(rows.as_of), days(rows.as_of))
    own, recorded = rows.as_of, _recorded(rows)
    return _When(
        np.where(stated, moments(own), recorded.micros),
        np.where(stated, plain(own), recorded.plain),
        np.where(stated, days(own), recorded.days),
    )


def _spoke(rows: Predictions) -> Ints:
    return _speaks(rows).micros


def _recorded(rows: Predictions) -> _When:
    told = rows.predicted_at
    return _When(moments(told), plain(told), days(told))


# --- for those who read one after the other --------------------------------------------------


def usable_pairs(rows: Predictions, told: Outcomes, newest: Ints) -> Flags:
    """Which rows have, by the place of their outcome or -1, one that is readable and follows."""
    return _Pairs.of(rows, told, newest).usable


def legible(told: Outcomes) -> Flags:
    """Which outcomes have a time that is a time and a value that is a decimal number."""
    decimal = told.value.each(is_decimal, bool, absent=False)
    found: Flags = decimal & (moments(told.observed_at) != NO_TIME)
    return found


def speaks_by(rows: Predictions, days_later: int) -> Ints:
    """When each forecast is so old, in microseconds; from its record if its `as_of` is later.

    A forecast of no readable time is long past.
    """
    recorded, stated = moments(rows.predicted_at), moments(rows.as_of)
    known = np.where(stated == NO_TIME, recorded, np.minimum(stated, recorded))
    known = np.where((recorded == NO_TIME) & (stated != NO_TIME), stated, known)
    return np.where(known == NO_TIME, NO_TIME, known + days_later * DAY_US)
