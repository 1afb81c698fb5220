"""Thousands of trading agents at once: `make bench-agents ARGS='--agents 2000 --seconds 20'`.

Each agent has a connection, a book and a rhythm of its own: it walks through the S&P 500 from a day
of its own (ticks from real data), asks the trade-signal model once a period, and holds what it was
told until the next tick. An open loop: an agent that waited too long is late for its next tick, and
says so. More connections may be held open beside them, idle.

Phases of each answer: `model` (read, run, commit to the fields), `commit` (waiting for others and
for the disk) and `proof` (building the answer) as the server's Server-Timing has them; `queue` is
the rest of what the agent waited: kernel, sockets, event loops, and this load generator, which
shares the machine. Writes docs/agents.csv (percentiles) and docs/agents.svg.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import math
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from harness import DOCS, Row, machine, write
from load import Connection, percentile, request
from serving_rates import child, free_port

from houses import make_house, signal_days
from ledger.receipt import Receipt, verify_receipt
from models.reference import trade_signal
from service.auth import Scope

PHASES = ("queue", "model", "commit", "proof", "all")
SHARES = (0.5, 0.9, 0.99, 0.999)
TIMING = re.compile(rb"server-timing: model;dur=([\d.]+), commit;dur=([\d.]+), proof;dur=([\d.]+)")
GOAL_MS = 25.0
COLOURS = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#444444")


class Agent:
    """One desk: where it is in the series, what it holds, what that earned."""

    def __init__(self, number, port, ticks):
        self.connection = Connection("127.0.0.1", port)
        self._ticks, self._at = ticks, (number * 37) % len(ticks)
        self.position = self.earned = 0.0
        self.late = 0

    async def trade(self, until, period, taken):
        """Tick until it is time."""
        due = time.perf_counter() + random.uniform(0, period)
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body, moved = self._ticks[self._at]
            self.earned += self.position * moved
            began = time.perf_counter()
            status, answer = await self.connection.ask(body)
            taken.append((1000 * (time.perf_counter() - began), status, self.connection.head))
            if status == 200:
                self.position = 1.0 if b'"decision":"long"' in answer else 0.0
                self.last = answer
            self._at = (self._at + 1) % len(self._ticks)
            due += random.expovariate(1 / period)
            if due < time.perf_counter():
                due, self.late = time.perf_counter(), self.late + 1


def ticks_of(key):
    """The requests of every day, and the day's move in percent."""
    header = (f"Authorization: Bearer {key}",)
    for day in signal_days(500):
        body = {"model": trade_signal.NAME, "features": day.of(trade_signal.FEATURES)}
        yield request("/v1/predictions", json.dumps(body).encode(), header), day.return_pct


async def run(port, key, asked):
    ticks = list(ticks_of(key))
    agents = [Agent(number, port, ticks) for number in range(asked.agents)]
    idle = [Connection("127.0.0.1", port) for _ in range(asked.idle)]
    for some in range(0, len(agents) + len(idle), 200):
        await asyncio.gather(
            *(c.open() for c in [*(a.connection for a in agents), *idle][some : some + 200])
        )
    for seconds, taken in ((asked.warm, []), (asked.seconds, answers := [])):
        until = time.perf_counter() + seconds
        await asyncio.gather(*(agent.trade(until, asked.period, taken) for agent in agents))
    return agents, answers


def phases(answers):
    """Milliseconds by phase."""
    found = {name: [] for name in PHASES}
    for waited, status, head in answers:
        timed = TIMING.search(head)
        if status != 200 or timed is None:
            continue
        parts = dict(zip(("model", "commit", "proof"), map(float, timed.groups()), strict=True))
        parts |= {"queue": max(0.0, waited - sum(parts.values())), "all": waited}
        for name, value in parts.items():
            found[name].append(value)
    return found


def picture(found, told):
    """How much of the answers came within how many milliseconds, by phase; on a log scale."""
    width, height, left, top = 720, 360, 50, 46
    longest = max(100.0, *found["all"])

    def place(ms):
        return left + (width - left - 20) * math.log10(1 + 10 * ms) / math.log10(1 + 10 * longest)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="20" font-size="14">{told}</text>',
    ]
    bottom = height - 40
    for share in (0, 0.5, 0.9, 0.99, 1):
        y = bottom - (bottom - top) * share
        lines.append(
            f'<line x1="{left}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        )
        if share != 0.99:  # beside 100 % there is no room for it
            lines.append(f'<text x="8" y="{y + 4:.1f}">{share:.0%}</text>')
    lines += [
        f'<text x="{place(ms):.1f}" y="{bottom + 18}" text-anchor="middle">{ms:g}</text>'
        for ms in (0.1, 1, 5, 10, 25, 50, 100, 250, 1000)
        if ms <= longest
    ]
    lines.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">milliseconds</text>')
    for number, (name, colour) in enumerate(zip(PHASES, COLOURS, strict=True)):
        ordered = sorted(found[name])
        points = " ".join(
            f"{place(percentile(ordered, i / 200)):.1f},{bottom - (bottom - top) * i / 200:.1f}"
            for i in range(201)
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        lines.append(f'<text x="{left + 110 * number}" y="38" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


def report(found, told):
    for name in PHASES:
        cells = "  ".join(f"p{100 * s:g} {percentile(found[name], s):8.2f}" for s in SHARES)
        print(f"  {name:<7} {cells}  ms")
    with (DOCS / "agents.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["phase", "answers", *(f"p{100 * share:g}_ms" for share in SHARES)])
        for name in PHASES:
            values = [f"{percentile(found[name], share):.3f}" for share in SHARES]
            out.writerow([name, len(found[name]), *values])
    (DOCS / "agents.svg").write_text(picture(found, told))
    print("wrote docs/agents.csv and docs/agents.svg")


@contextlib.contextmanager
def serving(directory):
    house = make_house(directory / "house", models=("trade-signal",))
    key = house.callers.issue("agents", [Scope.TRADER])
    house.engine.dispose()
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    with child([*command, "--data-dir", str(directory / "house")], port):
        yield port, key, house.ledger.vkey


def main():
    told = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    told.add_argument("--agents", type=int, default=2000)
    told.add_argument("--idle", type=int, default=3000, help="further connections, held open")
    told.add_argument("--period", type=float, default=1.0, help="mean seconds between two ticks")
    told.add_argument("--seconds", type=float, default=20.0)
    told.add_argument("--warm", type=float, default=3.0, help="seconds that are not counted")
    asked = told.parse_args()
    told_machine = machine()
    print(f"{asked.agents:,} agents, {asked.agents + asked.idle:,} connections; {told_machine}")
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch)) as (port, key, vkey):
        agents, answers = asyncio.run(run(port, key, asked))
    found, failed = phases(answers), [a for a in answers if a[1] != 200]
    for agent in agents[:50]:
        verify_receipt(Receipt.from_json(json.loads(agent.last)["receipt"]), vkey)
    late = sum(agent.late for agent in agents)
    rate = len(answers) / asked.seconds
    print(
        f"  {len(answers):,} answers, {rate:,.0f}/s; {len(failed)} failed; {late:,} ticks began late"
    )
    books = sorted(agent.earned for agent in agents)
    print(
        f"  books: {books[0]:+.1f} % to {books[-1]:+.1f} %, median {books[len(books) // 2]:+.1f} %"
    )
    report(found, f"{asked.agents:,} agents, {rate:,.0f} decisions/s, {len(failed)} failed")
    p99 = percentile(found["all"], 0.99)
    name = f"{asked.agents:,} agents, one tick in {asked.period:g} s, {asked.agents + asked.idle:,} connections"
    command = "make bench-agents ARGS='" + " ".join(sys.argv[1:]) + "'"
    rows = (
        ("decisions/s, each with a durable receipt", f"{rate:,.0f}", "", None),
        ("failed requests", str(len(failed)), "0", not failed),
        ("p99 as the agents see it", f"{p99:.0f} ms", "<= 25 ms", p99 <= GOAL_MS),
    )
    write(
        [Row("agents", f"{name}: {what}", *more, command) for what, *more in rows],
        {"agents": told_machine},
    )
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
