"""Closed windows over labelled forecasts in ledger order: blocks, trailing windows, their labels.

A window is closed when it holds its full count of labelled forecasts; what is left over at the end
waits. A limit's window is text in a signed entry, so its grammar is narrow: `all`, or a count such
as `250` or `250d` (a day being one forecast of a series).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitoring.source import Prediction

Row = TypeVar("Row")

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


def blocks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yield consecutive full blocks from the first row; a last, partial one is not closed."""
    return trailing(rows, size, size)


def trailing(rows: Sequence[Row], size: int, step: int) -> Iterator[Sequence[Row]]:
    """Yield `size` rows up to every `step`-th row; counted from the first, so windows stay put."""
    for end in range(size, len(rows) + 1, step):
        yield rows[end - size : end]


def window_label(first: Prediction, last: Prediction) -> str:
    """Say which window it is: its dates when stated, else its rows."""
    if first.as_of is not None and last.as_of is not None:
        return f"{first.as_of[:_DATE]} to {last.as_of[:_DATE]}"
    return f"{first.prediction_id} to {last.prediction_id}"
