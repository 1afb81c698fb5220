"""A witness as a process of its own (C2SP tlog-witness): two addresses and a health check.

    POST /add-checkpoint                     cosign growth; 400 403 404 409 422 as the protocol says
    GET  /<SHA-256 of origin, hex>/checkpoint  the newest note cosigned for a log
    GET  /healthz                            the state can be read

Plain WSGI. It shares no process, key, database or code path with the house it watches, and nothing
but the ledger's pure half is imported: no Flask, no SQLAlchemy. What it decides is in
`ledger/witness.py`. Serve it behind TLS when it is reached over a network.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ledger.witness import (
    LogSignatureRefused,
    LogUnknown,
    ProofRefused,
    RootDiffers,
    SizeStale,
    WitnessRefused,
)
from ledger.witness_request import REQUEST_MAX, RequestMalformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ledger.witness import Witness

    Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]
    Answer = tuple[HTTPStatus, str, str]

TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"
THREADS: Final = 4  # cosigning waits for the disk, one request at a time
TIMEOUT_S: Final = 30  # of a worker that no longer answers
STATUS_OF: Final[dict[type[Exception], HTTPStatus]] = {
    RequestMalformed: HTTPStatus.BAD_REQUEST,
    LogUnknown: HTTPStatus.NOT_FOUND,
    LogSignatureRefused: HTTPStatus.FORBIDDEN,
    RootDiffers: HTTPStatus.CONFLICT,
    ProofRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
}

_MONITORED: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


def wall_clock() -> int:
    """POSIX seconds."""
    return int(time.time())


def application(witness: Witness) -> Application:
    """The witness as a WSGI application."""

    def run(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            status, kind, text = _answer(witness, environ)
        except sqlite3.Error as error:  # full disk, stuck lock: nothing was signed
            print(f"witness: {error}", file=sys.stderr, flush=True)  # noqa: T201 - its only log
            status, kind, text = HTTPStatus.SERVICE_UNAVAILABLE, TEXT, "the state is unavailable\n"
        data = text.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(data)))]
        start(f"{status.value} {status.phrase}", headers)
        return [data]

    return run


def _answer(witness: Witness, environ: WSGIEnvironment) -> Answer:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    monitored = _MONITORED.fullmatch(path)
    if path == "/add-checkpoint":
        if method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, TEXT, "POST a checkpoint here\n"
        return _add_checkpoint(witness, environ)
    if method not in {"GET", "HEAD"} or not (monitored or path == "/healthz"):
        return HTTPStatus.NOT_FOUND, TEXT, "no such address\n"
    if monitored is None:
        return HTTPStatus.OK, TEXT, f"{witness.vkey}\n{len(witness.logs())} logs\n"
    note = witness.checkpoint(monitored[1])
    if note is None:
        return HTTPStatus.NOT_FOUND, TEXT, "nothing cosigned for this log\n"
    return HTTPStatus.OK, TEXT, note


def _add_checkpoint(witness: Witness, environ: WSGIEnvironment) -> Answer:
    length = environ.get("CONTENT_LENGTH") or ""
    if length and (not length.isdecimal() or int(length) > REQUEST_MAX):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TEXT, f"at most {REQUEST_MAX} bytes\n"
    # Without a length the body is chunked; the server ends it. The check of its size comes after.
    body = environ["wsgi.input"].read(int(length) if length else REQUEST_MAX + 1)
    try:
        return HTTPStatus.OK, TEXT, witness.add_checkpoint(body)
    except SizeStale as error:
        return HTTPStatus.CONFLICT, SIZE, f"{error.held}\n"
    except (WitnessRefused, RequestMalformed) as error:
        return STATUS_OF[type(error)], TEXT, f"{error}\n"


def serve(directory: Path, host: str, port: int) -> None:
    """Serve the witness of a directory until stopped."""
    from gunicorn.app.base import BaseApplication  # noqa: PLC0415 - tests need no server

    from ledger.witness import Witness  # noqa: PLC0415

    Witness.open(directory, wall_clock)  # refuse before listening

    class Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
        """Its command line is ignored; the state is opened after the fork."""

        def load_config(self) -> None:
            chosen: dict[str, Any] = {
                "bind": f"{host}:{port}",
                "workers": 1,
                "threads": THREADS,
                "worker_class": "gthread",
                "timeout": TIMEOUT_S,
                "accesslog": None,
                "errorlog": "-",
                "loglevel": "warning",
                "proc_name": "assay-witness",
                "control_socket_disable": True,
            }
            for name, value in chosen.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Application:
            return application(Witness.open(directory, wall_clock))

    Server().run()
