"""One small record kept in a file of two slots, written in turn and in place.

| Bytes | What |
|---|---|
| 0 to 16383 | slot 0 |
| 16384 to 32767 | slot 1 |

A slot begins with a line of generation, length and SHA-256, in hex; the record follows, and then
whatever an older one left. The newest record that is whole counts. A write goes to the other slot:
one `pwrite` and one `fdatasync`, no rename and no new block, so it costs one flush; what a crash
tears is the slot that did not count yet, and the next write goes there again.

Whoever reads must not be shown what is not on disk: a record newer than the last one known to be
flushed is read again under the lock, which a writer holds until it has flushed. A write that failed
is taken back. One spot of rot costs the newest record, not both. No network file systems.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ledger.append_lock import AppendLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

SLOT_BYTES: Final = 1 << 14  # whole blocks of any usual file system, so slots share none
SLOTS: Final = 2
_HEAD: Final = re.compile(rb"([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{64})\n")
_HEAD_BYTES: Final = 16 + 1 + 8 + 1 + 64 + 1
RECORD_MAX: Final = SLOT_BYTES - _HEAD_BYTES


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole record: the file's number, its generation, which grows with each write, its slot."""

    file: int
    generation: int
    slot: int
    data: bytes


class SlotFile:
    """The file. Opened for each act, so that one put in its place is seen; `held` to write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._lock = AppendLock(self._lock_path)
        self._flushed = -1, -1  # a file's number, and its newest generation known to be on disk

    def held(self) -> AbstractContextManager[None]:
        """Be the only writer, among threads that see to it themselves and all processes."""
        return self._lock.held()

    def read(self, *, held: bool = False) -> Kept | None:
        """The newest record, on disk; None when no slot is whole. Raises OSError.

        `held`: by the caller, who may write next.
        """
        found = self._whole()
        if held:
            return _newest(found)
        newest = _newest(found)
        if len(found) < SLOTS or newest is None or not self._is_flushed(newest):
            with self._nobody_writing():
                newest = _newest(self._whole())
            if newest is not None:
                self._flushed = newest.file, newest.generation
        return newest

    def _is_flushed(self, kept: Kept) -> bool:
        file, generation = self._flushed
        return kept.file == file and kept.generation <= generation

    def write(self, data: bytes, after: Kept) -> None:
        """Put a record after the one that was read, held. On disk when this returns, or OSError."""
        new = _slot(after.generation + 1, data)
        at = (SLOTS - 1 - after.slot) * SLOT_BYTES
        with self._opened(os.O_RDWR) as descriptor:
            old = os.pread(descriptor, len(new), at)
            try:
                _write_at(descriptor, new, at)
                os.fdatasync(descriptor)
            except OSError:
                _write_at(descriptor, old, at)
                raise
        self._flushed = after.file, after.generation + 1

    def make(self, data: bytes) -> None:
        """Put a file with one record into place, whole or not at all; held. Raises OSError."""
        draft = self.path.with_name(self.path.name + ".part")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for slot in range(SLOTS):
                _write_at(descriptor, _slot(0, data).ljust(SLOT_BYTES, b"\0"), slot * SLOT_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._flushed = -1, -1

    def _whole(self) -> list[Kept]:
        with self._opened(os.O_RDONLY) as descriptor:
            data, file = os.pread(descriptor, SLOTS * SLOT_BYTES, 0), os.fstat(descriptor).st_ino
        if data[:1] == b"{":  # of release 0.2: one record without slots, replaced by each write
            return [Kept(file, -1, slot, data) for slot in range(SLOTS)]
        cut = (data[n * SLOT_BYTES : (n + 1) * SLOT_BYTES] for n in range(SLOTS))
        found = (_record(slot, file, n) for n, slot in enumerate(cut))
        return [kept for kept in found if kept is not None]

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        descriptor = os.open(self.path, flags | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _nobody_writing(self) -> Iterator[None]:
        """A descriptor of its own: one shared with a writing thread would let go of its lock."""
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _slot(generation: int, data: bytes) -> bytes:
    if len(data) > RECORD_MAX:
        message = f"a record of {len(data)} bytes; at most {RECORD_MAX}"
        raise OSError(message)
    head = b"%016x %08x " % (generation, len(data))
    return head + sha256(head + data).hexdigest().encode() + b"\n" + data


def _record(slot: bytes, file: int, number: int) -> Kept | None:
    """The record of a slot; None when it is not whole."""
    head = _HEAD.match(slot)
    if head is None:
        return None
    data = slot[_HEAD_BYTES : _HEAD_BYTES + int(head[2], 16)]
    digest = sha256(slot[: head.start(3)] + data).hexdigest().encode()
    return Kept(file, int(head[1], 16), number, data) if digest == head[3] else None


def _newest(found: list[Kept]) -> Kept | None:
    return max(found, key=lambda kept: kept.generation, default=None)


def _write_at(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
