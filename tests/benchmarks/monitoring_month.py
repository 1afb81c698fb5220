"""A month of a million predictions in a real house: what the daily monitoring job then costs.

30 days: batches of 1,000 real credit accounts each, one outcome entry per account a day later. A
report is issued on day 29 and the clock runs on day 30, in a process of its own: the correctness
report with two e-SR limits, two others, alarms and kill switch as in service, then the drift job
with its child. CPU is of that process and its children; memory is the largest of either.

Usage: python tests/benchmarks/monitoring_month.py [--predictions 1000000] [--keep DIR]
Writes its part of docs/monitoring-scale.md when it ran at full size.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from harness import DOCS, machine
from rich.progress import track

from houses import DESK, make_house
from ledger.keys import Role
from models.reference import credit_default
from models.reference.data import load_credit
from service.assembly import assemble
from service.batch import BatchAsk, score
from service.batch_body import column_of
from service.correctness import issue_correctness
from service.drift import measure_drift
from service.kept import FOLDER
from service.lifecycle import LimitTerms, set_limit
from service.outcomes import Observed, outcome_draft
from service.settings import Settings

DAYS, BATCH = 30, 1_000
BEGIN, END = "<!-- job: measured -->", "<!-- job: end -->"
CPU_GOAL_S, MEMORY_GOAL = 60, 1 << 30
FIRST_DAY = date(2026, 1, 1)
LIMITS = (
    LimitTerms("auc", "0.70", "min", "0", "all", 500, "interval"),
    LimitTerms("brier", "0.20", "max", "0", "10000", 500, "threshold"),
    LimitTerms("excess_brier", "0.01", "max", "0", "all", 0, "e-sr maturity_days=1"),
    LimitTerms("calibration_ratio", "1.1", "max", "0", "all", 0, "e-sr maturity_days=1"),
)


def main(arguments):
    """Build the month, measure its last day."""
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("--predictions", type=int, default=1_000_000)
    told.add_argument("--keep", type=Path, help="build the house here and keep it")
    told.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = told.parse_args(arguments)
    if given.measure:
        print(json.dumps(daily(given.measure)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        directory = (given.keep or Path(scratch)) / "house"
        house = make_house(directory, models=("credit-default",), database_url="")
        digest = house.inventory.catalog(fresh=True).resolve("credit-default").digest
        for terms in LIMITS:
            set_limit(house, digest=digest, terms=terms, actor_id="risk-committee")
        batches = np.array_split(np.arange(given.predictions), DAYS)
        due = []
        house.vault.subject_of = _subject
        for day, rows in enumerate(track(batches[:-1], description="29 days")):
            due = one_day(house, FIRST_DAY + timedelta(days=day), len(rows), due, seed=day)
        house.engine.dispose()
        first = measured(directory)
        house = assemble(Settings(data_dir=directory, origin=house.settings.origin))
        house.vault.subject_of = _subject
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        one_day(house, last, len(batches[-1]), due, seed=DAYS)
        size = house.ledger.size
        house.engine.dispose()
        then = measured(directory)
        kept = sum(path.stat().st_size for path in (directory / FOLDER).glob("span-*"))
    lines = report(given.predictions, size, first, then, kept)
    print("\n".join(lines))
    if given.predictions >= 1_000_000:
        page = DOCS / "monitoring-scale.md"
        before, _, rest = page.read_text("utf-8").partition(BEGIN)
        page.write_text(
            f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}"
        )


def one_day(house, day, count, due, *, seed):
    """Yesterday's outcomes, today's predictions; gives what is due tomorrow."""
    key = house.signers[Role.OUTCOME_SOURCE]
    for start in range(0, len(due), BATCH):
        observed = [
            Observed(name, str(default), day.isoformat(), None, None)
            for name, default in due[start : start + BATCH]
        ]
        # As the service records them, less the look for rows that do not exist or have an outcome.
        drafts = [
            outcome_draft(house, item, kind="default_flag", actor_id="back-office")
            for item in observed
        ]
        house.ledger.append_many([(draft, key) for draft in drafts])
    data, rng = load_credit(), np.random.default_rng(seed)
    chosen = rng.choice(data.parts["replay"], count)
    tomorrow = []
    for start in range(0, count, BATCH):
        rows = chosen[start : start + BATCH]
        columns = {name: _column(data.columns[name][rows]) for name in credit_default.FEATURES}
        ask = BatchAsk("credit-default", columns, DESK, as_of=day.isoformat())
        leaf = score(house, ask).appended.index
        defaults = data.defaulted[rows].tolist()
        tomorrow += [(f"{leaf}.{row}", default) for row, default in enumerate(defaults)]
    return tomorrow


def _subject(leaf, _row):
    return f"desk_{leaf}"


def _column(values):
    import pyarrow as pa

    return column_of(pa.array(values))


def daily(directory):
    """What the scheduler does once a day, in this process; its children count."""
    began, cpu = time.perf_counter(), _cpu()
    house = assemble(_settings(directory))
    leaf = issue_correctness(house, actor_id="house:scheduler").index
    halfway, memory = _cpu(), _memory()
    measure_drift(house, actor_id="house:scheduler")
    return {
        "leaf": leaf,
        "wall_s": time.perf_counter() - began,
        "report_cpu_s": halfway - cpu,
        "drift_cpu_s": _cpu() - halfway,
        "report_memory": memory,
        "memory": max(_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024),
    }


def _settings(directory):
    return Settings(data_dir=directory, origin="test.example/log")


def measured(directory):
    """`daily` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(directory)],
        capture_output=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(done.stderr.decode())
    return json.loads(done.stdout.splitlines()[-1])


def report(predictions, size, first, then, kept):
    """The page."""
    cpu, memory = then["report_cpu_s"] + then["drift_cpu_s"], then["memory"]
    mib = 1 << 20

    def row(name, told):
        return (
            f"| {name} | {told['report_cpu_s']:.1f} | {told['drift_cpu_s']:.1f} | "
            f"{told['report_memory'] / mib:.0f} | {told['memory'] / mib:.0f} | {told['wall_s']:.0f} |"
        )

    return [
        f"Measured on {machine()}.",
        "",
        f"{predictions:,} predictions of one credit model in batches of {BATCH:,}, an outcome entry for",
        f"each a day later, {size:,} entries in all; four limits signed, two of them e-SR. The daily job is",
        "the correctness report, its alarms, and the drift measurement in its child process.",
        "",
        "| Job | Report, CPU s | Drift, CPU s | Report, MiB | Largest process, MiB | Wall s |",
        "|---|---|---|---|---|---|",
        row("first report, day 29: all of the log is read", first),
        row("daily job, day 30", then),
        "",
        "| Goal | Value | Met |",
        "|---|---|---|",
        f"| daily job under {CPU_GOAL_S} s of CPU | {cpu:.1f} s | {_yes(cpu < CPU_GOAL_S)} |",
        f"| under 1 GiB of memory | {memory / mib:.0f} MiB | {_yes(memory < MEMORY_GOAL)} |",
        "",
        f"Kept spans take {kept / mib:.0f} MiB on disk, encrypted; they can be deleted at any time and are",
        "made again (docs/correctness.md). Detectors go on from the state in the last report, so each",
        "outcome is read once; figures are computed over all labelled rows at every report.",
    ]


def _yes(met):
    return "yes" if met else "**no**"


def _cpu():
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
