"""What a metric and a kind of model are, and how figures become text.

A figure leaves this package as decimal text rounded to fixed digits, never as a float: the report
is stored by digest, and its bytes must not depend on how somebody prints a double. A limit is
compared with that text, so a reader of the report can redo the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitoring.outcomes import Joined, Labelled, LabelledRows
    from monitoring.performance import Measured
    from monitoring.rows import Rows
    from monitoring.watches import Watch

DIGITS = 6  # of every figure that is not a count


class HasSource(Protocol):
    """Any row made from a labelled forecast."""

    @property
    def source(self) -> Labelled:
        """The forecast and outcome it was read from."""


R = TypeVar("R", bound=HasSource)


@dataclass(frozen=True, slots=True)
class Metric(Generic[R]):
    """One figure over rows: what it is called, how it is computed, how its history is cut."""

    name: str
    title: str
    meaning: str
    unit: str
    interval: str  # how low and high came about; why there are none, if there are none
    measure: Callable[[Rows[R]], Measured | str]  # text: why it cannot be judged yet
    digits: int = DIGITS
    history_size: int = 250
    history_step: int = 250  # equal to the size: blocks; smaller: trailing windows
    rolling: int | None = None  # judged at every forecast over this many, whatever the limit says
    quick: Callable[[Rows[R]], float] | None = None  # the value alone, for such scans
    watch: Watch | None = None  # how e-sr reads it row by row; None: it cannot


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that belong together, all of them text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists of text."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """A kind of model: how its rows are read and what is computed from them."""

    name: str
    series: bool  # one forecast per as_of
    read: Callable[[Labelled], R | None]  # None: the recorded outputs are not of this kind
    rows: Callable[[LabelledRows], Rows[R]]  # the same for all, as columns
    metrics: tuple[Metric[R], ...]
    tables: Callable[[Rows[R], Joined], list[Table]]
    caveats: tuple[str, ...]


def decimal_text(value: float, digits: int = DIGITS) -> str:
    """Write with fixed digits, no exponent, no negative zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def optional_text(value: float | None, digits: int = DIGITS) -> str | None:
    """Write a figure, or leave None as it is."""
    return None if value is None else decimal_text(value, digits)
