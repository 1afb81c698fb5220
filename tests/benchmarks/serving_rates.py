"""Single-row decisions over HTTP: ours, with a durable receipt, against the app without a ledger.

Both run under gunicorn with one process and as many threads, and answer the same rows in turns.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from harness import ROOT, Row
from load import drive, percentile, request

from houses import credit_rows, make_house
from service.auth import Scope

COMMAND = "make bench ARGS=serving"
THREADS = 16
ROUNDS = 4
SECONDS = 3.0
CONNECTIONS = (1, 16, 64)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def child(command, port, cwd=ROOT):
    """A server process, ready."""
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "the server stopped"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(40)


@contextmanager
def ours(directory):
    """`assay serve` on a fresh house; yields port and a maker of requests."""
    house = make_house(directory / "house", models=("credit-default",))
    key = house.callers.issue("bench", [Scope.TRADER])
    house.engine.dispose()
    bodies = [
        json.dumps({"model": "credit-default", "features": row}).encode()
        for row in credit_rows(200)
    ]
    made = [request("/v1/predictions", body, (f"Authorization: Bearer {key}",)) for body in bodies]
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "service",
        "serve",
        "--data-dir",
        str(directory / "house"),
        "--port",
        str(port),
    ]
    with child(command, port):
        yield port, lambda number, sent: made[(number * 7 + sent) % len(made)]


@contextmanager
def plain():
    """The yardstick."""
    made = [request("/predict", json.dumps({"features": row}).encode()) for row in credit_rows(200)]
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-b",
        f"127.0.0.1:{port}",
        "-k",
        "gthread",
        "--threads",
        str(THREADS),
        "--chdir",
        str(ROOT / "tests" / "benchmarks"),
        "--pythonpath",
        str(ROOT),
        "plain_app:create_app()",
    ]
    with child(command, port):
        yield port, lambda number, sent: made[(number * 7 + sent) % len(made)]


def compare(connections, sides):
    """Per side and round: rate, p50, p99."""
    found = {name: [] for name in sides}
    for turn in range(ROUNDS):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            port, make = sides[name]
            times, failed, wall = drive(port, make, connections=connections, seconds=SECONDS)
            assert not failed, failed[:3]
            found[name].append((len(times) / wall, percentile(times, 0.5), percentile(times, 0.99)))
    return found


def ratio(found, place):
    """Median over the rounds of ours over the yardstick's."""
    return statistics.median(
        a[place] / b[place] for a, b in zip(found["ours"], found["plain"], strict=True)
    )


GOALS = {1: (None, 1.0, 1.5), 16: (1.5, 0.7, 1.0), 64: (1.5, 0.7, 1.0)}


def rows():
    """Throughput, p50 and p99 as ratios to the plain app."""
    table = []
    with tempfile.TemporaryDirectory() as scratch, ours(Path(scratch)) as a, plain() as b:
        sides = {"ours": a, "plain": b}
        for port, make in sides.values():  # warm both
            drive(port, make, connections=8, seconds=1.0)
        for connections in CONNECTIONS:
            found = compare(connections, sides)
            rate, p50, p99 = (statistics.median(r[i] for r in found["ours"]) for i in range(3))
            name = f"single row, durable receipt, {connections} connections"
            least, half, tail = GOALS[connections]
            more = ratio(found, 0)
            table.append(
                Row(
                    "serving",
                    f"{name}: requests/s against plain Flask",
                    f"{rate:,.0f} ({more:.2f}x)",
                    f">= {least}x" if least else "",
                    more >= least if least else None,
                    COMMAND,
                )
            )
            for place, what, value, goal in ((1, "p50", p50, half), (2, "p99", p99, tail)):
                times = ratio(found, place)
                table.append(
                    Row(
                        "serving",
                        f"{name}: {what} against plain Flask",
                        f"{1000 * value:.1f} ms ({times:.2f}x)",
                        f"<= {goal}x",
                        times <= goal,
                        COMMAND,
                    )
                )
    return table
