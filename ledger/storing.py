"""What a commit stores and reads back: entries, full tiles, the head and its checkpoint.

Each is a step of the transaction in `writing.py`, which is where their order is. Nothing here
begins or ends one.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ledger.dialect import insert, run
from ledger.errors import LedgerInconsistent
from ledger.merkle import root_of
from ledger.reading import read_entries, read_hashes
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, split_tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from ledger.condition import Unless
    from ledger.keys import SigningKey
    from ledger.merkle import Frontier
    from ledger.record import Draft

HASHED_AT_ONCE: Final = 2047  # bytes; from 2,048 on hashlib lets go of the interpreter's lock


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked draft with its canonical body under number 0, and the key that will sign it."""

    draft: Draft
    body: bytes
    key: SigningKey
    unless: Unless | None = None

    @property
    def size(self) -> int:
        """Bytes it brings to a commit: the body, and what is stored beside the entry."""
        beside = sum(len(opening.sealed) for opening in self.draft.openings)
        parts = sum(len(part.hashes) + len(part.sealed) for part in self.draft.parts)
        return len(self.body) + beside + parts + sum(map(len, self.draft.rows))


@dataclass(slots=True)
class New:
    """One entry of the batch on its way in."""

    prepared: Prepared
    index: int
    entry: bytes
    leaf: bytes


def next_number(connection: Connection, key_id: str) -> int:
    """The next sequence number of a key."""
    found = run(
        connection, "SELECT next_seq FROM ledger_sequence WHERE key_id = ?", (key_id,)
    ).scalar()
    return int(found or 0)


def hash_of(entry: bytes) -> bytes:
    """`merkle.leaf_hash` in pieces so short that hashlib keeps the interpreter's lock (2,047)."""
    made = sha256(b"\0")
    for at in range(0, len(entry), HASHED_AT_ONCE):
        made.update(entry[at : at + HASHED_AT_ONCE])
    return made.digest()


def insert_entries(connection: Connection, fresh: Sequence[New]) -> None:
    """Insert the entries, and what they are looked up by."""
    insert(
        connection,
        "ledger_entry",
        [
            (
                new.index,
                new.entry,
                new.leaf,
                new.prepared.draft.type,
                new.prepared.draft.ref,
                new.prepared.draft.idempotency_key,
                new.prepared.draft.request_digest,
            )
            for new in fresh
        ],
    )


def read_back(connection: Connection, first: int, fresh: Sequence[New]) -> None:
    """Hash what the database now holds; what was signed must be what is stored.

    Leaf hashes are held against the entries too, since tiles are made of them, and so are rows,
    since an entry commits to them.
    """
    stored = read_entries(connection, first)
    if len(stored) != len(fresh):
        raise LedgerInconsistent("entries stored", expected=len(fresh), got=len(stored))
    for (index, entry, stored_hash), new in zip(stored, fresh, strict=True):
        got = hash_of(entry)
        if index != new.index or not new.leaf == got == stored_hash:
            raise LedgerInconsistent(
                f"entry {new.index} as stored", expected=new.leaf.hex(), got=got.hex()
            )
    rows = [row for new in fresh for row in new.prepared.draft.rows]
    if rows:
        found = run(
            connection,
            "SELECT row FROM ledger_row WHERE leaf_index >= ? ORDER BY leaf_index, row_index",
            (first,),
        )
        if [bytes(row[0]) for row in found] != rows:
            raise LedgerInconsistent(f"rows stored from entry {first} on")


def insert_full_tiles(connection: Connection, old_size: int, new_size: int) -> None:
    """Store each tile that this batch filled, at every level."""
    level = 0
    old, new = old_size // TILE_WIDTH, new_size // TILE_WIDTH
    while new > old:
        for n in range(old, new):
            hashes = read_hashes(connection, level, n * TILE_WIDTH, (n + 1) * TILE_WIDTH)
            cut = split_tile(hashes, TILE_WIDTH)
            insert(connection, "ledger_tile", [(level, n, hashes, root_of(cut))])
        old, new = old >> TILE_HEIGHT, new >> TILE_HEIGHT
        level += 1


def write_head(connection: Connection, frontier: Frontier, note: str) -> None:
    """Move the head and store the checkpoint over it."""
    run(
        connection,
        "UPDATE ledger_head SET size = ?, frontier = ? WHERE id = 0",
        (frontier.size, b"".join(frontier.nodes)),
    )
    run(
        connection,
        "INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)",
        (frontier.size, note),
    )
