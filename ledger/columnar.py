"""Parts of a batch's rows on their way into the log, and the path of one row.

What rows and columns are is in `columns.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.refusals import InclusionError, RecordError
from ledger.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

from ledger.columns import (
    COLUMNS,
    COLUMNS_SCHEMA,
    DECISIONS_MAX,
    PART_ROWS,
    ROW_SCHEMA,
    SALT_BYTES,
    ColumnRow,
    Columns,
    check_columns,
    row_root,
)

__all__ = [
    "COLUMNS",
    "COLUMNS_SCHEMA",
    "DECISIONS_MAX",
    "PART_ROWS",
    "ROW_SCHEMA",
    "SALT_BYTES",
    "ColumnRow",
    "Columns",
    "SealedPart",
    "check_columns",
    "check_parts",
    "parts_of",
    "row_path",
    "row_root",
]


@dataclass(frozen=True, slots=True)
class SealedPart:
    """Up to 1,024 rows on their way into the log: leaf hashes, and encrypted records.

    What a draft carries beside its entry, in the order of rows. `wrapped_key` as in
    `SealedOpening`.
    """

    hashes: bytes
    subject: str
    sealed: bytes
    wrapped_key: bytes | None = None


def parts_of(row_count: int) -> int:
    """How many parts so many rows make."""
    return -(-row_count // PART_ROWS)


def check_parts(data: Mapping[str, Any], parts: Sequence[SealedPart]) -> None:
    """Hold parts against an entry's data: as many rows as it counts. Raises RecordError.

    Their root is not computed once more: whoever made the entry took it from these hashes, and an
    audit computes it from what was stored.
    """
    rows = data["row_count"]
    sizes = [len(part.hashes) for part in parts]
    wanted = [HASH_BYTES * min(PART_ROWS, rows - first) for first in range(0, rows, PART_ROWS)]
    if sizes != wanted:
        raise RecordError("parts", f"{sum(sizes) // HASH_BYTES} rows beside a row_count of {rows}")


def row_path(parts: Sequence[bytes], index: int) -> list[bytes]:
    """Sibling hashes of one row, lowest first; `parts` are the leaf hashes of each part."""
    size = sum(map(len, parts)) // HASH_BYTES
    if not 0 <= index < size:
        raise InclusionError(index=index, size=size, reason="no such row")
    number, place = divmod(index, PART_ROWS)
    within = _path(_cut(parts[number]), place)
    return within + _path([row_root(part) for part in parts], number)


def _path(level: list[bytes], place: int) -> list[bytes]:
    found = []
    while len(level) > 1:
        sibling = place ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        level = [row_root(b"".join(level[at : at + 2])) for at in range(0, len(level), 2)]
        place >>= 1
    return found


def _cut(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
