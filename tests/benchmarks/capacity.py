"""docs/capacity.md: the plan for a million inferences a second, computed from docs/benchmarks.json.

Linear scaling is assumed, and nothing for replication or head-room: whoever plans adds them.
By hand: python tests/benchmarks/capacity.py (after `make bench ARGS=batch` and `ARGS=serving`)
"""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
RATE = 1_000_000  # inferences a second
BATCH = 8_192  # rows of one entry
INPUTS, OUTPUTS = 19, 1  # of the credit model
DAY = 86_400
BEGIN, END = "<!-- computed -->\n", "<!-- /computed -->\n"


def figure(rows, name):
    """The first number of a benchmark's value; None when it was not measured."""
    for row in rows:
        if row["name"] == name:
            found = re.search(r"[0-9][0-9,]*(\.[0-9]+)?", row["value"])
            return float(found[0].replace(",", "")) if found else None
    return None


def lines(rows):
    """Need by item: the arithmetic beside the result."""
    record, digest = 16 + 1 + 4 * INPUTS + 8 * OUTPUTS, 32
    row_bytes = record + digest
    sent, answered = 8 * INPUTS, 1 + 8 * OUTPUTS + 16
    table = [
        ("entries a second", "1,000,000 / 8,192", f"{RATE / BATCH:.0f}, in one log"),
        (
            "bytes kept a row",
            f"record 16 + 1 + 4 x {INPUTS} + 8 x {OUTPUTS}, leaf hash 32",
            f"{row_bytes}; {row_bytes * RATE * DAY / 1e12:.1f} TB a day",
        ),
        (
            "network",
            f"{sent} bytes a row in, {answered} out",
            f"{sent * RATE * 8 / 1e9:.1f} and {answered * RATE * 8 / 1e9:.1f} Gbit/s",
        ),
    ]
    served = figure(rows, "Arrow batch of 8,192 rows, SQLite: rows a processor-second")
    if served:
        table.append(
            ("cores that serve batches", f"1,000,000 / {served:,.0f}", f"{RATE / served:.1f}")
        )
    one = figure(rows, "Arrow batch of 8,192 rows, SQLite: rows a second, one caller")
    if one:
        table.append(
            (
                "batches at work at a time",
                f"1,000,000 / {one:,.0f} (one caller, by the wall)",
                f"{RATE / one:.0f}",
            )
        )
    for told, name in (
        ("replay", "replay of batches: rows a second, one core"),
        ("whole audit", "audit of batches, hashes and replay: rows a second, one core"),
    ):
        rate = figure(rows, name)
        if rate:
            text = f"{DAY * RATE / rate / 3600:,.0f} core-hours, or {RATE / rate:.1f} cores that keep up"
            table.append(
                (f"{told} of a day's 86.4 billion rows", f"86.4e9 / {rate:,.0f} / 3,600", text)
            )
    single = next(
        (
            r
            for r in rows
            if r["area"] == "serving" and "CPU" in r["name"] and "ours" in r["name"].lower()
        ),
        None,
    )
    if single:
        spent = figure(rows, single["name"])
        table.append(
            (
                "cores, were every row its own request",
                f"{single['name']}: {single['value']}",
                f"{spent * RATE / 1e6:,.0f}",
            )
        )
    found = ["| What | Arithmetic | Need |", "|---|---|---|"]
    return found + [f"| {what} | {how} | {need} |" for what, how, need in table]


def main():
    path = DOCS / "capacity.md"
    measured = json.loads((DOCS / "benchmarks.json").read_text("utf-8"))
    text = path.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    told = measured["machine"].get("batch", "nothing yet: run make bench ARGS=batch")
    block = "\n".join([*lines(measured["rows"]), "", f"Measured on {told}.", ""])
    path.write_text(before + BEGIN + block + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
