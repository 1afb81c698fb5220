"""Signs checkpoints with the keys that the log's own entries ask for at a size (`log_keys.py`).

A process may hold several private keys of the log: during a change the old one and the new one.
Which of them sign is not its choice: it is read from the entries under the append lock, with those
of the commit at hand. A process that lacks one of them signs nothing, and is to be started again.

The entries are found by their `ref`, `log`, and those that revoke by the key they name; without a
change of keys there are none, and looking costs one query on an index, only when others committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.dialect import run
from ledger.errors import KeyRefused, NoteError, SignatureRefused
from ledger.keybook import ADDED, ENDING, REVOKED, ROTATED, KeyBook
from ledger.keys import Role
from ledger.log_keys import history_of, speaks_of_log
from ledger.merkle import EMPTY_ROOT
from ledger.note import Checkpoint, KeyHistory, NoteSigner, sign_checkpoint
from ledger.reading import SignedHead, first_receipt
from ledger.record import parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from ledger.anchor import Anchor, Anchored
    from ledger.keys import SigningKey
    from ledger.merkle import Frontier
    from ledger.note import VerifierKey
    from ledger.post_quantum import SecondSigner
    from ledger.receipt import Receipt

KEY_TYPES: Final = frozenset({ADDED, ROTATED, REVOKED})


class LogSigner:
    """The log's private keys that this process holds; the one in use first."""

    def __init__(
        self, origin: str, keys: Sequence[SigningKey], second: SecondSigner | None = None
    ) -> None:
        """`second`: adds its signature to every checkpoint."""
        self.name = origin
        self._second = second
        self._held = {key.key_id: NoteSigner(origin, key) for key in keys}
        self._first = next(iter(self._held.values()))
        # What was read last, and from which leaves: by any thread, so as one value.
        self._known: tuple[tuple[int, ...], KeyHistory] = (), KeyHistory.of(self._first.vkey)
        # What is signed by, and after which head: by the leader of a commit alone.
        self._signing, self._as_of = self._known[1], ""

    @property
    def vkey(self) -> str:
        """The newest verifier key, as far as was looked."""
        return str(self._known[1].newest)

    @property
    def keys(self) -> list[VerifierKey]:
        """Every key of the log that this process knows of: held, or named by its entries."""
        held = (KeyHistory.of(signer.vkey).newest for signer in self._held.values())
        return [*(key.key for key in self._known[1].keys), *held]

    def hold(self, key: SigningKey) -> None:
        """Hold one more private key: it signs once an entry says so."""
        self._held = {**self._held, key.key_id: NoteSigner(self.name, key)}

    def history(self, connection: Connection) -> KeyHistory:
        """Every key that the log's entries name, or else the one in use."""
        entries = log_key_entries(connection)
        known, leaves = self._known, tuple(leaf for leaf, _ in entries)
        if leaves != known[0]:
            book = KeyBook()
            for leaf, entry in entries:
                _take(book, leaf, entry)
            known = leaves, history_of(book, self.name) or KeyHistory.of(self._first.vkey)
            self._known = known
        return known[1]

    def first_note(self) -> str:
        """The note over a log without entries."""
        return sign_checkpoint(Checkpoint(self.name, 0, EMPTY_ROOT), self._first)

    def sign(
        self, connection: Connection, checkpoint: Checkpoint, *, head: str, kinds: Iterable[str]
    ) -> str:
        """The note over a checkpoint, after the head's and with new entries of those types.

        Raises KeyRefused when a key that must sign is not held here.
        """
        if head != self._as_of or not KEY_TYPES.isdisjoint(kinds):
            self._signing = self.history(connection)
        signers = []
        for key in self._signing.keys:
            if key.signs(checkpoint.size):
                if (signer := self._held.get(key.key.key.key_id)) is None:
                    raise KeyRefused(
                        key.key.key.key_id,
                        "signs checkpoints of this log now, and this process does not hold it; "
                        "it must be started again",
                    )
                signers.append(signer)
        note = sign_checkpoint(checkpoint, *signers)
        if self._second is not None:
            note += self._second.line(checkpoint)
        self._as_of = note
        return note


def check_head(
    connection: Connection,
    frontier: Frontier,
    signer: LogSigner,
    anchor: Anchor | None,
    anchored: Anchored | None,
) -> None:
    """Hold the head against the checkpoint signed over it.

    Raises LedgerInconsistent, NoteError or RolledBack.
    """
    try:
        SignedHead(signer.history).check(connection, frontier)
    except NoteError:
        # A backup from before a change of keys is signed by none that is in use now.
        if anchor is not None:
            anchor.check(connection, frontier, anchored)
        raise


def key_changes(connection: Connection) -> list[Receipt]:
    """Each entry about the log's own keys, under the first checkpoint after it."""
    return [first_receipt(connection, leaf) for leaf, _ in log_key_entries(connection)]


def log_key_entries(connection: Connection) -> list[tuple[int, bytes]]:
    """Leaf and bytes of each entry about the log's own keys, in order."""
    rows = run(
        connection,
        "SELECT leaf_index, entry FROM ledger_entry WHERE ref = ? AND type IN (?, ?)",
        (str(Role.LOG), ADDED, ROTATED),
    ).all()
    if not rows:
        return []
    rows += run(
        connection, "SELECT leaf_index, entry FROM ledger_entry WHERE type = ?", (REVOKED,)
    ).all()
    book, found = KeyBook(), []
    for leaf, entry in sorted((int(leaf), bytes(entry)) for leaf, entry in rows):
        body = parse_entry(entry).body
        if body["type"] != REVOKED or speaks_of_log(body, book):
            _take(book, leaf, entry)
            found.append((leaf, entry))
    return found


def _take(book: KeyBook, leaf: int, entry: bytes) -> None:
    body = parse_entry(entry).body
    try:
        book.check(leaf, body)
    except (KeyRefused, SignatureRefused):
        return  # an audit names it; it changes nothing here
    if body["type"] in ENDING:
        book.end(leaf, body)
