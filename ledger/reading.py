"""Reading the log out of its tables: entries, tiles, proofs and receipts, in one snapshot each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.dialect import DRIVER_ERRORS, for_update, is_sqlite, run
from ledger.errors import LedgerInconsistent, NotFound
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash
from ledger.note import open_checkpoint
from ledger.receipt import Receipt
from ledger.tiles import TILE_WIDTH, inclusion_from_tiles, root_from_tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from ledger.note import Checkpoint, Trusted
    from ledger.tiles import ReadTile


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry's exact bytes and its place."""

    index: int
    entry: bytes


def read_size(connection: Connection) -> int:
    """How many entries the log has."""
    size = run(connection, "SELECT size FROM ledger_head WHERE id = 0").scalar()
    if size is None:
        raise LedgerInconsistent("the database holds no log")
    return int(size)


def read_head(connection: Connection, *, lock: bool = False) -> Frontier:
    """The tree's right edge. Raises LedgerInconsistent when there is none or it is misshapen.

    With `lock` nobody else appends until this transaction ends.
    """
    statement = "SELECT size, frontier FROM ledger_head WHERE id = 0"
    row = run(connection, statement + (for_update(connection) if lock else "")).first()
    if row is None:
        raise LedgerInconsistent("the database holds no log")
    size, nodes = row
    try:
        cut = [nodes[i : i + HASH_BYTES] for i in range(0, len(nodes), HASH_BYTES)]
        return Frontier(size, cut)
    except ValueError as error:
        raise LedgerInconsistent(f"head: {error}") from error


class SignedHead:
    """Holds a head against the checkpoint that was signed over it."""

    def __init__(self, keys: Callable[[Connection], Trusted]) -> None:
        self._keys = keys
        self.note = ""  # the last note whose signature was checked: its text decides, so it keeps
        self._opened: Checkpoint | None = None

    def signed(self, note: str, checkpoint: Checkpoint) -> None:
        """Be told of a note just signed, so that its signature need not be checked once more."""
        self.note, self._opened = note, checkpoint

    def check(self, connection: Connection, frontier: Frontier) -> None:
        """Raise LedgerInconsistent unless the log signed exactly this root at this size."""
        try:
            note = read_checkpoint(connection, frontier.size)
        except NotFound as error:
            raise LedgerInconsistent(f"head of size {frontier.size} is not signed") from error
        if self._opened is None or note != self.note:
            self.note, self._opened = note, open_checkpoint(note, self._keys(connection))
        signed, got = self._opened, frontier.root()
        if (signed.size, signed.root) != (frontier.size, got):
            raise LedgerInconsistent(
                "root of the head",
                expected=f"{signed.root.hex()} at size {signed.size}",
                got=f"{got.hex()} at size {frontier.size}",
            )


def check_right_edge(connection: Connection, frontier: Frontier) -> None:
    """Hold tiles, leaf hashes and the newest entries' bytes against the head.

    About a tile a level and the last bundle of entries are read: what the next commits build on.
    The whole log is the auditor's work. Raises LedgerInconsistent.
    """
    size = frontier.size
    first = max(size - 1, 0) // TILE_WIDTH * TILE_WIDTH
    rows = run(
        connection,
        "SELECT leaf_index, entry, leaf_hash FROM ledger_entry WHERE leaf_index >= ? "
        "ORDER BY leaf_index",
        (first,),
    ).all()
    if [index for index, _, _ in rows] != list(range(first, size)):
        raise LedgerInconsistent(f"entries from {first} on", expected=size - first, got=len(rows))
    for index, entry, stored in rows:
        if (got := leaf_hash(entry)) != stored:
            raise LedgerInconsistent(
                f"entry {index} as stored", expected=stored.hex(), got=got.hex()
            )
    root = root_from_tiles(size, tile_reader(connection))
    if root != frontier.root():
        raise LedgerInconsistent(
            "root of the tiles", expected=frontier.root().hex(), got=root.hex()
        )


def read_hashes(connection: Connection, level: int, first: int, end: int) -> bytes:
    """Hashes [first, end) of a level: leaf hashes, or roots of the full tiles one level below."""
    if level == 0:
        rows = run(
            connection,
            "SELECT leaf_hash FROM ledger_entry WHERE leaf_index >= ? AND leaf_index < ? "
            "ORDER BY leaf_index",
            (first, end),
        )
    else:
        rows = run(
            connection,
            "SELECT root FROM ledger_tile WHERE level = ? AND n >= ? AND n < ? ORDER BY n",
            (level - 1, first, end),
        )
    hashes = b"".join(row[0] for row in rows)
    if len(hashes) != (end - first) * HASH_BYTES:
        raise LedgerInconsistent(
            f"hashes {first} to {end} of level {level}",
            expected=end - first,
            got=len(hashes) // HASH_BYTES,
        )
    return hashes


def read_entries(connection: Connection, first: int) -> list[tuple[int, bytes, bytes]]:
    """Index, entry and leaf hash of every stored entry from `first` on, in order.

    On SQLite as one row of text: the driver lets go of the interpreter's lock at each row. An entry
    is canonical JSON, so it holds no line feed; one that has rotted may, and is then found to be
    other than it was, or is not text any more. Raises LedgerInconsistent.
    """
    if not is_sqlite(connection):
        rows = run(
            connection,
            "SELECT leaf_index, entry, leaf_hash FROM ledger_entry WHERE leaf_index >= ? "
            "ORDER BY leaf_index",
            (first,),
        )
        return [(index, bytes(entry), bytes(stored)) for index, entry, stored in rows]
    try:
        text = run(
            connection,
            "SELECT group_concat(leaf_index || ' ' || hex(leaf_hash) || ' ' || "
            "CAST(entry AS TEXT), char(10) ORDER BY leaf_index) "
            "FROM ledger_entry WHERE leaf_index >= ?",
            (first,),
        ).scalar()
        cut = [line.split(" ", 2) for line in (text or "").split("\n") if line]
        return [(int(i), entry.encode(), bytes.fromhex(stored)) for i, stored, entry in cut]
    except (*DRIVER_ERRORS, ValueError) as error:
        raise LedgerInconsistent(f"entries stored from {first} on") from error


def read_entry(connection: Connection, index: int) -> StoredEntry:
    """One entry. Raises NotFound."""
    found = run(
        connection, "SELECT entry FROM ledger_entry WHERE leaf_index = ?", (index,)
    ).scalar()
    if found is None:
        raise NotFound("entry", index)
    return StoredEntry(index, bytes(found))


def read_checkpoint(connection: Connection, size: int) -> str:
    """The checkpoint of exactly that size. Raises NotFound."""
    note = run(connection, "SELECT note FROM ledger_checkpoint WHERE size = ?", (size,)).scalar()
    if note is None:
        raise NotFound("checkpoint of size", size)
    return str(note)


def tile_reader(connection: Connection) -> ReadTile:
    """Tiles of any width, out of full tiles and, at the right edge, single hashes."""

    def read(level: int, n: int, width: int) -> bytes:
        stored = run(
            connection, "SELECT hashes FROM ledger_tile WHERE level = ? AND n = ?", (level, n)
        ).scalar()
        if stored is not None:
            return bytes(stored[: width * HASH_BYTES])
        first = n * TILE_WIDTH
        return read_hashes(connection, level, first, first + width)

    return read


def receipt_at(connection: Connection, index: int, size: int) -> Receipt:
    """The receipt of an entry under the checkpoint of a size."""
    path = inclusion_from_tiles(index, size, tile_reader(connection))
    note = read_checkpoint(connection, size)
    return Receipt(index, read_entry(connection, index).entry, size, tuple(path), note)


def first_receipt(connection: Connection, index: int) -> Receipt:
    """The receipt as its caller first got it: under the checkpoint that first held the entry."""
    size = run(
        connection, "SELECT min(size) FROM ledger_checkpoint WHERE size > ?", (index,)
    ).scalar()
    if size is None:
        raise NotFound("checkpoint over entry", index)
    return receipt_at(connection, index, int(size))


def entries_query(
    *, kind: str | None, ref: str | None, start: int | None, newest: bool, limit: int
) -> tuple[str, tuple[Any, ...]]:
    """One page of entries by keyset: from `start` on, or below it when the newest come first."""
    wanted = [("type", kind), ("ref", ref)]
    where = [f"{column} = ?" for column, value in wanted if value is not None]
    values: list[Any] = [value for _, value in wanted if value is not None]
    if start is not None:
        where.append("leaf_index < ?" if newest else "leaf_index >= ?")
        values.append(start)
    condition = " AND ".join(where) or "1 = 1"
    order = "DESC" if newest else "ASC"
    statement = (
        f"SELECT leaf_index, entry FROM ledger_entry WHERE {condition} "  # noqa: S608 - own columns
        f"ORDER BY leaf_index {order} LIMIT ?"
    )
    return statement, (*values, limit)
