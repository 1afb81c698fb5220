"""The rows a metric is computed over: columns of numbers, and one row when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitoring.outcomes import Labelled, LabelledRows

R = TypeVar("R")


class Rows(Sequence[R], Generic[R]):
    """Labelled forecasts of one kind in ledger order, each with the figures its kind reads."""

    __slots__ = ("_read", "columns", "labelled")

    def __init__(
        self,
        labelled: LabelledRows,
        columns: Mapping[str, NDArray[Any]],
        read: Callable[[Labelled], R | None],
    ) -> None:
        self.labelled, self.columns, self._read = labelled, columns, read

    def __len__(self) -> int:
        return len(self.labelled)

    @overload
    def __getitem__(self, at: int) -> R: ...
    @overload
    def __getitem__(self, at: slice) -> Rows[R]: ...
    def __getitem__(self, at: int | slice) -> R | Rows[R]:
        if isinstance(at, slice):
            return Rows(self.labelled[at], {n: c[at] for n, c in self.columns.items()}, self._read)
        row = self._read(self.labelled[at])
        if row is None:  # those that cannot be read were left out
            raise IndexError(at)
        return row

    def between(self, after: int, before: int | None) -> Rows[R]:
        """Those whose prediction lies after one leaf and before another."""
        leaf = self.labelled.leaf
        first = int(np.searchsorted(leaf, after, side="right"))
        last = len(leaf) if before is None else int(np.searchsorted(leaf, before, side="left"))
        return self[first:last]

    def heard_after(self, leaf: int) -> Rows[R]:
        """Those whose outcome lies after a leaf."""
        kept = np.flatnonzero(self.labelled.outcome_leaf > leaf)
        if len(kept) == len(self):
            return self
        columns = {name: column[kept] for name, column in self.columns.items()}
        return Rows(self.labelled.take(kept), columns, self._read)

    def feature(self, name: str) -> NDArray[np.float64]:
        """An input of each."""
        return self.labelled.rows.features[name][self.labelled.at_row].astype(np.float64)

    def prediction_id(self, at: int) -> str:
        """Of one row, without making it."""
        return self.labelled.rows.name(int(self.labelled.at_row[at]))

    def spoke_on(self, at: int) -> str | None:
        """Its `as_of`, without making it."""
        return self.labelled.rows.as_of[int(self.labelled.at_row[at])]


def read_each(
    read: Callable[[Labelled], R | None], columns: Callable[[Sequence[R]], Mapping[str, Any]]
) -> Callable[[LabelledRows], Rows[R]]:
    """Rows by reading one after the other: for kinds with few."""

    def rows(labelled: LabelledRows) -> Rows[R]:
        read_rows = [
            (at, row) for at, pair in enumerate(labelled) if (row := read(pair)) is not None
        ]
        kept = labelled.take(np.asarray([at for at, _ in read_rows], np.int64))
        return Rows(kept, columns([row for _, row in read_rows]), read)

    return rows
