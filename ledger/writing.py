"""One commit: entries numbered, signed, stored, hashed again and put under a signed checkpoint.

Everything of a batch happens in one transaction under the append lock, in the order of the plan:
read the head; answer retries; number and sign; insert; read the stored bytes back and hash them
(one flipped bit before signing ended a public log in 2022); sign the checkpoint; commit; move the
anchor (`anchor.py`), which the head was held against. Only then are receipts handed out. The head
is read each time and held against its signed checkpoint: a log must not sign over a head that has
rotted. No state of the tree is kept between two commits, so there is nothing to be stale after a
failure or after another process has written. What is kept (`Own`) is which entries this process
wrote last itself, so as not to ask the database for them; whoever else has written ends that.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.append_lock import AppendLock, RowLock
from ledger.beside import insert_beside
from ledger.condition import PREDICTION, Newest
from ledger.dialect import DRIVER_ERRORS, is_sqlite, run_among, run_many
from ledger.ended import EndedKeys, hold
from ledger.errors import (
    DuplicateKeyConflict,
    KeyRefused,
    LedgerError,
    LedgerUnavailable,
    Overtaken,
    RecordError,
)
from ledger.merkle import paths_for_batch
from ledger.note import Checkpoint
from ledger.reading import (
    SignedHead,
    first_receipt,
    read_head,
)
from ledger.receipt import Receipt
from ledger.record import renumber, sign_bodies
from ledger.store import truncate_wal, writer
from ledger.storing import (
    New,
    Prepared,
    hash_of,
    insert_entries,
    insert_full_tiles,
    next_number,
    read_back,
    write_head,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from ledger.anchor import Anchor
    from ledger.commit import Group
    from ledger.log_signing import LogSigner
    from ledger.merkle import Frontier
    from ledger.record import Draft

    Recorded = tuple[int, str | None]  # a leaf index, and the digest of the request behind it

WAL_EVERY: Final = 16  # commits between two WAL checkpoints: no measurable cost, bounded file


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry is, with its receipt. `repeated`: it was there before this request."""

    index: int
    receipt: Receipt
    repeated: bool = False


@dataclass(slots=True)
class _Sorted:
    """A batch sorted: what is new, what is known, what repeats something new. Keyed by `id`."""

    fresh: list[New]
    known: dict[int, Appended]
    twins: dict[int, New]


@dataclass(slots=True)
class Own:
    """What this process wrote last: it holds as long as the log still ends there.

    From `plain_from` to `end` all entries are predictions; `numbers` is the next sequence number of
    each key that signed any of them. Forgotten before each commit, learned again after it.
    """

    end: int = -1
    plain_from: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, size: int) -> Own:
        """The same for a log that ends here still; nothing for another one."""
        return self if self.end == size else Own(size, size)


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
        self._own = Own()
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
            own, self._own = self._own.of(frontier.size), Own()
            found = self._sort_out(connection, groups, frontier.size, own)
            answers = dict(found.known)
            if found.fresh:
                answers |= self._append(connection, found.fresh, frontier, own)
            for place, twin in found.twins.items():
                first = answers[id(twin.prepared)]
                answers[place] = Appended(first.index, first.receipt, repeated=True)
        self._own = own
        if self._anchor is not None:
            self._anchor.advance(self._engine, self._head.note)
        return [
            (group, [answers[id(item)] for item in group.items])
            for group in groups
            if not group.settled
        ]

    # --- retries ---

    def _sort_out(
        self, connection: Connection, groups: list[Group[Prepared, Appended]], size: int, own: Own
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
        newest = Newest(connection, conditions, size, plain_from=own.plain_from)
        ended = self._ended.look(connection, size, plain_from=own.plain_from)
        promised: dict[str, tuple[str | None, New]] = {}  # idempotency keys of this batch
        for group in groups:
            mine = _Sorted([], {}, {})
            taken: dict[str, tuple[str | None, New]] = {}
            try:
                for item in group.items:
                    _check_parents(item.draft, size)
                    twin = _find_twin(connection, item, recorded, ChainMap(taken, promised))
                    if isinstance(twin, Appended):
                        mine.known[id(item)] = twin
                    elif twin is not None:
                        mine.twins[id(item)] = twin
                    else:
                        new = New(item, size + len(found.fresh) + len(mine.fresh), b"", b"")
                        mine.fresh.append(new)
                        if item.draft.idempotency_key:
                            taken[item.draft.idempotency_key] = item.draft.request_digest, new
                for condition in {
                    id(n.prepared.unless): n.prepared.unless for n in mine.fresh
                }.values():
                    newest.check(condition)  # a group's entries often share one
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
        self, connection: Connection, fresh: list[New], frontier: Frontier, own: Own
    ) -> dict[int, Appended]:
        old_size = frontier.size
        self._sign(connection, fresh, own)
        insert_entries(connection, fresh)
        insert_beside(connection, [(new.index, new.prepared.draft) for new in fresh])
        leaves = [new.leaf for new in fresh]
        read_back(connection, old_size, fresh)
        paths = paths_for_batch(frontier, leaves)
        frontier.extend(leaves)
        insert_full_tiles(connection, old_size, frontier.size)
        checkpoint = Checkpoint(self._signer.name, frontier.size, frontier.root())
        kinds = (new.prepared.draft.type for new in fresh)
        note = self._signer.sign(connection, checkpoint, head=self._head.note, kinds=kinds)
        self._head.signed(note, checkpoint)
        write_head(connection, frontier, note)
        own.end = frontier.size
        if any(new.prepared.draft.type != PREDICTION for new in fresh):
            own.plain_from = frontier.size
        answers = {}
        for new, path in zip(fresh, paths, strict=True):
            receipt = Receipt(new.index, new.entry, frontier.size, path, note)
            answers[id(new.prepared)] = Appended(new.index, receipt)
        return answers

    def _sign(self, connection: Connection, fresh: Sequence[New], own: Own) -> None:
        """Give each entry its producer's next number, sign what is each producer's, hash it."""
        numbers: dict[str, int] = {}
        by_key: dict[str, list[New]] = {}
        for new in fresh:
            by_key.setdefault(new.prepared.key.key_id, []).append(new)
        for key_id, mine in by_key.items():
            first = own.numbers.get(key_id)
            if first is None:
                first = next_number(connection, key_id)
            bodies = [renumber(new.prepared.body, seq) for seq, new in enumerate(mine, first)]
            numbers[key_id] = first + len(mine)
            for new, entry in zip(
                mine, sign_bodies(bodies, mine[0].prepared.key.sign), strict=True
            ):
                new.entry, new.leaf = entry, hash_of(entry)
        run_many(
            connection,
            "INSERT INTO ledger_sequence (key_id, next_seq) VALUES (?, ?) "
            "ON CONFLICT (key_id) DO UPDATE SET next_seq = excluded.next_seq",
            list(numbers.items()),
        )
        own.numbers |= numbers

    def _checkpoint_wal(self) -> None:
        """Move the WAL into the database now and then; a reader in the way only postpones it."""
        self._commits += 1
        if self._commits % WAL_EVERY:
            return
        truncate_wal(self._engine)


# --- pieces of the transaction ---------------------------------------------------------------


def _check_parents(draft: Draft, size: int) -> None:
    unknown = [leaf for leaf in draft.parents if leaf >= size]
    if unknown:
        raise RecordError("parents", f"{unknown[0]} is not in a log of {size} entries")


def _find_twin(
    connection: Connection,
    item: Prepared,
    recorded: dict[str, Recorded],
    promised: Mapping[str, tuple[str | None, New]],
) -> New | Appended | None:
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
