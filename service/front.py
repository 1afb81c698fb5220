"""One row asked for by a program: the short way from the socket to `predict` and back.

What a trading system sends all day is a POST of one row with a key; here it passes no framework.
Whatever is not exactly that, and everything that is refused, goes on to the Flask application as it
came: there is one wording of each refusal, one table of scopes, and a test holds the two ways to
the same answers. What `predict` raised is handed over to be worded, never tried a second time.

Predictions are admitted up to seven in eight of the process's threads; one more is refused at once
(503, Retry-After) instead of waiting unseen. The rest of the threads stay for probes and pages, and
for saying so.

Measured before it was written (docs/performance.md): routing, contexts, hooks, schema and JSON of
the long way took more of the processor than model, commitments and their share of the commit.
"""

from __future__ import annotations

import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import ValidationError

from ledger.errors import QueueFull
from service.api.access import REFUSED, strict_json
from service.api.predictions import ROUTE, ask_of
from service.api.schemas import PredictionHeaders, PredictionRequest
from service.auth import Scope
from service.errors import ServiceError
from service.logs import STARTED, log_request
from service.predict import predict
from service.views import answer_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from service.api.health import Metrics
    from service.assembly import Assembly
    from service.auth import Identity
    from service.predict import Ask

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    App = Callable[[Environ, StartResponse], Iterable[bytes]]

JSON: Final = "application/json"
TRADERS: Final = frozenset({Scope.TRADER})
DIGITS_MAX: Final = 9  # of a Content-Length that is looked at here
HEADERS: Final = (
    ("Content-Type", JSON),
    ("Cache-Control", "private, no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_HEADERS: Final = tuple(
    (name, "HTTP_" + name.upper().replace("-", "_"))
    for name in ("Idempotency-Key", "Assay-Deadline-Ms")
)
_encode = msgspec.json.Encoder(order="sorted").encode


def admitted(threads: int) -> int:
    """How many predictions a process with so many threads works on at once."""
    return threads - max(1, threads // 8)


class Front:
    """The WSGI application: the short way, and the long one behind it."""

    def __init__(self, app: App, assembly: Assembly, metrics: Metrics) -> None:
        self._app = app
        self._assembly = assembly
        self._metrics = metrics
        self._most = assembly.settings.max_body_bytes
        self._admitted = admitted(assembly.settings.threads)
        self._places = threading.BoundedSemaphore(self._admitted)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(ROUTE):
            return self._app(environ, start_response)
        if not self._places.acquire(blocking=False):
            environ[REFUSED] = QueueFull(self._admitted)
            return self._app(environ, start_response)
        try:
            answer = self._short(environ) if path == ROUTE else None
            if answer is None:
                return self._app(environ, start_response)
            start_response("200 OK", [*HEADERS, ("Content-Length", str(len(answer)))])
            return [answer]
        finally:
            self._places.release()

    def _short(self, environ: Environ) -> bytes | None:
        """The answer, or None: the long way has the word."""
        began = time.perf_counter()
        caller = self._caller(environ)
        ask = None if caller is None else self._read(environ, caller)
        if caller is None or ask is None:
            return None
        answer = self._answer(environ, ask, began)
        if answer is not None:
            self._count(caller, began)
        return answer

    def _caller(self, environ: Environ) -> Identity | None:
        """A trading system with a key that opens this route; None: the long way words it."""
        scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme != "Bearer":
            return None
        try:
            caller = self._assembly.callers.recognise(key)
        except ServiceError:
            return None
        return caller if caller.may(TRADERS) else None

    def _read(self, environ: Environ, caller: Identity) -> Ask | None:
        """The request in the one form that is read here; None: the long way looks at it."""
        length = environ.get("CONTENT_LENGTH", "")
        plain = (
            environ.get("CONTENT_TYPE") == JSON
            and not environ.get("QUERY_STRING")
            and len(length) < DIGITS_MAX
            and length.isascii()
            and length.isdigit()
            and int(length) < self._most
        )
        if not plain:
            return None
        body = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = BytesIO(body)
        try:
            wanted = PredictionRequest.model_validate(strict_json(body))
            headers = PredictionHeaders.model_validate(
                {name: environ[key] for name, key in _HEADERS if key in environ}
            )
        except (ValueError, RecursionError, ValidationError):
            return None
        if wanted.rows is not None:
            return None
        return ask_of(wanted, headers, caller, body)

    def _answer(self, environ: Environ, ask: Ask, began: float) -> bytes | None:
        try:
            return _encode(answer_json(self._assembly, predict(self._assembly, ask)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is worded in one place
            environ[REFUSED], environ[STARTED] = error, began
            return None

    def _count(self, caller: Identity, began: float) -> None:
        seconds = time.perf_counter() - began
        self._metrics.count(ROUTE, "POST", 200, seconds)
        log_request("POST", ROUTE, 200, seconds, caller.key_id)
