"""The Flask application under granian's RSGI: its requests run in threads, beside the event loop.

What to know about RSGI: a request is a scope and a protocol; the path comes percent-encoded, header
names in lower case, the body whole or in chunks, and one call answers. PEP 3333 wants the path
decoded as Latin-1, a body that can be read, and headers as `HTTP_*`; a header name with an
underscore would pass for another one's, and is dropped, as other servers do.

A body is taken up to the largest that any route admits, in memory up to a megabyte, and the route
judges its size. More requests than `queue_max` at once are refused before anything is read.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

    Environ = dict[str, Any]
    App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
    Answer = tuple[int, list[tuple[str, str]], bytes]

IN_MEMORY: Final = 1 << 20  # bytes of a body; beyond it a temporary file
_NOT_PREFIXED: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class Bridge:
    """Answers RSGI requests with a WSGI application."""

    def __init__(self, app: App, *, threads: int, most: int) -> None:
        self._app = app
        self._most = most
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def serve(
        self,
        scope: Scope,
        protocol: HTTPProtocol,
        *,
        body: bytes | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Answer one request. `body`: read already. `more`: further keys of the environ."""
        file = BytesIO(body) if body is not None else await self._read(protocol)
        environ = environ_of(scope, file)
        environ.update(more or {})
        loop = asyncio.get_running_loop()
        protocol.response_bytes(*await loop.run_in_executor(self._pool, self._run, environ))

    async def _read(self, protocol: HTTPProtocol) -> IO[bytes]:
        file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - read in another thread
        size = 0
        async for chunk in protocol:
            size += len(chunk)
            file.write(chunk)
            if size > self._most:
                break
        file.seek(0)
        return file

    def _run(self, environ: Environ) -> Answer:
        """Run the application; in a thread."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:  # noqa: ANN401 - PEP 3333
            started[:] = [int(status[:3]), headers]

        try:
            found = self._app(environ, start_response)
            try:
                content = b"".join(found)
            finally:
                getattr(found, "close", _nothing)()
        finally:
            environ["wsgi.input"].close()
        status, headers = started
        return status, headers, content


def environ_of(scope: Scope, body: IO[bytes]) -> Environ:
    """A request as PEP 3333 has it."""
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = _NOT_PREFIXED.get(name) or "HTTP_" + name.upper().replace("-", "_")
        if key in environ:
            joint = "; " if name == "cookie" else ","
            environ[key] = environ[key] + joint + value
        else:
            environ[key] = value
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    return environ


def _nothing() -> None:
    """For a body that need not be closed."""
