"""How long each page takes when a month held a million predictions, and the plans of its queries.

A small real house (models, limits, alarms, both reports) is served in this process; then a million
predictions and as many outcomes are put into its tables, as rows of about 900 bytes that no tree
commits to. So the queries meet tables of that size, while what the pages show stays small and real.
Pages are asked for through the signed-in client, one after the other, each several times.

    .venv/bin/python tests/benchmarks/page_times.py --predictions 1000000
"""

import argparse
import contextlib
import io
import json
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import event

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import houses  # noqa: E402
from models.reference import trade_signal  # noqa: E402

PAGE = ROOT / "docs" / "monitoring-scale.md"
START, END = "<!-- pages: measured -->", "<!-- pages: end -->"
GOAL_MS = 200.0
TURNS = 9
SIZE = 900  # bytes of an entry with one row, about what the log holds for one
DAYS = 40


def build(directory):
    """A house with something on every page."""
    api = houses.Api(houses.make_house(directory, ("trade-signal", "credit-default")))
    digest = next(
        m["latest_digest"]
        for m in api.risk.get("/v1/models").get_json()["models"]
        if m["name"] == "trade-signal"
    )
    limit = {"metric": "hit_rate", "limit": "0.99", "side": "min", "minimum_labels": 20}
    api.risk.post("/v1/policies", limit | {"model_digest": digest})
    for day in houses.signal_days(DAYS):
        asked = {"features": day.of(trade_signal.FEATURES), "as_of": day.as_of}
        leaf = api.trader.post("/v1/predictions", asked | {"model": "trade-signal"}).get_json()
        row = f"{leaf['leaf_index']}.0"
        told = {"prediction_id": row, "value": "-0.5", "observed_at": day.outcome_date}
        api.outcomes.post("/v1/outcomes", {"outcomes": [told]})
    api.leaf = leaf["leaf_index"]
    for kind in ("honesty", "correctness"):
        api.admin.post(f"/v1/reports/{kind}", {})
    api.alarm = api.risk.get("/v1/alarms").get_json()["alarms"][0]["leaf_index"]
    api.digest = digest
    return api


def fill(file, digest, first, count):
    """`count` predictions and outcomes as plain rows; no tree commits to them."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")

    def rows():
        for n in range(count):
            leaf = first + 2 * n
            yield leaf, os.urandom(SIZE), os.urandom(32), "prediction", digest
            yield leaf + 1, os.urandom(SIZE), os.urandom(32), "outcome", f"{leaf}.0"

    with connection:
        connection.executemany(
            "INSERT INTO ledger_entry (leaf_index, entry, leaf_hash, type, ref) "
            "VALUES (?, ?, ?, ?, ?)",
            rows(),
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def pages(api):
    """Every page of the dashboards that reads the log."""
    model = "/models/trade-signal"
    tabs = ("performance", "slices", "labels", "alarms", "challenger", "drift", "limits")
    return [
        *("/", "/alarms", f"/alarms/{api.alarm}", model),
        *(f"{model}/{tab}" for tab in (*tabs, "versions", "board-pack")),
        f"{model}/figures/hit-rate.csv",
        *("/ledger", f"/ledger/entries/{api.leaf}", f"/predictions/{api.leaf}.0"),
    ]


class Statements:
    """What SQLite was asked, with its values in place; EXPLAIN needs no more."""

    def __init__(self, engine):
        self.seen = []
        event.listen(engine, "checkout", self._listen)

    def _listen(self, connection, record, proxy):
        plain = getattr(connection, "driver_connection", connection)
        plain.set_trace_callback(self.seen.append)


def shape(statement):
    """A statement without its values."""
    text = re.sub(r"x?'[^']*'|\b\d+\b", "?", " ".join(statement.split()))
    return re.sub(r"(\?, )+\?", "?", text)


def plan(file, statement):
    """SQLite's plan of it, in a line."""
    connection = sqlite3.connect(file)
    try:
        found = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    except sqlite3.Error as error:
        return f"({error})"
    finally:
        connection.close()
    return "; ".join(row[3] for row in found) or "constant"


def measure(api, file, engine):
    """Milliseconds of each page, and the statements of all."""
    statements, browser, found = Statements(engine), api.browser(api.risk), []
    plans = {}
    for path in pages(api):
        took, cpu = [], []
        for _ in range(TURNS):
            statements.seen.clear()
            before, spent = time.perf_counter(), time.process_time()
            answer = browser.get(path)
            took.append((time.perf_counter() - before) * 1000)
            cpu.append((time.process_time() - spent) * 1000)
            assert answer.status_code == 200, (path, answer.status_code)
        asked = [s for s in statements.seen if s.lstrip().upper().startswith("SELECT")]
        for statement in asked:
            plans.setdefault(shape(statement), statement)
        found.append((path, *map(statistics.median, (took, cpu)), max(cpu), len(asked)))
    return found, {text: plan(file, statement) for text, statement in plans.items()}


def told(found, plans, entries):
    """The section of the page."""
    lines = [
        START,
        (
            f"Tables of {entries:,} entries, SQLite, one process, {os.cpu_count()} cores shared with "
            f"other work; {TURNS} requests a page. Goal: {GOAL_MS:.0f} ms."
        ),
        "",
        "| Page | Median ms | CPU ms | Most CPU ms | Statements |",
        "|---|---|---|---|---|",
        *(
            f"| `{p}` | {mid:.1f} | {cpu:.1f} | {most:.1f} | {n} |"
            for p, mid, cpu, most, n in found
        ),
        "",
        (
            "Each statement of these pages, and SQLite's plan of it. `SEARCH` walks an index to what is "
            "asked for; a `SCAN` reads a whole table."
        ),
        "",
        "| Statement | Plan |",
        "|---|---|",
        *(f"| `{text.replace('|', ' ')}` | {p} |" for text, p in sorted(plans.items())),
        END,
    ]
    return "\n".join(lines)


def main():
    """Build, fill, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--json", type=Path, help="write the figures as JSON as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        log = io.StringIO()
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            api = build(Path(directory) / "house")
            file = api.house.engine.url.database
            fill(file, api.digest, api.house.ledger.size, given.predictions)
            found, plans = measure(api, file, api.house.engine)
        text = told(found, plans, given.predictions * 2)
    print(text)
    if given.write:
        page = PAGE.read_text("utf-8")
        before, after = page.index(START), page.index(END) + len(END)
        PAGE.write_text(page[:before] + text + page[after:], "utf-8")
    if given.json:
        names = ("page", "median_ms", "cpu_ms", "most_cpu_ms", "statements")
        rows = [dict(zip(names, line, strict=True)) for line in found]
        given.json.write_text(json.dumps(rows, indent=1), "utf-8")
    return 0 if all(line[1] <= GOAL_MS for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
