"""Measure A and B in one run, taking turns, and write what came out.

A figure on a shared machine means little by itself, so goals are ratios: both sides run in turns,
and the median of the per-round ratios is what counts. CPU seconds are of this process and children.
"""

import json
import os
import platform
import resource
import statistics
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where a figure has no goal."""

    area: str
    name: str
    value: str
    goal: str
    met: bool | None
    command: str


@dataclass(frozen=True)
class Timed:
    """Seconds by the wall and by the processor."""

    wall: float
    cpu: float


@contextmanager
def timed(into):
    """Append a Timed to a list."""
    before, cpu = time.perf_counter(), _cpu()
    yield
    into.append(Timed(time.perf_counter() - before, _cpu() - cpu))


def _cpu():
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def interleave(sides, rounds):
    """Run each side once per round, the order reversed every other round. Gives Timed by side."""
    found = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        for name in order:
            with timed(found[name]):
                sides[name]()
    return found


def ratio(found, above, below, *, by="wall"):
    """Median over the rounds of one side's time over the other's."""
    pairs = zip(found[above], found[below], strict=True)
    return statistics.median(getattr(a, by) / getattr(b, by) for a, b in pairs)


def median_wall(times):
    """Median wall seconds."""
    return statistics.median(t.wall for t in times)


def machine():
    """What the figures were measured on, without naming the machine."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, load before {load}"
    )


def write(rows, told):
    """docs/benchmarks.md and docs/benchmarks.json; rows of areas not measured now are kept."""
    path = DOCS / "benchmarks.json"
    areas = {row.area for row in rows}
    kept = []
    if path.exists():
        old = json.loads(path.read_text("utf-8"))
        kept = [Row(**row) for row in old["rows"] if row["area"] not in areas]
        told = {**{a: t for a, t in old["machine"].items() if a not in areas}, **told}
    rows = sorted([*kept, *rows], key=lambda row: row.area)
    path.write_text(
        json.dumps({"machine": told, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
    )
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; do not edit. Ratios come from runs that take turns in one process",
        "run, so they carry over to another machine better than the rates beside them do.",
        "",
    ]
    for area in dict.fromkeys(row.area for row in rows):
        lines += [f"## {area}", "", f"Measured on {told[area]}.", ""]
        lines += ["| Figure | Value | Goal | Met | Command |", "|---|---|---|---|---|"]
        words = {True: "yes", False: "**no**", None: ""}
        lines += [
            f"| {r.name} | {r.value} | {r.goal} | {words[r.met]} | `{r.command}` |"
            for r in rows
            if r.area == area
        ]
        lines.append("")
    (DOCS / "benchmarks.md").write_text("\n".join(lines))
