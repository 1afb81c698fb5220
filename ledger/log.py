"""The log at work: append entries, read them, prove that they are there.

`append` returns when the entry is numbered, signed, in the tree, under a signed checkpoint and on
disk, with the receipt that says so; until then nothing has happened. Waiting callers share one
commit (`commit.py`); what one commit does is in `writing.py`, what reading does in `reading.py`.

With an anchor (`anchor.py`) no checkpoint leaves, alone or in a receipt, before the anchor stands
at it; one that a crash left behind is moved first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.anchor import Anchor
from ledger.beside import check_beside
from ledger.commit import GroupCommit
from ledger.counting import Counts
from ledger.dialect import run
from ledger.encoding import encode_checked
from ledger.errors import LedgerInconsistent, NotFound
from ledger.log_signing import LogSigner, check_head, key_changes
from ledger.reading import (
    StoredEntry,
    check_right_edge,
    entries_query,
    read_checkpoint,
    read_entry,
    read_head,
    read_size,
    receipt_at,
    tile_reader,
)
from ledger.store import check_exists, writer
from ledger.storing import Prepared
from ledger.tiles import (
    TILE_WIDTH,
    consistency_from_tiles,
    encode_bundle,
    inclusion_from_tiles,
    root_from_tiles,
    width_at,
)
from ledger.writing import Appended, Writer, find_duplicate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from ledger.commit import Group, Waker
    from ledger.condition import Unless
    from ledger.keys import SigningKey
    from ledger.note import KeyHistory
    from ledger.post_quantum import SecondSigner
    from ledger.receipt import Receipt
    from ledger.record import Draft

__all__ = ["Appended", "Ledger", "StoredEntry"]

LOCK_FILE = "ledger.append.lock"
PAGE = 256  # entries read at a time, with no connection held between two pages


class Ledger:
    """One log in one database. May be shared by threads; open it after a fork, not before."""

    def __init__(
        self, engine: Engine, signer: LogSigner, data_dir: Path, anchor: Anchor | None = None
    ) -> None:
        self._engine = engine
        self._anchor = anchor
        self.signer = signer
        self.origin = signer.name
        self._counts = Counts(engine)
        self._commit = GroupCommit(Writer(engine, signer, data_dir / LOCK_FILE, anchor).write)

    @classmethod
    def create(
        cls,
        engine: Engine,
        *,
        origin: str,
        log_key: SigningKey,
        data_dir: Path,
        anchor: Path | None = None,
        first_note: str = "",
    ) -> Ledger:
        """A new, empty log in a database that has the schema and no log yet, with its anchor.

        `first_note`: the checkpoint of size 0 as it was signed before, of a log to be recovered.
        """
        signer = LogSigner(origin, [log_key])
        made = Anchor(anchor, lambda: signer.keys) if anchor else None
        if made is not None:
            made.refuse_existing()
        note = first_note or signer.first_note()
        with writer(engine).begin() as connection:
            if run(connection, "SELECT count(*) FROM ledger_head").scalar():
                raise LedgerInconsistent("the database holds a log already")
            run(
                connection,
                "INSERT INTO ledger_head (id, origin, size, frontier) VALUES (0, ?, 0, ?)",
                (origin, b""),
            )
            run(connection, "INSERT INTO ledger_checkpoint (size, note) VALUES (0, ?)", (note,))
        if made is not None:
            made.create(note, reason="the log was made")
        return cls(engine, signer, data_dir, made)

    @classmethod
    def open(
        cls,
        engine: Engine,
        *,
        origin: str,
        log_key: SigningKey,
        data_dir: Path,
        anchor: Path | None = None,
        more_log_keys: Sequence[SigningKey] = (),
        second: SecondSigner | None = None,
    ) -> Ledger:
        """The log of a database, and its anchor's file if it has one. Nothing is created.

        `more_log_keys`: what is held beside `log_key` while one of them replaces the other;
        `second`: signs each checkpoint too (`post_quantum.py`).
        Refuses a database without a log, another origin or key, a head that is not the signed one,
        tiles or newest entries that do not lead to it, and a log that does not begin with what is
        anchored. Moves an anchor that a crash left behind.
        """
        check_exists(engine)
        signer = LogSigner(origin, [log_key, *more_log_keys], second)
        made = Anchor(anchor, lambda: signer.keys) if anchor else None
        ledger = cls(engine, signer, data_dir, made)
        # Before the database is: an honest one cannot be behind what was anchored by then.
        anchored = ledger._anchor.read() if ledger._anchor is not None else None
        with engine.connect() as connection:
            frontier = read_head(connection)
            found = run(connection, "SELECT origin FROM ledger_head").scalar()
            if found != origin:
                raise LedgerInconsistent("origin of the log", expected=origin, got=found)
            check_head(connection, frontier, signer, made, anchored)
            check_right_edge(connection, frontier)
            if ledger._anchor is not None:
                ledger._anchor.check(connection, frontier, anchored)
        if anchored is not None and anchored.size < frontier.size:
            ledger._catch_up()
        return ledger

    # --- append ---

    def append(
        self,
        draft: Draft,
        key: SigningKey,
        *,
        unless: Unless | None = None,
        deadline: float | None = None,
    ) -> Appended:
        """Append one entry signed by `key`. See `append_many`."""
        return self.append_many([(draft, key)], unless=unless, deadline=deadline)[0]

    def append_many(
        self,
        drafts: Sequence[tuple[Draft, SigningKey]],
        *,
        unless: Unless | None = None,
        deadline: float | None = None,
    ) -> list[Appended]:
        """Append entries in one commit, all or none, in order.

        An idempotency key that is in the log with the same request digest gives the first receipt
        again. Raises RecordError before anything is queued; QueueFull; DeadlinePassed when they
        still wait at `deadline` (of time.monotonic()); DuplicateKeyConflict; Overtaken when
        `unless` does not hold for what is new; or LedgerUnavailable, after which the entries may be
        durable: ask again with the same key.
        """
        prepared = [self._prepared(draft, key, unless) for draft, key in drafts]
        if not prepared:
            return []
        return self._commit.submit(prepared, sum(item.size for item in prepared), deadline)

    def append_soon(
        self,
        draft: Draft,
        key: SigningKey,
        *,
        unless: Unless | None = None,
        deadline: float | None = None,
        waker: Waker,
    ) -> Group[Prepared, Appended]:
        """Queue one entry and return at once: `append` for an event loop, which gathers.

        It is written once `write_soon` is said.

        Raises RecordError and QueueFull; every other error of `append` is the group's, which
        `waker` gets once it is settled or failed.
        """
        item = self._prepared(draft, key, unless)
        return self._commit.submit_soon([item], item.size, deadline, waker)

    def write_soon(self) -> None:
        """Have what `append_soon` queued written now; to be said again after each wake-up."""
        self._commit.write_soon()

    def _prepared(self, draft: Draft, key: SigningKey, unless: Unless | None) -> Prepared:
        body = encode_checked(draft, origin=self.origin, producer=key.key_id)
        check_beside(draft)
        return Prepared(draft, body, key, unless)

    def duplicate_of(self, idempotency_key: str, request_digest: str | None) -> Appended | None:
        """What is recorded under a key, with its first receipt. Raises DuplicateKeyConflict."""
        with self._engine.connect() as connection:
            found = find_duplicate(connection, idempotency_key, request_digest)
        if found is not None:
            self._anchored(found.receipt.tree_size)
        return found

    # --- the anchor ---

    def check_anchor(self) -> None:
        """Raise RolledBack when the log does not begin with what is anchored, or what it lacks."""
        if self._anchor is None:
            return
        anchored = self._anchor.read()
        with self._engine.connect() as connection:
            self._anchor.check(connection, read_head(connection), anchored)

    def begins_with(self, size: int, root: bytes) -> bool:
        """Whether the log has that many entries or more, and that root over them."""
        with self._engine.connect() as connection:
            if size > read_size(connection):
                return False
            return root_from_tiles(size, tile_reader(connection)) == root

    def _anchored(self, size: int) -> int | None:
        """How far the anchor is, at `size` at least: it is moved first. None without an anchor."""
        if self._anchor is None:
            return None
        anchored = self._anchor.read()
        if anchored.size < size:
            self._catch_up()
            anchored = self._anchor.read()
        return anchored.size

    def _catch_up(self) -> None:
        """Move the anchor to the head: a commit of nothing does."""
        self._commit.submit([], 0)

    # --- read ---

    @property
    def vkey(self) -> str:
        """The log's newest verifier key."""
        return self.signer.vkey

    def keys(self) -> KeyHistory:
        """Every key the log has signed checkpoints with."""
        with self._engine.connect() as connection:
            return self.signer.history(connection)

    def key_changes(self) -> list[Receipt]:
        """Each entry about the log's own keys, under the first checkpoint after it."""
        with self._engine.connect() as connection:
            return key_changes(connection)

    @property
    def size(self) -> int:
        """How many entries there are."""
        with self._engine.connect() as connection:
            return read_size(connection)

    def entry(self, index: int) -> StoredEntry:
        """One entry. Raises NotFound."""
        with self._engine.connect() as connection:
            return read_entry(connection, index)

    def entries(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the field's name in an entry
        ref: str | None = None,
        first: int | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> Iterator[StoredEntry]:
        """Entries in order from leaf `first` on; with `newest`, backwards from below `first`."""
        start, left = first, limit
        while left is None or left > 0:
            wanted = PAGE if left is None else min(PAGE, left)
            statement, values = entries_query(
                kind=type, ref=ref, start=start, newest=newest, limit=wanted
            )
            with self._engine.connect() as connection:
                page = run(connection, statement, values).all()
            for index, entry in page:
                yield StoredEntry(index, bytes(entry))
            if len(page) < wanted:
                return
            start = page[-1][0] + (0 if newest else 1)
            left = None if left is None else left - len(page)

    def counts(self) -> dict[str, int]:
        """How many entries of each type there are; reads only what came since it was last asked."""
        return self._counts.now()

    def rows(self, index: int) -> list[bytes]:
        """The rows of a multi-row entry, in order; empty for any other."""
        with self._engine.connect() as connection:
            found = run(
                connection,
                "SELECT row FROM ledger_row WHERE leaf_index = ? ORDER BY row_index",
                (index,),
            )
            return [bytes(row[0]) for row in found]

    def row_hashes(self, index: int) -> list[bytes]:
        """The leaf hashes of a batch's rows, part by part; empty for any other entry."""
        with self._engine.connect() as connection:
            found = run(
                connection,
                "SELECT hashes FROM ledger_part WHERE leaf_index = ? ORDER BY part",
                (index,),
            )
            return [bytes(row[0]) for row in found]

    # --- prove ---

    def checkpoint(self, size: int | None = None) -> str:
        """The newest checkpoint as a signed note, or an older one. Raises NotFound.

        None above the anchor is shown: it would be a promise that nothing keeps yet.
        """
        newest = self._anchored(0)
        if newest is not None and newest > self.size:
            self.check_anchor()
        with self._engine.connect() as connection:
            wanted = size if size is not None else newest
            if wanted is None:
                wanted = read_size(connection)
            if newest is not None and wanted > newest:
                raise NotFound("checkpoint of size", wanted)
            return read_checkpoint(connection, wanted)

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Every checkpoint up to the newest, by size."""
        newest = self._anchored(0)
        after = -1
        while True:
            with self._engine.connect() as connection:
                page = run(
                    connection,
                    "SELECT size, note FROM ledger_checkpoint WHERE size > ? ORDER BY size LIMIT ?",
                    (after, PAGE),
                ).all()
            for size, note in page:
                if newest is not None and size > newest:
                    return
                yield int(size), str(note)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def receipt(self, index: int) -> Receipt:
        """The receipt of an entry under the newest checkpoint. Raises NotFound."""
        with self._engine.connect() as connection:
            read_entry(connection, index)
        newest = self._anchored(index + 1)
        with self._engine.connect() as connection:
            return receipt_at(
                connection, index, read_size(connection) if newest is None else newest
            )

    def prove(self, index: int, size: int) -> list[bytes]:
        """The inclusion path of a leaf in the tree of a size. Raises InclusionError."""
        with self._engine.connect() as connection:
            return inclusion_from_tiles(index, size, tile_reader(connection))

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The consistency path between two sizes. Raises ConsistencyError."""
        with self._engine.connect() as connection:
            return consistency_from_tiles(old_size, new_size, tile_reader(connection))

    def tile(self, level: int, n: int, width: int) -> bytes:
        """A hash tile of any width the log has. Raises NotFound."""
        with self._engine.connect() as connection:
            if width > width_at(level, n, read_size(connection)):
                raise NotFound("tile", f"{level}/{n} of width {width}")
            return tile_reader(connection)(level, n, width)

    def entry_bundle(self, n: int, width: int) -> bytes:
        """An entry bundle of any width the log has. Raises NotFound."""
        first = n * TILE_WIDTH
        found = [stored.entry for stored in self.entries(first=first, limit=width)]
        if len(found) < width:
            raise NotFound("entry bundle", f"{n} of width {width}")
        return encode_bundle(found)
