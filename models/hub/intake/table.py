"""The training table: a CSV file of numbers with a header, and what a manifest takes from it.

Feature names and their order, which are whole numbers, bounds, the digest of the bytes, a sample to
measure drift against, and the rows on which a model's exact form is compared with its file. A cell
that is empty, NA or NaN is missing. Text is refused: categories are encoded before training.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import TableRefused
from models.hub.canonical import digest_of
from models.hub.manifest import FEATURES_MAX, VALUE_MAX, Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TABLE_MAX: Final = 512 << 20  # bytes
ROWS_MAX: Final = 2_000_000
CELLS_MAX: Final = 100_000_000
_MISSING: Final = frozenset({"", "na", "nan", "null", "none"})


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns in the model's order, float32 as they will be recorded; the labels, where given."""

    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    digest: str

    def features(self) -> tuple[Feature, ...]:
        """Each column as an input: its range here, doubled about its middle, is accepted later."""
        return tuple(self._feature(at, name) for at, name in enumerate(self.names))

    def _feature(self, at: int, name: str) -> Feature:
        column = self.matrix[:, at].astype(np.float64)
        known = column[~np.isnan(column)]
        if not len(known):
            raise TableRefused(name, "every value is missing")
        low, high = float(known.min()), float(known.max())
        room = max((high - low) / 2, 1.0)
        least, most = math.floor(low - room), math.ceil(high + room)
        return Feature(
            name=name,
            type="integer" if bool((known == np.floor(known)).all()) else "decimal",
            minimum=max(0 if low >= 0 else least, -VALUE_MAX),
            maximum=min(most, VALUE_MAX),
            missing=len(known) < len(column),
            description=f"{low:g} to {high:g} in the training data",
        )


def read_table(data: bytes, *, target: str | None, columns: Sequence[str] | None = None) -> Table:
    """Read a CSV. `columns` picks and orders the features; without it, all but the target.

    Raises TableRefused, naming the column and the row.
    """
    if len(data) > TABLE_MAX:
        raise TableRefused("file", f"{len(data)} bytes; at most {TABLE_MAX}")
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(rows, [])]
        picked = _picked(header, target, columns)
        places = [header.index(name) for name in picked]
        label_at = None if target is None else header.index(target)
        values, labels = _rows(rows, header, places, label_at)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableRefused("file", f"is not a CSV in UTF-8: {error}") from error
    if not values:
        raise TableRefused("file", "has a header and no rows")
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        matrix = wide.astype(np.float32) + np.float32(0)  # no negative zero
    for at, name in enumerate(picked):
        largest = np.nanmax(np.abs(wide[:, at]), initial=0.0)
        if largest > VALUE_MAX:
            raise TableRefused(name, f"reaches {largest:g}; inputs go up to {VALUE_MAX}")
    found = None if label_at is None else np.asarray(labels, np.int64)
    return Table(tuple(picked), matrix, found, digest_of(data))


def _picked(header: list[str], target: str | None, columns: Sequence[str] | None) -> list[str]:
    if len(set(header)) != len(header) or not header:
        raise TableRefused("header", "a column is named twice, or there is no header")
    if target is not None and target not in header:
        raise TableRefused(target, f"is no column; there are {_few(header)}")
    picked = list(columns) if columns else [name for name in header if name != target]
    for name in picked:
        if name not in header:
            raise TableRefused(name, f"is no column; there are {_few(header)}")
        if name == target:
            raise TableRefused(name, "is the target; it cannot be an input too")
    if not 0 < len(picked) <= FEATURES_MAX:
        raise TableRefused("header", f"{len(picked)} features; 1 to {FEATURES_MAX}")
    return picked


def _rows(
    rows: object, header: list[str], places: list[int], label_at: int | None
) -> tuple[list[list[float]], list[int]]:
    values: list[list[float]] = []
    labels: list[int] = []
    for number, row in enumerate(rows, 2):  # type: ignore[arg-type, var-annotated]  # csv's reader has no type
        if not row:
            continue
        if len(row) != len(header):
            raise TableRefused("file", f"line {number}: {len(row)} cells under {len(header)} names")
        values.append([_number(row[at], header[at], number) for at in places])
        if label_at is not None:
            labels.append(_label(row[label_at], header[label_at], number))
        if len(values) > ROWS_MAX or len(values) * len(places) > CELLS_MAX:
            raise TableRefused("file", f"more than {ROWS_MAX} rows or {CELLS_MAX} cells")
    return values, labels


def _number(text: str, name: str, line: int) -> float:
    if text.strip().lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError as error:
        raise TableRefused(
            name,
            f"line {line}: {text[:40]!r} is not a number; encode categories before training, or "
            "leave the column out with --features",
        ) from error
    if not math.isfinite(value):
        raise TableRefused(name, f"line {line}: must be finite")
    return value


def _label(text: str, name: str, line: int) -> int:
    value = text.strip().lower()
    if value in {"0", "0.0", "false"}:
        return 0
    if value in {"1", "1.0", "true"}:
        return 1
    raise TableRefused(name, f"line {line}: {text[:40]!r} is not 0 or 1")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")  # noqa: PLR2004 - a line's worth
