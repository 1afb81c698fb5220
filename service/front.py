"""The RSGI application: one row asked for by a program by the short way, all else by Flask.

What a trading system sends all day is a POST of one row with a key. Here it passes no framework and
no thread: the event loop reads it, runs the model, queues the record, and answers once the commit
is durable, while a thread of the ledger's writes (`ledger.commit`). Whatever is not exactly that,
and everything that is refused, goes on to the Flask application as it came: there is one wording of
each refusal, one table of scopes, and a test holds the two ways to the same answers. What failed
once the record was queued is handed over to be worded, never tried a second time.

Measured before it was written (docs/performance.md): threads waking each other, routing, contexts,
hooks and schema took more of the processor than model, commitments and their share of the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ledger.errors import Overtaken, QueueFull
from ledger.keys import Role
from service.api.access import REFUSED, strict_json
from service.api.predictions import ROUTE, ask_of
from service.api.schemas import PredictionHeaders, PredictionRequest
from service.auth import Scope as Opens
from service.errors import ServiceError, problem_bytes, translate
from service.logs import STARTED, Lines
from service.predict import decide
from service.views import answer_json
from service.wsgi_bridge import Bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from granian._granian import RSGIHeaders
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

    from ledger.commit import Group
    from ledger.log import Appended, Ledger
    from service.api.health import Metrics
    from service.assembly import Assembly
    from service.auth import Identity
    from service.predict import Answer, Ask
    from service.wsgi_bridge import App

JSON: Final = "application/json"
TRADERS: Final = frozenset({Opens.TRADER})
DIGITS_MAX: Final = 9  # of a Content-Length that is looked at here
HEADERS: Final = [
    ("Content-Type", JSON),
    ("Cache-Control", "private, no-store"),
    ("X-Content-Type-Options", "nosniff"),
]
GATHER_S: Final = 0.003  # a record waits this long at most for others to share its commit
OPTIONAL: Final = ("Idempotency-Key", "Assay-Deadline-Ms")
_encode = msgspec.json.Encoder(order="sorted").encode


class Front:
    """One process's application. `app` is the long way."""

    def __init__(self, app: App, assembly: Assembly, metrics: Metrics) -> None:
        settings = assembly.settings
        self._assembly = assembly
        self._metrics = metrics
        self._most = settings.max_body_bytes
        self._queue_max = settings.queue_max
        self._inside = 0
        largest = max(settings.max_body_bytes, settings.max_batch_bytes)
        self._bridge = Bridge(app, threads=settings.threads, most=largest + 1)
        self._lines = Lines()
        self._waiting = Waiting(assembly.ledger, self._about_to_queue)
        self._reading = 0  # requests on the short way that have not queued their record yet

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be told of the event loop, before the first request."""
        self._waiting.loop = self._lines.loop = loop

    def __rsgi_del__(self, _: asyncio.AbstractEventLoop) -> None:
        """Be told that no request will come any more."""
        self._lines.flush()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        if self._inside >= self._queue_max:
            self._turn_away(scope, protocol)
            return
        self._inside += 1
        try:
            await self._serve(scope, protocol)
        finally:
            self._inside -= 1

    async def _serve(self, scope: Scope, protocol: HTTPProtocol) -> None:
        began = time.perf_counter()
        caller = self._caller(scope)
        if caller is None:
            await self._bridge.serve(scope, protocol)
            return
        self._reading += 1
        try:
            body = await protocol()
        finally:
            self._reading -= 1
        ask = _read(scope.headers, caller, body)
        if ask is None or not self._loaded(ask.model):
            await self._bridge.serve(scope, protocol, body=body)
            return
        phases = [began]
        try:
            answer = await self._record(ask, phases)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is worded in one place
            more = {REFUSED: error, STARTED: began}
            await self._bridge.serve(scope, protocol, body=body, more=more)
            return
        if answer is None:
            await self._bridge.serve(scope, protocol, body=body)
            return
        content = _encode(answer_json(self._assembly, answer))
        phases.append(time.perf_counter())
        protocol.response_bytes(200, [*HEADERS, ("Server-Timing", _timing(phases))], content)
        seconds = phases[-1] - began
        self._metrics.count(ROUTE, "POST", 200, seconds)
        self._lines.add("POST", ROUTE, 200, seconds, caller.key_id)

    def _caller(self, scope: Scope) -> Identity | None:
        """A trading system with a key that opens this route, and a plain body to come."""
        if scope.path != ROUTE or scope.method != "POST" or scope.query_string:
            return None
        headers = scope.headers
        length = headers.get("content-length", "")
        scheme, _, key = headers.get("authorization", "").partition(" ")
        plain = (
            scheme == "Bearer"
            and headers.get("content-type") == JSON
            and 0 < len(length) < DIGITS_MAX
            and length.isascii()
            and length.isdigit()
            and int(length) < self._most
        )
        if not plain:
            return None
        try:
            caller = self._assembly.callers.recognise(key)
        except ServiceError:
            return None
        return caller if caller.may(TRADERS) else None

    def _loaded(self, model: str) -> bool:
        """Whether a model is there to be run: loading one would stop everybody else."""
        try:
            return self._assembly.inventory.holds(model)
        except Exception:  # noqa: BLE001 - the long way says what it is
            return False

    async def _record(self, ask: Ask, phases: list[float]) -> Answer | None:
        """The recorded answer; None when nothing was queued, so that the long way may try.

        Notes when the model had run and when the record was durable.
        """
        try:
            decided = decide(self._assembly, ask)
        except Exception:  # noqa: BLE001 - the long way says what it is
            return None
        phases.append(time.perf_counter())
        producer = self._assembly.signers[Role.PRODUCER]
        while True:
            group = self._assembly.ledger.append_soon(
                decided.draft,
                producer,
                unless=decided.unless,
                deadline=ask.deadline,
                waker=self._waiting,
            )
            try:
                appended = await self._waiting.result(group)
                phases.append(time.perf_counter())
                return decided.answer(appended)
            except Overtaken:
                decided = decided.again(self._assembly)

    def _about_to_queue(self) -> bool:
        return self._reading > 0

    def _turn_away(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """503 before anything is read: more wait than this process will work on."""
        error = translate(QueueFull(self._queue_max))
        assert error is not None  # noqa: S101 - narrows the type; the table has it
        headers = [("Content-Type", "application/problem+json"), *error.headers.items()]
        protocol.response_bytes(error.status, headers, problem_bytes(error, scope.path))
        self._metrics.count("queue", "other", error.status, 0.0)


def _read(headers: RSGIHeaders, caller: Identity, body: bytes) -> Ask | None:
    """The request in the one form that is read here; None: the long way looks at it."""
    try:
        wanted = PredictionRequest.model_validate(strict_json(body))
        given = {name: headers.get(name.lower()) for name in OPTIONAL if name.lower() in headers}
        header = PredictionHeaders.model_validate(given)
    except (ValueError, RecursionError):
        return None
    return None if wanted.rows is not None else ask_of(wanted, header, caller, body)


def _timing(phases: Sequence[float]) -> str:
    """Milliseconds of each phase (W3C Server Timing): read and run, commit, answer with proof."""
    began, ran, durable, made = phases
    run, commit, answer = 1000 * (ran - began), 1000 * (durable - ran), 1000 * (made - durable)
    return f"model;dur={run:.3f}, commit;dur={commit:.3f}, proof;dur={answer:.3f}"


class Waiting:
    """Callers of one event loop that wait for their records: woken once for each commit.

    A commit costs the same for one record and for fifty, so it begins when the loop has run all
    requests that are ready, and `GATHER_S` after the first at the latest.
    """

    def __init__(self, ledger: Ledger, more_to_come: Callable[[], bool]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ledger = ledger
        self._more_to_come = more_to_come
        self._since: float | None = None  # when the first of those that gather came
        self._futures: dict[Group[Any, Any], asyncio.Future[None]] = {}

    async def result(self, group: Group[Any, Appended]) -> Appended:
        """Wait for a group that was just queued; raises what it failed with."""
        future = asyncio.get_running_loop().create_future()
        self._futures[group] = future
        self._gather()
        await future
        if group.error is not None:
            raise group.error
        return group.results[0]

    def _gather(self) -> None:
        if self._since is None and self.loop is not None:
            self._since = self.loop.time()
            self.loop.call_soon(self._write)

    def _write(self) -> None:
        """Have them written, unless more are about to come and none has waited long."""
        assert self.loop is not None  # noqa: S101 - it is running this
        assert self._since is not None  # noqa: S101 - set by whoever scheduled this
        if self._more_to_come() and self.loop.time() < self._since + GATHER_S:
            self.loop.call_later(GATHER_S / 6, self._write)
            return
        self._since = None
        self._ledger.write_soon()

    def wake(self, groups: Sequence[Group[Any, Any]]) -> None:
        """From the thread that wrote: settled or failed, all of these."""
        assert self.loop is not None  # noqa: S101 - whoever waits runs on it
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, groups)

    def _settle(self, groups: Sequence[Group[Any, Any]]) -> None:
        for group in groups:
            future = self._futures.pop(group)
            if not future.done():
                future.set_result(None)
        if self._futures:
            self._gather()
