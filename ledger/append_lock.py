"""Who may append: one process at a time.

On PostgreSQL the lock is the head's row (`SELECT ... FOR UPDATE`), over every host. On SQLite it is
`flock` on a file: processes queue for it fairly, where SQLite's own lock starves some. No network
file systems.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class AppendLock:
    """A file lock. Opened by each process for itself, since inherited descriptors share a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._owner = -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; it ends with the process whatever happens."""
        if self._owner != os.getpid():
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._owner = os.getpid()
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


class RowLock:
    """Nothing to do before the transaction: it begins by locking the head's row."""

    def held(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()
