"""Requests to an RSGI application without a server: what granian would hand it, made by hand."""

import asyncio
import json
import threading
from dataclasses import dataclass


class Headers:
    """Names in lower case; a name may come more than once."""

    def __init__(self, pairs):
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def __contains__(self, name):
        return any(name == known for known, _ in self._pairs)

    def get(self, name, default=None):
        return next((value for known, value in self._pairs if known == name), default)

    def items(self):
        return list(self._pairs)


@dataclass
class Scope:
    method: str
    path: str
    headers: Headers
    query_string: str = ""
    server: str = "127.0.0.1:8000"
    client: str = "127.0.0.1:40000"
    scheme: str = "http"
    http_version: str = "1.1"
    authority: str | None = None


class Protocol:
    """The body, whole or in pieces, and what was answered."""

    def __init__(self, body):
        self._body = body
        self.answer = None

    async def __call__(self):
        return self._body

    async def __aiter__(self):
        for at in range(0, len(self._body), 1000):
            yield self._body[at : at + 1000]

    def response_bytes(self, status, headers, body):
        assert self.answer is None, "answered twice"
        self.answer = Answer(status, dict(headers), body)


@dataclass
class Answer:
    status_code: int
    headers: dict
    body: bytes

    @property
    def content_type(self):
        return self.headers["Content-Type"]

    def get_data(self, as_text=False):
        return self.body.decode() if as_text else self.body

    def get_json(self):
        return json.loads(self.body)


class Client:
    """Asks an application on an event loop of its own; from any number of threads."""

    def __init__(self, application):
        self.application = application
        self._loop = asyncio.new_event_loop()
        application.__rsgi_init__(self._loop)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def ask(self, method, target, body=b"", headers=()):
        path, _, query = target.partition("?")
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if body and not any(name.lower() == "content-length" for name, _ in pairs):
            pairs.append(("Content-Length", str(len(body))))
        protocol = Protocol(body)
        scope = Scope(method, path, Headers(pairs), query)
        asked = self.application.__rsgi__(scope, protocol)
        asyncio.run_coroutine_threadsafe(asked, self._loop).result(60)
        return protocol.answer

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
