"""Single-row decisions over HTTP: ours, with a durable receipt, against servers that prove nothing.

All sides run under granian with one process and as many threads, answer the same rows, and are
driven in turns from the same two cores. CPU is of the server's processes, read from /proc.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import ledger_stores
from harness import ROOT, Row
from load import drive, percentile, request

from houses import credit_rows, make_house
from ledger.receipt import Receipt, verify_receipt
from service.auth import Scope

COMMAND = "make bench ARGS=serving"
THREADS = 64
ROUNDS = 5
SECONDS = 2.5
CONNECTIONS = (1, 16, 64, 256)
P99_FROM = 1000  # answers of one side over all rounds, below which no p99 is worth printing


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Side:
    """A server that is running: where, what to send it, and its process."""

    port: int
    make: object
    pid: int

    def cpu(self):
        """Seconds of processor its processes have used."""
        ticks = 0
        for pid in [self.pid, *_children(self.pid)]:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_children(child)]
    return found


@contextmanager
def child(command, port, **environment):
    """A server process, ready."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests/support", ROOT / "tests/benchmarks")))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "the server stopped"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def in_turns(made):
    return lambda number, sent: made[(number * 7 + sent) % len(made)]


@contextmanager
def ours(directory, database_url=""):
    """`assay serve` on a fresh house."""
    house = make_house(directory / "house", models=("credit-default",), database_url=database_url)
    key = house.callers.issue("bench", [Scope.TRADER])
    house.engine.dispose()
    rows = credit_rows(200)
    bodies = [json.dumps({"model": "credit-default", "features": row}).encode() for row in rows]
    made = [request("/v1/predictions", body, (f"Authorization: Bearer {key}",)) for body in bodies]
    port = free_port()
    where = ("--data-dir", str(directory / "house"), "--port", str(port))
    command = [sys.executable, "-m", "service", "serve", *where]
    told = {"ASSAY_THREADS": str(THREADS), "ASSAY_DATABASE_URL": database_url}
    with child(command, port, **told) as pid:
        side = Side(port, in_turns(made), pid)
        _check_receipts(side, house.ledger.vkey)
        yield side


def _check_receipts(side, vkey):
    """What is timed is what verifies."""
    kept = []
    drive(side.port, side.make, connections=16, seconds=0.5, keep=kept)
    assert kept, "nothing was answered"
    for body in kept[:100]:
        verify_receipt(Receipt.from_json(json.loads(body)["receipt"]), vkey)


@contextmanager
def yardstick(name, directory):
    """One of `yardsticks.py`."""
    path = "/predict" if name != "unaudited" else "/v1/predictions"
    bodies = [{"features": row} for row in credit_rows(200)]
    if name == "unaudited":
        bodies = [{"model": "credit-default", **body} for body in bodies]
    made = [request(path, json.dumps(body).encode()) for body in bodies]
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    command += ["--blocking-threads", str(THREADS), "--http", "1", "--backpressure", "4096"]
    command += ["--log-level", "error", "--factory", f"yardsticks:{name}"]
    with child(command, port, BENCH_DIRECTORY=str(directory)) as pid:
        yield Side(port, in_turns(made), pid)


def compare(connections, sides):
    """Per side and round: rate, p50, p99, CPU seconds a request."""
    found = {name: [] for name in sides}
    for turn in range(ROUNDS):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            side = sides[name]
            before = side.cpu()
            times, failed, wall = drive(
                side.port, side.make, connections=connections, seconds=SECONDS
            )
            assert not failed, failed[:3]
            found[name].append(
                (
                    len(times) / wall,
                    percentile(times, 0.5),
                    percentile(times, 0.99),
                    (side.cpu() - before) / len(times),
                )
            )
    return found


def ratio(found, place, against, side="ours"):
    """Median over the rounds of one side over the yardstick's."""
    pairs = zip(found[side], found[against], strict=True)
    return statistics.median(a[place] / b[place] for a, b in pairs)


def median(found, side, place):
    return statistics.median(line[place] for line in found[side])


def at_least(name, rate, ratio_, goal):
    met = None if goal is None else ratio_ >= goal
    told = f">= {goal}x" if goal is not None else ""
    return Row("serving", name, f"{rate:,.0f}/s ({ratio_:.2f}x)", told, met, COMMAND)


def at_most(name, seconds, ratio_, goal):
    told = f"{1000 * seconds:.1f} ms ({ratio_:.2f}x)"
    return Row("serving", name, told, f"<= {goal}x", ratio_ <= goal, COMMAND)


GOALS = {1: (None, 1.0, 1.5), 16: (1.5, 0.7, 1.0), 64: (1.5, 0.7, 1.0), 256: (1.5, 0.7, 1.0)}


def lines(connections, found, label="single row, durable receipt"):
    """The rows of one number of connections."""
    rate, p50, p99, cpu = (median(found, "ours", place) for place in range(4))
    least, half, tail = GOALS[connections]
    name = f"{label}, {connections} connections"
    yield at_least(f"{name}: against plain Flask", rate, ratio(found, 0, "plain"), least)
    yield at_most(f"{name}: p50 against plain Flask", p50, ratio(found, 1, "plain"), half)
    yield at_most(f"{name}: p99 against plain Flask", p99, ratio(found, 2, "plain"), tail)
    if connections > 1:
        bare = ratio(found, 0, "unaudited")
        yield at_least(f"{name}: against our engine unaudited", rate, bare, 0.8)
        hand = ratio(found, 0, "naive")
        goal = 10 if connections >= 64 else None
        yield at_least(f"{name}: against a trail by hand", rate, hand, goal)
    others = ", ".join(f"{s} {median(found, s, 3) * 1e6:,.0f}" for s in found if s != "ours")
    told = f"{cpu * 1e6:,.0f} us ({others})"
    yield Row("serving", f"{name}: server's CPU a request", told, "", None, COMMAND)


def rows():
    """Throughput, p50 and p99 as ratios, on SQLite; then the same on PostgreSQL at 16."""
    table = []
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        where = Path(scratch)
        sides = {"ours": stack.enter_context(ours(where))}
        for name in ("plain", "unaudited", "naive"):
            sides[name] = stack.enter_context(yardstick(name, where))
        for side in sides.values():  # warm them
            drive(side.port, side.make, connections=8, seconds=1.0)
        for connections in CONNECTIONS:
            table += lines(connections, compare(connections, sides))
        table += on_postgres(where, sides)
    return table


def on_postgres(where, sides):
    """The same service on PostgreSQL, where one can be started."""
    with ledger_stores.server() as found:
        if found is None:
            return
        (where / "on-postgres").mkdir()
        with found.database() as url, ours(where / "on-postgres", url) as mine:
            drive(mine.port, mine.make, connections=8, seconds=1.0)
            measured = compare(16, {**sides, "ours": mine})
            yield from lines(16, measured, "single row, durable receipt on PostgreSQL")
