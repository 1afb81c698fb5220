"""Locks over the threads and processes of one house: files, so a lock ends with whoever held it.

| file | held |
|---|---|
| `export.lock` | while the house's own export is written and read |
| `scheduler.lock` | by the one scheduler, for as long as it runs; holds its process id |

They cover the processes of one host; a network file system may not keep them. What must hold over
hosts is a condition of the append itself (`ledger/condition.py`); the append lock is the ledger's.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.settings import Settings

EXPORT: Final = "export.lock"
SCHEDULER: Final = "scheduler.lock"


@contextmanager
def held(settings: Settings, name: str) -> Iterator[None]:
    """Wait for a lock of the house and hold it. Not reentrant."""
    descriptor = os.open(settings.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def lease(settings: Settings) -> Iterator[None]:
    """Be the house's one scheduler. Raises ServiceError when another process is."""
    path = settings.data_dir / SCHEDULER
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _taken(path, file) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _taken(path: Path, file: IO[str]) -> ServiceError:
    file.seek(0)
    holder = file.read().strip()
    who, remedy = (f"process {holder}", f"kill {holder}") if holder else ("a process", "stop it")
    return ServiceError(
        409,
        "scheduler-running",
        f"another scheduler ({who}) holds {path}; stop it first: {remedy}",
    )
