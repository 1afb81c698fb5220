"""Predictions and outcomes as columns: a month of a million takes megabytes and not gigabytes.

The rows of `source.py`, held by numpy: places as integers, times as microseconds, text that repeats
(a decision, a date, an outcome's value) as a code into a table. Only exact operations are used:
comparison, sorting, and arithmetic that IEEE 754 rounds one way everywhere; figures made from
columns have the same bits as figures made row by row. A single row is made on demand.

Two columns can be joined end to end, so a log is read in parts and the parts are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring.source import Outcome, Prediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

ROW_BITS = 20  # a row is below 100,000 (docs/formats/entry.md), a leaf below 2^43
NO_TIME = -(2**63)  # a text that is no time
DATE_LENGTH = len("2026-11-25")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> datetime:
    """A time or a plain date, in UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def micros(text: str) -> int:
    """Microseconds since 1970 of a time or a plain date; NO_TIME for other text."""
    try:
        gone = instant(text) - _EPOCH
    except (ValueError, OverflowError):
        return int(NO_TIME)
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def is_decimal(text: str) -> bool:
    """Whether an outcome's value is a decimal number."""
    return _DECIMAL.fullmatch(text) is not None


@dataclass(slots=True)
class Texts:
    """A column of text as codes into a table of the different ones; -1 is None."""

    table: list[str] = field(default_factory=list)
    codes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    memo: dict[Any, NDArray[Any]] = field(default_factory=dict)  # shared by all cuts of a table

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """Codes in the order of first appearance."""
        known: dict[str | None, int] = {None: -1}
        codes = [known.setdefault(text, len(known) - 1) for text in texts]
        return cls([text for text in known if text is not None], np.asarray(codes, np.int64))

    def __getitem__(self, at: int) -> str | None:
        code = int(self.codes[at])
        return None if code < 0 else self.table[code]

    def take(self, places: Any) -> Texts:  # noqa: ANN401 - whatever numpy indexes by
        """The same table, other rows."""
        return Texts(self.table, self.codes[places], self.memo)

    def each(self, of: Any, dtype: Any, absent: object) -> NDArray[Any]:  # noqa: ANN401
        """A value per row, computed once per different text."""
        if of not in self.memo:
            self.memo[of] = np.asarray([*map(of, self.table), absent], dtype)
        return self.memo[of][self.codes]

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """Parts end to end."""
        known: dict[str, int] = {}
        codes = []
        for part in parts:
            mapped = [known.setdefault(text, len(known)) for text in part.table]
            codes.append(np.asarray([*mapped, -1], np.int64)[part.codes])
        return cls(list(known), _end_to_end(codes, np.int64))


@dataclass(slots=True)
class Predictions:
    """Rows of one model in ledger order."""

    model_digest: str
    leaf: Ints
    row: Ints
    as_of: Texts
    predicted_at: Texts
    decision: Texts
    outputs: dict[str, Ints]
    outputs_given: dict[str, Flags]
    features: dict[str, NDArray[Any]]  # floating point; missing and not given: NaN
    groups: dict[str, Texts] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Prediction], model_digest: str) -> Predictions:
        """Columns of rows. Outputs beyond 64 bits are kept as Python integers."""
        held = list(rows)
        names = sorted({name for row in held for name in row.outputs})
        features = sorted({name for row in held for name in row.features})
        groups = sorted({name for row in held for name in row.groups})
        return cls(
            model_digest=model_digest,
            leaf=np.asarray([row.leaf_index for row in held], np.int64),
            row=np.asarray([row.row_index for row in held], np.int64),
            as_of=Texts.of(row.as_of for row in held),
            predicted_at=Texts.of(row.predicted_at for row in held),
            decision=Texts.of(row.decision for row in held),
            outputs={n: _integers([row.outputs.get(n, 0) for row in held]) for n in names},
            outputs_given={n: np.asarray([n in row.outputs for row in held], bool) for n in names},
            features={n: _floats([row.features.get(n) for row in held]) for n in features},
            groups={n: Texts.of(row.groups.get(n) for row in held) for n in groups},
        )

    def __len__(self) -> int:
        return len(self.leaf)

    def __iter__(self) -> Iterator[Prediction]:
        return map(self.at, range(len(self)))

    @property
    def keys(self) -> Ints:
        """Leaf and row in one number, in the same order."""
        return (self.leaf << ROW_BITS) | self.row

    def name(self, at: int) -> str:
        """The prediction id."""
        return f"{self.leaf[at]}.{self.row[at]}"

    def names(self, places: Iterable[int]) -> list[str]:
        """Prediction ids."""
        leaf, row = self.leaf, self.row
        return [f"{leaf[at]}.{row[at]}" for at in places]

    def at(self, at: int) -> Prediction:
        """One row."""
        return Prediction(
            prediction_id=self.name(at),
            leaf_index=int(self.leaf[at]),
            row_index=int(self.row[at]),
            model_digest=self.model_digest,
            as_of=self.as_of[at],
            predicted_at=str(self.predicted_at[at]),
            outputs={n: int(v[at]) for n, v in self.outputs.items() if self.outputs_given[n][at]},
            decision=str(self.decision[at]),
            features={n: _optional(float(v[at])) for n, v in self.features.items()},
            groups={n: text for n, t in self.groups.items() if (text := t[at]) is not None},
        )

    def take(self, places: Any) -> Predictions:  # noqa: ANN401 - whatever numpy indexes by
        """Some rows, in order."""
        return Predictions(
            self.model_digest,
            self.leaf[places],
            self.row[places],
            self.as_of.take(places),
            self.predicted_at.take(places),
            self.decision.take(places),
            {n: v[places] for n, v in self.outputs.items()},
            {n: v[places] for n, v in self.outputs_given.items()},
            {n: v[places] for n, v in self.features.items()},
            {n: t.take(places) for n, t in self.groups.items()},
        )

    @classmethod
    def joined(cls, parts: Sequence[Predictions], model_digest: str) -> Predictions:
        """Parts end to end; what a part lacks is absent there."""
        outputs = sorted({n for part in parts for n in part.outputs})
        features = sorted({n for part in parts for n in part.features})
        groups = sorted({n for part in parts for n in part.groups})
        return cls(
            model_digest,
            _end_to_end([part.leaf for part in parts], np.int64),
            _end_to_end([part.row for part in parts], np.int64),
            Texts.joined([part.as_of for part in parts]),
            Texts.joined([part.predicted_at for part in parts]),
            Texts.joined([part.decision for part in parts]),
            {n: _filled([(p.outputs.get(n), len(p)) for p in parts], 0, np.int64) for n in outputs},
            {
                n: _filled([(p.outputs_given.get(n), len(p)) for p in parts], False, bool)
                for n in outputs
            },
            {
                n: _filled([(p.features.get(n), len(p)) for p in parts], np.nan, np.float32)
                for n in features
            },
            {n: Texts.joined([p.groups.get(n) or _none(len(p)) for p in parts]) for n in groups},
        )


@dataclass(slots=True)
class Outcomes:
    """Outcomes of one model's rows in ledger order."""

    of_leaf: Ints  # the prediction's
    of_row: Ints
    leaf: Ints
    value: Texts
    observed_at: Texts
    arrived_at: Texts
    revises: Ints  # -1: none

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Outcomes:
        """Columns of outcomes."""
        held = list(outcomes)
        places = [_place(outcome.prediction_id) for outcome in held]
        return cls(
            np.asarray([leaf for leaf, _ in places], np.int64),
            np.asarray([row for _, row in places], np.int64),
            np.asarray([o.leaf_index for o in held], np.int64),
            Texts.of(o.value for o in held),
            Texts.of(o.observed_at for o in held),
            Texts.of(o.arrived_at for o in held),
            np.asarray([-1 if o.revises is None else o.revises for o in held], np.int64),
        )

    def __len__(self) -> int:
        return len(self.leaf)

    def __iter__(self) -> Iterator[Outcome]:
        return map(self.at, range(len(self)))

    @property
    def keys(self) -> Ints:
        """The prediction's leaf and row in one number."""
        return (self.of_leaf << ROW_BITS) | self.of_row

    def at(self, at: int) -> Outcome:
        """One outcome."""
        revises = int(self.revises[at])
        return Outcome(
            prediction_id=f"{self.of_leaf[at]}.{self.of_row[at]}",
            leaf_index=int(self.leaf[at]),
            value=str(self.value[at]),
            observed_at=str(self.observed_at[at]),
            arrived_at=str(self.arrived_at[at]),
            revises=None if revises < 0 else revises,
        )

    def take(self, places: Any) -> Outcomes:  # noqa: ANN401 - whatever numpy indexes by
        """Some outcomes, in order."""
        return Outcomes(
            self.of_leaf[places],
            self.of_row[places],
            self.leaf[places],
            self.value.take(places),
            self.observed_at.take(places),
            self.arrived_at.take(places),
            self.revises[places],
        )

    @classmethod
    def joined(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Parts end to end."""
        return cls(
            _end_to_end([part.of_leaf for part in parts], np.int64),
            _end_to_end([part.of_row for part in parts], np.int64),
            _end_to_end([part.leaf for part in parts], np.int64),
            Texts.joined([part.value for part in parts]),
            Texts.joined([part.observed_at for part in parts]),
            Texts.joined([part.arrived_at for part in parts]),
            _end_to_end([part.revises for part in parts], np.int64),
        )


def days(texts: Texts) -> NDArray[np.bytes_]:
    """The first ten characters of each, as times that are plain dates are compared."""
    return texts.each(_day, "S10", b"")


def plain(texts: Texts) -> Flags:
    """Which are as long as a plain date."""
    return texts.each(_is_plain, bool, absent=False)


def moments(texts: Texts) -> Ints:
    """Microseconds of each; NO_TIME where it is none."""
    return texts.each(micros, np.int64, NO_TIME)


def _day(text: str) -> bytes:
    return text[:DATE_LENGTH].encode("ascii", "replace")


def _is_plain(text: str) -> bool:
    return len(text) == DATE_LENGTH


def _place(prediction_id: str) -> tuple[int, int]:
    leaf, _, row = prediction_id.partition(".")
    return int(leaf), int(row or 0)


def _integers(values: Sequence[int]) -> Ints:
    try:
        return np.asarray(values, np.int64)
    except OverflowError:
        return np.asarray(values, object)


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.asarray([np.nan if v is None else v for v in values], np.float64)


def _optional(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN means missing


def _none(count: int) -> Texts:
    return Texts([], np.full(count, -1, np.int64))


def _end_to_end(parts: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:  # noqa: ANN401
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _filled(
    parts: Sequence[tuple[NDArray[Any] | None, int]],
    absent: Any,  # noqa: ANN401
    dtype: Any,  # noqa: ANN401
) -> NDArray[Any]:
    made = [np.full(n, absent, dtype) if part is None else part for part, n in parts]
    return _end_to_end(made, dtype)


def given(rows: Mapping[str, Flags], name: str, count: int) -> Flags:
    """Where an output is given; nowhere when no row has it."""
    return rows.get(name, np.zeros(count, bool))
