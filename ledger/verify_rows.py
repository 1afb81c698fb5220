"""Rows and openings under check: what lies beside the entries and is not hashed into the log.

Part of `verify`. Rows of many-row entries must all be there and lead to the entry's root; openings
must lead to the commitments, all of them, and none may be missing unless the export withholds them.
An opening that a later entry records as erased is no finding; one that is still there then is one.
That is settled at the end of the walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.columns import COLUMNS
from ledger.layout import openings_path, rows_path
from ledger.opened import Opening, check_opening, parse_row
from ledger.refusals import CanonicalError, OpeningMismatch, RecordError
from ledger.tile_paths import TILE_WIDTH
from ledger.tree import leaf_hash, root_of
from ledger.verify_columns import BatchRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.findings import Tally
    from ledger.verify_files import Files

_NOTHING: Final[Mapping[str, str]] = {}


class Beside:
    """The rows and openings of one bundle of entries at a time."""

    def __init__(self, files: Files, tally: Tally, *, openings_withheld: bool) -> None:
        self._files = files
        self._tally = tally
        self._withheld = openings_withheld
        self._batches = BatchRows(files, tally)
        self._rows: dict[int, list[Any]] = {}
        self._openings: dict[int, list[Any]] = {}
        self._paths = ("", "")
        self._missing: set[tuple[int, int]] = set()
        self._unread: set[int] = set()
        self.erased: dict[tuple[int, int], int] = {}  # leaf and row: the entry that says so

    def load(self, first: int) -> None:
        """Read what lies beside the bundle that begins at leaf `first`."""
        bundle = first // TILE_WIDTH
        self._paths = rows_path(bundle), openings_path(bundle)
        self._rows = self._read(self._paths[0], "row", bundle)
        self._openings = self._read(self._paths[1], "opening", bundle)

    def finish(self) -> None:
        """Nothing may be left that no entry of the bundle asked for."""
        left = zip(self._paths, ("row", "opening"), (self._rows, self._openings), strict=True)
        for path, check, kept in left:
            for leaf in kept:
                self._tally.fail(check, leaf, f"no {check} in {path}", "one or more")

    def skip(self, leaf: int) -> None:
        """Leave unjudged what belongs to an unreadable entry: that is a finding already."""
        self._unread.add(leaf)
        self._rows.pop(leaf, None)
        self._openings.pop(leaf, None)

    def check_prediction(self, leaf: int, data: dict[str, Any]) -> None:
        """Hold rows against the entry's root, and openings against each row."""
        if COLUMNS in data:
            missing = self._batches.check(leaf, data, withheld=self._withheld)
            if missing is None:
                self.skip(leaf)
            else:
                self._missing.update((leaf, row) for row in missing)
            return
        rows = [data["row"]] if data["row_count"] == 1 else self._check_rows(leaf, data)
        if rows is None:
            self.skip(leaf)
            return
        reference = data["caller_reference"]
        expected = [
            (row["inputs"], row["outputs"], None if index else reference)
            for index, row in enumerate(rows)
        ]
        self._check_openings(leaf, expected)

    def erase(self, leaf: int, rows: list[str], first: int) -> None:
        """Take up what an entry records as erased; rows before leaf `first` were judged earlier."""
        for row in rows:
            of, _, index = row.partition(".")
            self.erased[int(of), int(index)] = leaf
            if int(of) < first:
                self._missing.add((int(of), int(index)))

    def settle(self) -> None:
        """At the end: whatever is missing was erased, and whatever was erased is missing."""
        for leaf, index in sorted(self._missing - self.erased.keys()):
            wanted = f"an opening of row {index}"
            self._tally.fail("opening", leaf, wanted, "none")
        for (leaf, index), entry in sorted(self.erased.items()):
            if self._withheld or leaf in self._unread:
                continue
            if (leaf, index) in self._missing:
                self._tally.passed("erasure")
            else:
                told = f"no opening of {leaf}.{index}"
                self._tally.fail("erasure", entry, told, "one")

    def check_outcome(self, leaf: int, data: dict[str, Any]) -> None:
        """Hold the opening of an outcome's value against its commitment."""
        self._check_openings(leaf, [(_NOTHING, {"value": data["value"]}, None)])

    def _check_rows(self, leaf: int, data: dict[str, Any]) -> list[dict[str, Any]] | None:
        leaves = [canonical_bytes(row) for row in self._rows.pop(leaf, [])]
        try:
            rows = [parse_row(row) for row in leaves]
            reason = ""
        except RecordError as error:
            rows, reason = [], str(error)
        root = root_of([leaf_hash(row) for row in leaves]).hex()
        if len(leaves) != data["row_count"]:
            reason = f"{len(leaves)} rows"
        elif not reason and any(row["row_index"] != index for index, row in enumerate(rows)):
            reason = "rows out of order"
        elif root != data["rows_root"]:
            reason = f"root {root}"
        if not reason:
            self._tally.passed("row")
            return rows
        expected = f"{data['row_count']} rows with root {data['rows_root']}"
        self._tally.fail("row", leaf, expected, reason)
        return None

    def _check_openings(
        self, leaf: int, expected: list[tuple[Mapping[str, str], Mapping[str, str], str | None]]
    ) -> None:
        given = self._openings.pop(leaf, [])
        if not given and self._withheld:
            return
        openings = self._by_row(leaf, given, len(expected))
        for index, (inputs, outputs, reference) in enumerate(expected):
            if index not in openings:
                self._missing.add((leaf, index))
                continue
            try:
                check_opening(
                    openings[index], inputs=inputs, outputs=outputs, caller_reference=reference
                )
            except OpeningMismatch as error:
                wanted = f"{error.expected or 'nothing'} for {error.field} of row {index}"
                self._tally.fail("opening", leaf, wanted, error.got or "nothing")
            else:
                self._tally.passed("opening")

    def _by_row(self, leaf: int, given: list[Any], row_count: int) -> dict[int, Opening]:
        openings: dict[int, Opening] = {}
        for value in given:
            try:
                opening = Opening.from_json(value)
            except RecordError as error:
                self._tally.fail("opening", leaf, "an opening", error)
                continue
            row = opening.row_index
            if row in openings or row >= row_count:
                wanted = f"one opening for each of {row_count} rows"
                self._tally.fail("opening", leaf, wanted, f"one more of row {row}")
            openings[row] = opening
        return openings

    def _read(self, path: str, key: str, bundle: int) -> dict[int, list[Any]]:
        """The lines of one file by leaf index; a line that cannot be used is a finding."""
        index = self._files.index
        if path not in self._files.names and (index is None or path not in index.files):
            return {}  # an entry that needed it will say so
        found: dict[int, list[Any]] = {}
        last = bundle * TILE_WIDTH
        for number, line in enumerate(self._files.read_lines(path), start=1):
            try:
                last, value = _open_line(line, key, last)
            except (CanonicalError, RecordError) as error:
                where = f"{path} line {number}"
                self._tally.fail(key, None, f"a {key}", error, where)
            else:
                found.setdefault(last, []).append(value)
        return found


def _open_line(line: bytes, key: str, last: int) -> tuple[int, Any]:
    """Leaf index and value of a line; leaves ascend from `last` within its bundle."""
    value = parse_canonical(line)
    if not isinstance(value, dict) or value.keys() != {"leaf_index", key}:
        raise RecordError("line", f"expected leaf_index and {key}")
    leaf = value["leaf_index"]
    end = last - last % TILE_WIDTH + TILE_WIDTH
    if type(leaf) is not int or not last <= leaf < end:
        raise RecordError("leaf_index", f"expected {last} to {end - 1}, got {leaf!r:.40}")
    return leaf, value[key]
