"""Structured logs, one JSON object a line on stderr. Never inputs, outputs, bodies or keys."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from flask import g, request

from service.api.access import internal

if TYPE_CHECKING:
    import asyncio

    from flask import Flask, Response

STARTED = "assay.started"  # of a request, in its environ: pages make requests within requests
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LATE_S = 0.05  # a write for each line cost an eighth of a busy server's time
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds by machines


def configure() -> None:
    """Send structlog to stderr as JSON; the standard logger's warnings join it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=False,
    )


class _Stderr:
    """Writes lines to stderr, whatever that is by then; a line that cannot be written is lost.

    Often stderr is a file on the disk that is full: an answer must not be lost with the line.
    """

    def msg(self, line: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


def log_requests(app: Flask) -> None:
    """One line per request: route, status, milliseconds, caller's key id. No query, no body.

    What a page reads on behalf of its reader is part of the page's own line.
    """

    @app.before_request
    def start() -> None:
        request.environ.setdefault(STARTED, time.perf_counter())

    @app.after_request
    def line(response: Response) -> Response:
        if request.path not in QUIET and not internal():
            identity = g.get("identity")
            started = request.environ[STARTED]
            log_request(
                method_name(),
                request.url_rule.rule if request.url_rule else "unknown",
                response.status_code,
                time.perf_counter() - started,
                identity.key_id if identity else None,
            )
        return response


def log_request(method: str, route: str, status: int, seconds: float, key_id: str | None) -> None:
    """One request's line, in the form of every other, without structlog's way there."""
    _Stderr().msg(_line(method, route, status, seconds, key_id))


def _line(method: str, route: str, status: int, seconds: float, key_id: str | None) -> str:
    line = {
        "event": "request",
        "key_id": key_id,
        "level": "info",
        "method": method,
        "ms": round(seconds * 1000, 3),
        "route": route,
        "status": status,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(line)


class Lines:
    """The lines of requests answered by an event loop: written together, `LATE_S` late."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._kept: list[str] = []

    def add(self, method: str, route: str, status: int, seconds: float, key_id: str | None) -> None:
        """One request."""
        if not self._kept and self.loop is not None:
            self.loop.call_later(LATE_S, self.flush)
        self._kept.append(_line(method, route, status, seconds, key_id))
        if self.loop is None:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        kept, self._kept = self._kept, []
        if kept:
            _Stderr().msg("\n".join(kept))


def method_name() -> str:
    """The request's method; `other` for one that HTTP does not know: anybody can invent those."""
    return request.method if request.method in METHODS else "other"
