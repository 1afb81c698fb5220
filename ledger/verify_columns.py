"""Rows of a batch under check: leaf hashes to the entry's root, records to the leaf hashes.

Part of `verify`. A record of nothing but zero bytes was erased; whether an entry says so is settled
at the end of the walk, as for openings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.columns import PART_ROWS, SALT_BYTES, Columns, row_root
from ledger.layout import batch_hashes_path, batch_records_path
from ledger.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.findings import Tally
    from ledger.verify_files import Files

_HASHES: Final = PART_ROWS * HASH_BYTES


class BatchRows:
    """The files of one batch at a time."""

    def __init__(self, files: Files, tally: Tally) -> None:
        self._files = files
        self._tally = tally

    def check(self, leaf: int, data: dict[str, Any], *, withheld: bool) -> list[int] | None:
        """The rows that have no record; None when the hashes do not lead to the entry's root."""
        hashes = self._files.read(batch_hashes_path(leaf)) or b""
        root = row_root(hashes).hex() if len(hashes) == data["row_count"] * HASH_BYTES else ""
        if root != data["rows_root"]:
            expected = f"{data['row_count']} rows with root {data['rows_root']}"
            got = f"root {root}" if root else f"{len(hashes)} bytes of hashes"
            self._tally.fail("row", leaf, expected, got)
            return None
        self._tally.passed("row")
        path = batch_records_path(leaf)
        index = self._files.index
        if path not in self._files.names and (index is None or path not in index.files):
            return [] if withheld else list(range(data["row_count"]))
        return list(self._records(leaf, Columns.of(data), hashes, self._files.read(path) or b""))

    def _records(self, leaf: int, columns: Columns, hashes: bytes, records: bytes) -> Iterator[int]:
        width, rows = columns.width, len(hashes) // HASH_BYTES
        if len(records) != rows * width:
            wanted = f"{rows} records of {width} bytes"
            self._tally.fail("opening", leaf, wanted, f"{len(records)} bytes")
            return
        for first in range(0, rows, PART_ROWS):
            part = records[first * width : (first + PART_ROWS) * width]
            expected = hashes[first * HASH_BYTES : first * HASH_BYTES + _HASHES]
            decisions = part[SALT_BYTES::width]
            if columns.hashes(part, first) == expected and max(decisions) < len(columns.decisions):
                self._tally.passed("opening", len(decisions))
            else:
                yield from self._one_by_one(leaf, columns, part, expected, first=first)

    def _one_by_one(
        self, leaf: int, columns: Columns, part: bytes, expected: bytes, *, first: int
    ) -> Iterator[int]:
        width = columns.width
        for place in range(len(part) // width):
            row, record = first + place, part[place * width : (place + 1) * width]
            wanted = expected[place * HASH_BYTES : (place + 1) * HASH_BYTES]
            if not any(record):
                yield row
                continue
            got = columns.hashes(record, row)
            if got == wanted and record[SALT_BYTES] < len(columns.decisions):
                self._tally.passed("opening")
                continue
            told = f"decision {record[SALT_BYTES]}" if got == wanted else f"hash {got.hex()}"
            self._tally.fail("opening", leaf, f"{wanted.hex()} for row {row}", told)
