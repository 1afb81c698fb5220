"""A load generator: connections that each send, wait, and send again, over raw HTTP/1.1.

One asyncio loop and no HTTP library, so that it takes as little as possible of the two cores that
it shares with the server. Latency is from the first byte sent to the last byte received.
"""

import asyncio
import time


class Connection:
    """One keep-alive connection."""

    def __init__(self, host, port):
        self._where = host, port
        self._reader = self._writer = None
        self.head = b""  # of the last answer, in lower case

    async def open(self):
        """Connect before anything is timed."""
        self._reader, self._writer = await asyncio.open_connection(*self._where)

    async def ask(self, request):
        """Send one request; returns status and body. Reconnects once if the server hung up."""
        for attempt in (0, 1):
            try:
                if self._writer is None:
                    await self.open()
                self._writer.write(request)
                return await self._answer()
            except (ConnectionError, asyncio.IncompleteReadError):
                self._writer = None
                if attempt:
                    raise
        return 0, b""

    async def _answer(self):
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower, length = head.lower(), 0
        self.head = lower
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15 : lower.index(b"\r\n", at)])
        body = await self._reader.readexactly(length)
        if b"connection: close" in lower:
            self._writer.close()
            self._writer = None
        return status, body


def request(path, body, headers=()):
    """The bytes of a POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _drive(where, make_request, *, connections, seconds, keep):
    times, failed = [], []
    until = time.perf_counter() + seconds

    async def one(number):
        connection, sent = Connection(*where), 0
        while time.perf_counter() < until:
            before = time.perf_counter()
            status, body = await connection.ask(make_request(number, sent))
            sent += 1
            if status == 200:
                times.append(time.perf_counter() - before)
                if keep is not None:
                    keep.append(body)
            else:
                failed.append((status, body[:200]))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(connections)))
    return times, failed, time.perf_counter() - began


def drive(port, make_request, *, connections, seconds, keep=None):
    """Latencies in seconds of what was answered with 200, what failed, and the wall time.

    Bodies are appended to `keep`, if there is one.
    """
    return asyncio.run(
        _drive(
            ("127.0.0.1", port), make_request, connections=connections, seconds=seconds, keep=keep
        )
    )


def percentile(times, share):
    """A percentile of sorted or unsorted latencies."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
