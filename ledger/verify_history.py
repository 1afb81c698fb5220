"""Checkpoints under check: the log's keys, the newest checkpoint, every earlier one as a prefix.

Part of `verify`. A log that signed two histories shows here when both are in one export; that two
exports agree takes a consistency proof between their checkpoints, or witnesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.canonical import parse_canonical
from ledger.checkpoint import KeyHistory, open_checkpoint
from ledger.layout import CHECKPOINT, HISTORY, LOG_KEYS
from ledger.log_keys import follow, history_of, parse_lines
from ledger.refusals import CanonicalError, KeyRefused, NoteError, RecordError, SignatureRefused

if TYPE_CHECKING:
    from ledger.checkpoint import Checkpoint
    from ledger.findings import Tally
    from ledger.keybook import KeyBook
    from ledger.verify_files import Files


def read_keys(files: Files, trusted: KeyHistory, tally: Tally) -> KeyHistory:
    """Every key of the log, followed from those that are trusted; these alone after a finding."""
    data = files.read(LOG_KEYS) if LOG_KEYS in files.names else None
    try:
        return follow(trusted, parse_lines(data or b""))
    except (CanonicalError, KeyRefused, RecordError, SignatureRefused) as error:
        told = "entries that lead from one key of the log to the next"
        tally.fail("key", None, told, error, LOG_KEYS)
        return trusted


def check_keys(keys: KeyHistory, book: KeyBook, tally: Tally) -> None:
    """Hold the keys that checkpoints were opened with against the log's entries, at its end."""
    told = history_of(book, keys.name) or KeyHistory.of(keys.newest)
    if str(told) != str(keys):
        tally.fail("key", None, told, keys, LOG_KEYS)


def read_checkpoint(files: Files, keys: KeyHistory, tally: Tally) -> tuple[str, Checkpoint] | None:
    """The newest checkpoint, as note and opened; None after a finding."""
    data = files.read(CHECKPOINT)
    if data is None:
        return None
    try:
        note = data.decode()
        checkpoint = open_checkpoint(note, keys)
    except (UnicodeDecodeError, NoteError) as error:
        expected = f"a checkpoint signed by {keys}"
        tally.fail("checkpoint", None, expected, error, CHECKPOINT)
        return None
    tally.passed("checkpoint")
    return note, checkpoint


class History:
    """Every checkpoint the log signed, sizes ascending, the newest last; read along the walk."""

    def __init__(self, files: Files, keys: KeyHistory, newest: Checkpoint, tally: Tally) -> None:
        self._keys, self._newest, self._tally = keys, newest, tally
        self._lines = enumerate(files.stream_lines(HISTORY), start=1)
        self._last: Checkpoint | None = None
        self._waiting: tuple[Checkpoint, str] | None = None
        self._go_on()

    @property
    def next_size(self) -> int:
        """The size of the next checkpoint to compare; -1 when there is none."""
        return self._waiting[0].size if self._waiting else -1

    def compare(self, roots: list[bytes]) -> None:
        """Hold the next checkpoint against the tree's root at its size, however computed."""
        assert self._waiting is not None  # noqa: S101 - whoever calls saw `next_size`
        checkpoint, where = self._waiting
        if checkpoint.root in roots:
            self._tally.passed("history")
        else:
            expected, got = checkpoint.root.hex(), roots[0].hex()
            subject = f"{where}, size {checkpoint.size}"
            self._tally.fail("history", None, expected, got, subject)
        self._go_on()

    def finish(self) -> None:
        """At the end of the walk: the newest checkpoint came last."""
        if self._last != self._newest:
            expected = f"the checkpoint of size {self._newest.size} last"
            got = "none" if self._last is None else f"one of size {self._last.size}"
            self._tally.fail("history", None, expected, got, HISTORY)

    def _go_on(self) -> None:
        self._waiting = None
        for number, line in self._lines:
            where = f"{HISTORY} line {number}"
            try:
                self._last = _open_line(line, self._keys, self._last, self._newest)
            except (CanonicalError, NoteError, RecordError) as error:
                self._tally.fail("history", None, "a checkpoint", error, where)
            else:
                self._waiting = self._last, where
                return


def _open_line(
    line: bytes, keys: KeyHistory, last: Checkpoint | None, newest: Checkpoint
) -> Checkpoint:
    value = parse_canonical(line)
    if not isinstance(value, dict) or value.keys() != {"note", "size"}:
        raise RecordError("line", "expected note and size")
    checkpoint = open_checkpoint(str(value["note"]), keys)
    if type(value["size"]) is not int or value["size"] != checkpoint.size:
        raise RecordError("size", f"the note is of size {checkpoint.size}")
    if last is not None and checkpoint.size <= last.size:
        raise RecordError("size", f"{checkpoint.size} after {last.size}")
    if checkpoint.size > newest.size:
        raise RecordError("size", f"{checkpoint.size} in a log of {newest.size}")
    return checkpoint
