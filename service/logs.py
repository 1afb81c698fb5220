"""Structured logs, one JSON object a line on stderr. Never inputs, outputs, bodies or keys."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import structlog
from flask import g, request

if TYPE_CHECKING:
    from flask import Flask, Response

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
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever it is by then
        cache_logger_on_first_use=False,
    )


def log_requests(app: Flask) -> None:
    """One line per request: route, status, milliseconds, caller's key id. No query, no body."""
    log = structlog.get_logger("http")

    @app.before_request
    def start() -> None:
        g.log_started = time.perf_counter()

    @app.after_request
    def line(response: Response) -> Response:
        if request.path not in QUIET:
            identity = g.get("identity")
            started = g.get("log_started", time.perf_counter())
            log.info(
                "request",
                method=request.method,
                route=request.url_rule.rule if request.url_rule else "unknown",
                status=response.status_code,
                ms=round((time.perf_counter() - started) * 1000, 3),
                key_id=identity.key_id if identity else None,
            )
        return response
