"""Locks over the threads and processes of one house: files, so a lock ends with whoever held it.

| file | held |
|---|---|
| `outcomes.lock` | while outcomes are looked up and appended: one first one of each prediction |
| `models.lock` | shared by each prediction, alone by a withdrawal (`lifecycle.py`) |
| `models.gate` | for a moment by each prediction, by a withdrawal while it waits for its turn |
| `export.lock` | while the house's own export is written and read |
| `scheduler.lock` | by the one scheduler, for as long as it runs; holds its process id |

They cover the processes of one host; a network file system may not keep them. The ledger's append
lock is the ledger's own.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Final

from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.settings import Settings

OUTCOMES: Final = "outcomes.lock"
MODELS: Final = "models.lock"
GATE: Final = "models.gate"
EXPORT: Final = "export.lock"
SCHEDULER: Final = "scheduler.lock"


@contextmanager
def held(settings: Settings, name: str, *, shared: bool = False) -> Iterator[None]:
    """Wait for a lock of the house and hold it. Not reentrant."""
    descriptor = os.open(settings.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def using_models(settings: Settings) -> Iterator[None]:
    """Hold off withdrawals, beside others who do; behind one that waits already."""
    with ExitStack() as stack:
        with held(settings, GATE):
            stack.enter_context(held(settings, MODELS, shared=True))
        yield


@contextmanager
def alone_with_models(settings: Settings) -> Iterator[None]:
    """Wait for everyone who uses models, with nobody new let in."""
    with held(settings, GATE), held(settings, MODELS):
        yield


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
