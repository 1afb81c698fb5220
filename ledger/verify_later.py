"""The parts of `verify_since` that begin in the middle of a log: its files, entries and past.

`LaterFiles` reads the lines about new leaves only; `LaterEntries` is the ordinary check of entries
with its memory filled in; `Past` reads single older entries when a new one refers to them.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import parse_checkpoint
from ledger.entry import parse_entry
from ledger.grammar import DIGEST
from ledger.keybook import KeyBook
from ledger.layout import (
    CHECKPOINT,
    HISTORY,
    INDEX,
    LOG_KEYS,
    batch_hashes_path,
    batch_of,
    batch_records_path,
    blob_path,
    bundle_beside,
    is_blob,
    openings_path,
    rows_path,
)
from ledger.refusals import LedgerError, RecordError, TileError
from ledger.tile_paths import TILE_WIDTH, split_bundle, tile_path, tiles_for, width_at
from ledger.tree import HASH_BYTES, leaf_hash
from ledger.verify_entries import _CODE, EntryChecks
from ledger.verify_files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger.bound_tiles import BoundTiles
    from ledger.checkpoint import Checkpoint
    from ledger.entry import Entry
    from ledger.findings import KnownKey, Tally
    from ledger.layout import Source

BUNDLES_KEPT: Final = 64  # of older entries; new outcomes refer to predictions of a few days
_UNREAD: Final = (0, -1, 0)


@dataclass(frozen=True, slots=True)
class Earlier:
    """An audited checkpoint, and what the entries after it are judged by."""

    checkpoint: Checkpoint
    keys: Sequence[KnownKey]
    next_seq: Mapping[str, int]
    seal_end: int

    @property
    def size(self) -> int:
        """How many entries were audited."""
        return self.checkpoint.size


class LaterFiles(Files):
    """Files of which only what is new is read; the rest must be there, and nothing else."""

    def __init__(self, source: Source, tally: Tally, old: int) -> None:
        super().__init__(source, tally)
        self._old = old
        self.last_known: Checkpoint | None = None
        self._all = set(self.names)
        self._opened_path, self._opened = "", set[tuple[int, int] | None]()

    def stream_lines(self, path: str) -> Iterator[bytes]:
        """The lines about new checkpoints; one that cannot be read stays."""
        known = b""
        for line in super().stream_lines(path):
            size = _number(line, "size")
            if size is None or size > self._old:
                yield line
            else:
                known = line
        if known:
            self.last_known = _checkpoint_of(known)

    def read_lines(self, path: str) -> list[bytes]:
        """The lines about new leaves; one that cannot be read stays."""
        lines = super().read_lines(path)
        if bundle_beside(path) == self._old // TILE_WIDTH:
            leaves = ((line, _number(line, "leaf_index")) for line in lines)
            return [line for line, leaf in leaves if leaf is None or leaf >= self._old]
        return lines

    def opened(self, leaf: int, row: int) -> bool:
        """Whether the export opens a row of an older entry."""
        batch = batch_records_path(leaf)
        if batch in self.names:
            return self._holds(batch, leaf, row)
        path = openings_path(leaf // TILE_WIDTH)
        if path != self._opened_path:
            lines = super().read_lines(path) if path in self.names else []
            self._opened_path, self._opened = path, set(map(_row_of, lines))
        return (leaf, row) in self._opened

    def _holds(self, path: str, leaf: int, row: int) -> bool:
        """Whether a batch's records hold a row: it is not zero bytes throughout."""
        if path != self._opened_path:
            hashes = len(super().read(batch_hashes_path(leaf)) or b"") // HASH_BYTES
            records = super().read(path) or b""
            width = len(records) // max(hashes, 1)
            cut = (records[at : at + width] for at in range(0, len(records), max(width, 1)))
            self._opened = {(leaf, place) for place, record in enumerate(cut) if any(record)}
            self._opened_path = path
        return (leaf, row) in self._opened

    def keep_blobs(self, named: set[str]) -> None:
        """From now on, know of the blobs only that new entries name."""
        self.names = {path for path in self.names if not is_blob(path) or path in named}

    def check_names(self, size: int) -> None:
        """Every file of the tree is there and listed, and there is none that no export has."""
        listed = {INDEX, CHECKPOINT} | set(self.index.files if self.index else self._all)
        tree = {str(tile) for tile in tiles_for(size)}
        bundles = range(-(-size // TILE_WIDTH))
        allowed = {INDEX, CHECKPOINT, HISTORY, LOG_KEYS, *tree}
        allowed.update(path(n) for n in bundles for path in (rows_path, openings_path))
        allowed.update(p for p in self._all if (of := batch_of(p)) is not None and of < size)
        for path in sorted(self._all - {p for p in self._all if is_blob(p)} - allowed):
            self._tally.fail("file", None, "no such file", "one", path)
        for path in sorted((self._all & allowed) - listed):
            told = "a file that the index lists"
            self._tally.fail("file", None, told, path, path)
        for path in sorted((tree | listed) - self._all - self._asked):
            self._tally.fail("file", None, "the file", "none", path)


def _number(line: bytes, key: str) -> int | None:
    try:
        value = json.loads(line)[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if type(value) is int else None


def _row_of(line: bytes) -> tuple[int, int] | None:
    try:
        value = json.loads(line)
        return int(value["leaf_index"]), int(value["opening"]["row_index"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _checkpoint_of(line: bytes) -> Checkpoint | None:
    """The checkpoint that a line of the history holds, its signature unchecked: it is compared."""
    try:
        return parse_checkpoint(str(json.loads(line)["note"]).partition("\n\n")[0] + "\n")
    except (ValueError, KeyError, LedgerError):
        return None


class LaterEntries(EntryChecks):
    """The checks of entries, begun in the middle of the log."""

    def __init__(
        self,
        earlier: Earlier,
        files: LaterFiles,
        tally: Tally,
        tiles: BoundTiles,
        *,
        withheld: bool,
    ) -> None:
        super().__init__(earlier.checkpoint.origin, files, tally, openings_withheld=withheld)
        self._first = earlier.size
        self._past_files = files
        self.named: set[str] = set()  # paths of the blobs that new entries name
        past = Past(files, tiles, tally, earlier.size)
        self.book = KeyBook(earlier.keys)
        self._next_seq.update(earlier.next_seq)
        self._codes = _Column(past, 0)  # type: ignore[assignment] # read by leaf, appended to
        self._targets = _Column(past, 1)  # type: ignore[assignment]
        self._rows = _Column(past, 2)  # type: ignore[assignment]
        self._seal_end = earlier.seal_end
        self._unsealed.extend(past.hashes(earlier.seal_end))

    def _check(self, leaf: int, entry: Entry) -> None:
        values = entry.body["data"].values()
        self.named.update(blob_path(value) for value in values if DIGEST(value) is None)
        super()._check(leaf, entry)
        if entry.type == "erasure":
            self._check_erased(leaf, entry.body["data"]["rows"])

    def _check_erased(self, leaf: int, rows: list[str]) -> None:
        """Older openings are not read again, but for those that a new entry says are gone."""
        for row in rows:
            of, _, index = row.partition(".")
            if int(of) < self._first and self._past_files.opened(int(of), int(index)):
                self._tally.fail("erasure", leaf, f"no opening of {row}", "one")


class _Column:
    """One number per leaf: of new entries as they were appended, of older ones when asked for."""

    def __init__(self, past: Past, field: int) -> None:
        self._past = past
        self._field = field
        self._new: list[int] = []

    def append(self, value: int) -> None:
        """Keep the number of the next new leaf."""
        self._new.append(value)

    def __getitem__(self, leaf: int) -> int:
        old = self._past.size
        return self._new[leaf - old] if leaf >= old else self._past.facts(leaf)[self._field]


class Past:
    """Older entries, read again a bundle at a time when a new one refers to them."""

    def __init__(self, files: Files, tiles: BoundTiles, tally: Tally, size: int) -> None:
        self._files = files
        self._tiles = tiles
        self._tally = tally
        self.size = size
        self._kept: OrderedDict[int, list[tuple[int, int, int]]] = OrderedDict()

    def hashes(self, first: int) -> list[bytes]:
        """The leaf hashes from `first` on; zeros where a tile cannot be believed."""
        found = []
        for leaf in range(first, self.size):
            try:
                found.append(self._tiles.leaf(leaf))
            except (OSError, TileError):
                found.append(bytes(HASH_BYTES))
        return found

    def facts(self, leaf: int) -> tuple[int, int, int]:
        """Of an entry: its type's code, its target, its rows, as `EntryChecks` keeps them."""
        n, place = divmod(leaf, TILE_WIDTH)
        if n not in self._kept:
            self._kept[n] = self._read(n)
            if len(self._kept) > BUNDLES_KEPT:
                self._kept.popitem(last=False)
        return self._kept[n][place]

    def _read(self, n: int) -> list[tuple[int, int, int]]:
        newest = self._tiles.size
        width = width_at(0, n, newest)
        path = tile_path(None, n, width)
        data = self._files.read(path)
        unread = [_UNREAD] * width
        if data is None:
            return unread
        try:
            hashes = self._tiles.hashes(0, n)
            entries = split_bundle(data, width, path)
        except (OSError, TileError) as error:
            self._tally.fail("entry", n * TILE_WIDTH, "older entries", error)
            return unread
        return [
            self._fact(n * TILE_WIDTH + place, entry, bound)
            for place, (entry, bound) in enumerate(zip(entries, hashes, strict=True))
        ]

    def _fact(self, leaf: int, entry: bytes, bound: bytes) -> tuple[int, int, int]:
        if leaf >= self.size:
            return _UNREAD  # a new one, remembered as it is checked
        computed = leaf_hash(entry)
        if computed != bound:
            self._tally.fail("leaf", leaf, bound.hex(), computed.hex())
            return _UNREAD
        try:
            body = parse_entry(entry).body
        except RecordError:
            return _UNREAD
        kind, data = body["type"], body["data"]
        if kind == "prediction":
            return _CODE[kind], -1, data["row_count"]
        if kind == "outcome":
            return _CODE[kind], data["prediction_leaf"], data["row_index"]
        return _CODE[kind], -1, 0
