"""One commit: entries numbered, signed, stored, hashed again and put under a signed checkpoint.

Everything of a batch happens in one transaction under the append lock, in the order of the plan:
read the head; answer retries; number and sign; insert; read the stored bytes back and hash them
(one flipped bit before signing ended a public log in 2022); sign the checkpoint; commit; move the
anchor (`anchor.py`), which the head was held against. Only then are receipts handed out. The head
is read each time and held against its signed checkpoint: a log must not sign over a head that has
rotted. No state of the tree is kept between two commits, so there is nothing to be stale after a
failure or after another process has written.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.append_lock import AppendLock, RowLock
from ledger.beside import insert_beside
from ledger.condition import Newest
from ledger.dialect import DRIVER_ERRORS, insert, is_sqlite, run, run_among, run_many
from ledger.ended import EndedKeys, hold
from ledger.errors import (
    DuplicateKeyConflict,
    KeyRefused,
    LedgerError,
    LedgerInconsistent,
    LedgerUnavailable,
    Overtaken,
    RecordError,
)
from ledger.merkle import leaf_hash, paths_for_batch, root_of
from ledger.note import Checkpoint
from ledger.reading import SignedHead, first_receipt, read_hashes, read_head
from ledger.receipt import Receipt
from ledger.record import renumber, sign_bodies
from ledger.store import truncate_wal, writer
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, split_tile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from ledger.anchor import Anchor
    from ledger.commit import Group
    from ledger.condition import Unless
    from ledger.keys import SigningKey
    from ledger.log_signing import LogSigner
    from ledger.merkle import Frontier
    from ledger.record import Draft

    Recorded = tuple[int, str | None]  # a leaf index, and the digest of the request behind it

WAL_EVERY: Final = 16  # commits between two WAL checkpoints: no measurable cost, bounded file


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
        return len(self.body) + beside + sum(map(len, self.draft.rows))


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry is, with its receipt. `repeated`: it was there before this request."""

    index: int
    receipt: Receipt
    repeated: bool = False


@dataclass(slots=True)
class _New:
    """One entry of the batch on its way in."""

    prepared: Prepared
    index: int
    entry: bytes
    leaf: bytes


@dataclass(slots=True)
class _Sorted:
    """A batch sorted: what is new, what is known, what repeats something new. Keyed by `id`."""

    fresh: list[_New]
    known: dict[int, Appended]
    twins: dict[int, _New]


class Writer:
    """Appends batches to one log."""

    def __init__(
        self, engine: Engine, signer: LogSigner, lock_path: Path, anchor: Anchor | None = None
    ) -> None:
        self._anchor = anchor
        self._engine = writer(engine)
        self._signer = signer
        self._head = SignedHead(signer.history)
        self._lock = AppendLock(lock_path) if is_sqlite(engine) else RowLock()
        self._ended = EndedKeys()
        self._commits = 0

    def write(self, groups: list[Group[Prepared, Appended]]) -> None:
        """Append every group or fail it; one group's conflict leaves the others alone."""
        try:
            with self._lock.held():
                for group, results in self._commit(groups):
                    group.settle(results)
                self._checkpoint_wal()
        except LedgerError:
            raise
        except (*DRIVER_ERRORS, OSError) as error:
            cause = str(getattr(error, "orig", None) or error)
            raise LedgerUnavailable("appending", cause) from error

    def _commit(
        self, groups: list[Group[Prepared, Appended]]
    ) -> list[tuple[Group[Prepared, Appended], list[Appended]]]:
        with self._engine.begin() as connection:
            frontier = read_head(connection, lock=True)
            self._head.check(connection, frontier)
            if self._anchor is not None:
                self._anchor.check(connection, frontier)
            found = self._sort_out(connection, groups, frontier.size)
            answers = dict(found.known)
            if found.fresh:
                answers |= self._append(connection, found.fresh, frontier)
            for place, twin in found.twins.items():
                first = answers[id(twin.prepared)]
                answers[place] = Appended(first.index, first.receipt, repeated=True)
        if self._anchor is not None:
            self._anchor.advance(self._engine, self._head.note)
        return [
            (group, [answers[id(item)] for item in group.items])
            for group in groups
            if not group.settled
        ]

    # --- retries ---

    def _sort_out(
        self, connection: Connection, groups: list[Group[Prepared, Appended]], size: int
    ) -> _Sorted:
        """New entries with their places, and answers to what is in the log already.

        A group with a conflicting idempotency key, with parents that are not in the log, whose
        condition does not hold, or signed by a key that has ended, is failed here, before anything
        is written.
        """
        found = _Sorted([], {}, {})
        keys = [item.draft.idempotency_key for group in groups for item in group.items]
        recorded = find_recorded(connection, [key for key in keys if key is not None])
        conditions = (item.unless for group in groups for item in group.items)
        newest = Newest(connection, conditions, size)
        ended = self._ended.look(connection, size)
        promised: dict[str, tuple[str | None, _New]] = {}  # idempotency keys of this batch
        for group in groups:
            mine = _Sorted([], {}, {})
            taken: dict[str, tuple[str | None, _New]] = {}
            try:
                for item in group.items:
                    _check_parents(item.draft, size)
                    twin = _find_twin(connection, item, recorded, ChainMap(taken, promised))
                    if isinstance(twin, Appended):
                        mine.known[id(item)] = twin
                    elif twin is not None:
                        mine.twins[id(item)] = twin
                    else:
                        new = _New(item, size + len(found.fresh) + len(mine.fresh), b"", b"")
                        mine.fresh.append(new)
                        if item.draft.idempotency_key:
                            taken[item.draft.idempotency_key] = item.draft.request_digest, new
                for new in mine.fresh:
                    newest.check(new.prepared.unless)
                hold(
                    ((n.index, n.prepared.key.key_id, n.prepared.draft) for n in mine.fresh), ended
                )
            except (DuplicateKeyConflict, KeyRefused, Overtaken, RecordError) as error:
                group.fail(error)
                continue
            for new in mine.fresh:
                newest.add(new.prepared.draft.type, new.prepared.draft.ref, new.index)
            promised |= taken
            found.fresh.extend(mine.fresh)
            found.known.update(mine.known)
            found.twins.update(mine.twins)
        return found

    # --- the batch itself ---

    def _append(
        self, connection: Connection, fresh: list[_New], frontier: Frontier
    ) -> dict[int, Appended]:
        old_size = frontier.size
        self._sign(connection, fresh)
        _insert(connection, fresh)
        insert_beside(connection, [(new.index, new.prepared.draft) for new in fresh])
        leaves = [new.leaf for new in fresh]
        _read_back(connection, old_size, fresh)
        paths = paths_for_batch(frontier, leaves)
        frontier.extend(leaves)
        insert_full_tiles(connection, old_size, frontier.size)
        checkpoint = Checkpoint(self._signer.name, frontier.size, frontier.root())
        kinds = (new.prepared.draft.type for new in fresh)
        note = self._signer.sign(connection, checkpoint, head=self._head.note, kinds=kinds)
        self._head.signed(note, checkpoint)
        write_head(connection, frontier, note)
        answers = {}
        for new, path in zip(fresh, paths, strict=True):
            receipt = Receipt(new.index, new.entry, frontier.size, path, note)
            answers[id(new.prepared)] = Appended(new.index, receipt)
        return answers

    def _sign(self, connection: Connection, fresh: Sequence[_New]) -> None:
        """Give each entry its producer's next number, sign what is each producer's, hash it."""
        numbers: dict[str, int] = {}
        by_key: dict[str, list[_New]] = {}
        for new in fresh:
            by_key.setdefault(new.prepared.key.key_id, []).append(new)
        for key_id, mine in by_key.items():
            first = run(
                connection, "SELECT next_seq FROM ledger_sequence WHERE key_id = ?", (key_id,)
            ).scalar()
            bodies = [
                renumber(new.prepared.body, seq) for seq, new in enumerate(mine, start=first or 0)
            ]
            numbers[key_id] = (first or 0) + len(mine)
            for new, entry in zip(
                mine, sign_bodies(bodies, mine[0].prepared.key.sign), strict=True
            ):
                new.entry, new.leaf = entry, leaf_hash(entry)
        run_many(
            connection,
            "INSERT INTO ledger_sequence (key_id, next_seq) VALUES (?, ?) "
            "ON CONFLICT (key_id) DO UPDATE SET next_seq = excluded.next_seq",
            list(numbers.items()),
        )

    def _checkpoint_wal(self) -> None:
        """Move the WAL into the database now and then; a reader in the way only postpones it."""
        self._commits += 1
        if self._commits % WAL_EVERY:
            return
        truncate_wal(self._engine)


# --- pieces of the transaction ---------------------------------------------------------------


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


def _check_parents(draft: Draft, size: int) -> None:
    unknown = [leaf for leaf in draft.parents if leaf >= size]
    if unknown:
        raise RecordError("parents", f"{unknown[0]} is not in a log of {size} entries")


def _find_twin(
    connection: Connection,
    item: Prepared,
    recorded: dict[str, Recorded],
    promised: Mapping[str, tuple[str | None, _New]],
) -> _New | Appended | None:
    """What is under an item's idempotency key already, in this batch or in the log."""
    key, digest = item.draft.idempotency_key, item.draft.request_digest
    if key is None:
        return None
    if key in recorded:
        return _recorded_as(connection, key, digest, recorded[key])
    if key not in promised:
        return None
    expected, new = promised[key]
    if expected != digest:
        raise DuplicateKeyConflict(key)
    return new


def find_recorded(connection: Connection, keys: Sequence[str]) -> dict[str, Recorded]:
    """Which of these idempotency keys the log has: leaf index and request digest of each."""
    if not keys:
        return {}
    rows = run_among(
        connection,
        "SELECT idempotency_key, leaf_index, request_digest FROM ledger_entry "
        "WHERE idempotency_key",
        keys,
    )
    return {key: (leaf, digest) for key, leaf, digest in rows}


def find_duplicate(connection: Connection, key: str, digest: str | None) -> Appended | None:
    """The entry recorded under an idempotency key, with the receipt it was first given.

    Raises DuplicateKeyConflict when another request used the key.
    """
    found = find_recorded(connection, [key]).get(key)
    return None if found is None else _recorded_as(connection, key, digest, found)


def _recorded_as(connection: Connection, key: str, digest: str | None, found: Recorded) -> Appended:
    leaf, recorded_digest = found
    if recorded_digest != digest:
        raise DuplicateKeyConflict(key, leaf)
    return Appended(leaf, first_receipt(connection, leaf), repeated=True)


def _insert(connection: Connection, fresh: Sequence[_New]) -> None:
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


def _read_back(connection: Connection, first: int, fresh: Sequence[_New]) -> None:
    """Hash what the database now holds; what was signed must be what is stored.

    Leaf hashes are held against the entries too, since tiles are made of them, and so are rows,
    since an entry commits to them.
    """
    stored = run(
        connection,
        "SELECT leaf_index, entry, leaf_hash FROM ledger_entry WHERE leaf_index >= ? "
        "ORDER BY leaf_index",
        (first,),
    ).all()
    if len(stored) != len(fresh):
        raise LedgerInconsistent("entries stored", expected=len(fresh), got=len(stored))
    for (index, entry, stored_hash), new in zip(stored, fresh, strict=True):
        got = leaf_hash(entry)
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
