"""Closed windows over labelled forecasts in ledger order: blocks, trailing windows, their labels.

A window is closed when it holds its full count of labelled forecasts; what is left over at the end
waits. A limit's window is text in a signed entry, so its grammar is narrow: `all`, or a count such
as `250` or `250d` (a day being one forecast of a series).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitoring.rows import Rows as Labelled


class Cut(Protocol):
    """Something with a length that can be cut into more of its kind."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: slice, /) -> Self: ...


Rows = TypeVar("Rows", bound=Cut)

_COUNT = re.compile(r"([1-9][0-9]{0,6})d?", re.ASCII)
_DATE = len("2026-11-25")


def parse_window(text: str) -> int | None:
    """Size of the blocks a limit judges; None for everything. Raises ValueError on other text."""
    if text == "all":
        return None
    match = _COUNT.fullmatch(text)
    if match is None:
        message = f"window {text!r} is neither 'all' nor a count like '250d'"
        raise ValueError(message)
    return int(match.group(1))


def blocks(rows: Rows, size: int) -> Iterator[Rows]:
    """Yield consecutive full blocks from the first row; a last, partial one is not closed."""
    return trailing(rows, size, size)


def trailing(rows: Rows, size: int, step: int) -> Iterator[Rows]:
    """Yield `size` rows up to every `step`-th row; counted from the first, so windows stay put."""
    for end in range(size, len(rows) + 1, step):
        yield rows[end - size : end]


def window_label(rows: Labelled[Any]) -> str:
    """Say which window it is: its dates when stated, else its rows."""
    first, last = rows.spoke_on(0), rows.spoke_on(-1)
    if first is not None and last is not None:
        return f"{first[:_DATE]} to {last[:_DATE]}"
    return f"{rows.prediction_id(0)} to {rows.prediction_id(-1)}"
