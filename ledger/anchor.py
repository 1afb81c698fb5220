"""The newest checkpoint, kept outside the database: a database restored from a backup is noticed.

A log that goes on from yesterday's backup signs a second history under its own key. So the newest
checkpoint lies in a file of its own, best on another disk, and is compared twice for each commit:

- before anything is signed, under the append lock: the log in the database must begin with the
  anchored tree;
- after COMMIT and before any receipt leaves, the anchor moves to the new checkpoint.

A crash in between leaves the database one commit ahead (on PostgreSQL as many as others made): the
next start or append sees that it begins with the anchored tree, and moves the anchor. It is never
behind; then nothing is appended, and the error names the command that recovers what is missing.

The anchor is made by `assay init` or `assay ledger anchor --create`, never on first use, and never
edited: whoever edits it can cause a split view. It is a signed note, so only the log's key makes
one; an older one put back in its place is not noticed while the database is older too.

It never moves backwards: what is there is read and what follows is written under one file lock
(`slots.py`), by all processes of all houses that name the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.errors import (
    AnchorLost,
    AnchorRefused,
    CanonicalError,
    LedgerUnavailable,
    NoteError,
    NotFound,
    RecordError,
    RolledBack,
)
from ledger.grammar import LEAF, check_fields, one_of, text
from ledger.note import VerifierKey, open_note, parse_checkpoint, split_note
from ledger.reading import read_checkpoint, tile_reader
from ledger.slots import RECORD_MAX, SlotFile
from ledger.tiles import root_from_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from ledger.grammar import Fields
    from ledger.merkle import Frontier
    from ledger.note import Checkpoint
    from ledger.slots import Kept

SCHEMA: Final = "assay/anchor/v1"
REASON_MAX: Final = 1024  # characters of why an anchor was made


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an anchor holds: a checkpoint, and since which size and why the anchor exists."""

    size: int
    root: bytes
    note: str
    since: int
    reason: str

    def to_bytes(self) -> bytes:
        """The canonical bytes of the file."""
        return canonical_bytes(
            {
                "schema": SCHEMA,
                "size": self.size,
                "root": self.root.hex(),
                "note": self.note,
                "created": {"size": self.since, "reason": self.reason},
            }
        )


class Anchor:
    """The anchor file of one log. Opened by each process for itself; threads may read together.

    Who calls `check` and `advance` is alone in its process, as the leader of a commit is.
    """

    def __init__(self, path: Path, keys: str | Callable[[], Sequence[VerifierKey]]) -> None:
        """`keys`: what the log's checkpoints may be signed with now; or its one verifier key."""
        self.path = path
        self._keys = keys
        self._file = SlotFile(path)
        self._read: tuple[bytes, Anchored] | None = None  # what was parsed last, and from what
        self._checked = ""  # the note that `check` saw: the database begins with its tree

    def read(self) -> Anchored:
        """What is anchored now. Raises AnchorLost, AnchorRefused or LedgerUnavailable."""
        return self._found(held=False)[1]

    def _found(self, *, held: bool) -> tuple[Kept, Anchored]:
        try:
            kept = self._file.read(held=held)
        except FileNotFoundError as error:
            raise AnchorLost(str(self.path)) from error
        except OSError as error:
            raise LedgerUnavailable("reading the anchor", str(error)) from error
        if kept is None:
            raise AnchorRefused(str(self.path), "neither of its slots is whole")
        known = self._read
        if known is None or known[0] != kept.data:
            self._read = known = kept.data, self._parsed(kept.data)
        return kept, known[1]

    def create(self, note: str, *, reason: str) -> Anchored:
        """Make the anchor, at a checkpoint. Raises AnchorRefused when there is one already."""
        checkpoint = self._opened(note)
        made = Anchored(checkpoint.size, checkpoint.root, note, checkpoint.size, reason)
        try:
            with self._file.held():
                self.refuse_existing()
                self._file.make(made.to_bytes())
        except OSError as error:
            raise LedgerUnavailable("writing the anchor", str(error)) from error
        return made

    def refuse_existing(self) -> None:
        """Raise AnchorRefused when there is an anchor: it is never edited."""
        if self.path.exists():
            raise AnchorRefused(str(self.path), "it exists, and an anchor is never edited")

    def check(
        self, connection: Connection, frontier: Frontier, anchored: Anchored | None = None
    ) -> Anchored:
        """Refuse a log that does not begin with the anchored tree. Raises RolledBack.

        The head is locked, or `anchored` was read before the head was: an honest database is never
        behind then.
        """
        anchored = anchored or self.read()
        if anchored.size > frontier.size:
            raise _rolled_back(anchored, frontier.size, frontier.root())
        if anchored.size == frontier.size:
            found = frontier.root()
        else:
            found = root_from_tiles(anchored.size, tile_reader(connection))
        if found != anchored.root:
            raise _rolled_back(anchored, anchored.size, found)
        self._checked = anchored.note
        return anchored

    def advance(self, engine: Engine, note: str) -> None:
        """Move to a checkpoint that is committed, unless another worker has come further.

        Compare-and-set: what is there must be what `check` saw, or a checkpoint of this database.
        Raises RolledBack, or LedgerUnavailable when it cannot be written; nothing may be answered
        then.
        """
        if self.read().note == note:
            return
        new = parse_checkpoint(split_note(note)[0])  # the head was held against it: no more checks
        try:
            with self._file.held():
                kept, now = self._found(held=True)
                if now.note != self._checked:
                    self._compare(engine, now)
                if now.size < new.size:
                    self._write(Anchored(new.size, new.root, note, now.since, now.reason), kept)
        except OSError as error:
            raise LedgerUnavailable("writing the anchor", str(error)) from error

    def _compare(self, engine: Engine, now: Anchored) -> None:
        """Hold what another worker anchored against this database's checkpoint of that size."""
        with engine.connect() as connection:
            try:
                note = read_checkpoint(connection, now.size)
            except NotFound as error:
                raise _rolled_back(now, now.size, b"") from error
        root = self._opened(note).root
        if root != now.root:
            raise _rolled_back(now, now.size, root)

    def _write(self, anchored: Anchored, after: Kept) -> None:
        """Put it in place of what was read under the lock; on disk when this returns."""
        data = anchored.to_bytes()
        if after.generation < 0:
            self._file.make(data)
        else:
            self._file.write(data, after)
        self._read = data, anchored

    def _opened(self, note: str) -> Checkpoint:
        """A checkpoint signed by one of the log's keys; of which time is not judged here."""
        keys = [VerifierKey.parse(self._keys)] if isinstance(self._keys, str) else self._keys()
        checkpoint = parse_checkpoint(open_note(note, keys))
        if checkpoint.origin != keys[0].name:
            raise NoteError(f"origin is {checkpoint.origin}, the key is of {keys[0].name}")
        return checkpoint

    def _parsed(self, data: bytes) -> Anchored:
        try:
            value = parse_canonical(data)
            if not isinstance(value, dict):
                raise AnchorRefused(str(self.path), "expected an object")
            check_fields(value, _FIELDS, "anchor")
        except (CanonicalError, RecordError) as error:
            raise AnchorRefused(str(self.path), str(error)) from error
        checkpoint = self._opened(value["note"])
        if (checkpoint.size, checkpoint.root.hex()) != (value["size"], value["root"]):
            raise AnchorRefused(str(self.path), "size and root are not those of its note")
        created = value["created"]
        return Anchored(
            checkpoint.size, checkpoint.root, value["note"], created["size"], created["reason"]
        )


def _rolled_back(anchored: Anchored, found_size: int, found_root: bytes) -> RolledBack:
    return RolledBack(
        size=anchored.size, root=anchored.root, found_size=found_size, found_root=found_root
    )


def _created(value: object) -> str | None:
    if not isinstance(value, dict) or set(value) != {"reason", "size"}:
        return "expected reason and size"
    return LEAF(value["size"]) or text(REASON_MAX)(value["reason"])


_FIELDS: Fields = {
    "schema": one_of(SCHEMA),
    "size": LEAF,
    "root": text(64),
    "note": text(RECORD_MAX),
    "created": _created,
}
