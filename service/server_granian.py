"""granian: the server. HTTP in Rust, one event loop a process, Flask in threads beside it.

Its quirks, kept here:

- `backpressure` bounds open connections of a process, idle ones too, not requests: it is set far
  above what is expected. Requests are bounded in `front.py`;
- its workers outlive a parent that was killed: each asks the kernel to be told (prctl), and ends;
- a worker that dies at once again and again ends the whole server, which is what we want;
- it logs through `logging`, with a configuration of its own; only its warnings are let through.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from service.app import create_front
from service.assembly import assemble

if TYPE_CHECKING:
    from service.front import Front
    from service.settings import Settings

CONNECTIONS: Final = 16_384  # open ones of one process; each takes about 20 KiB
BACKLOG: Final = 2048  # connections the kernel holds until a process takes them
DRAIN_S: Final = 30  # a request in flight gets its receipt before the worker goes
_PR_SET_PDEATHSIG: Final = 1  # prctl(2): a signal to this process when its parent ends


def run(settings: Settings) -> None:
    """Serve until stopped."""
    server: Any = Granian(
        target="assay",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        workers=settings.workers,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        http=HTTPModes.http1,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_S,
    )
    server.serve(target_loader=partial(_load, settings), wrap_loader=False)


def _load(settings: Settings) -> Front:
    """In each worker, after the fork."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return create_front(assemble(settings))
