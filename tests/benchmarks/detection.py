"""`make bench-detect`: how late detectors alarm, and how often falsely. Writes docs/detection.*.

Three parts: the comparison tables on development seeds 1000 to 1019; the acceptance targets on
seeds that nothing was chosen on; an index replayed through 2007 to 2009. Minutes on two cores.

The acceptance seeds below were fixed in this file before anything ran on them. SEEDS=a-b, CREDIT=FILE
and PRICES=FILE rerun it on other seeds (at least 200 for an acceptance) and other data.

Usage: python tests/benchmarks/detection.py [--seeds 5-204] [--credit book.csv] [--prices index.csv]
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import detect_credit as credit
import detect_replay as market
import detect_var as var
import numpy as np
from detect_credit import BREAK, LOANS, delay_days, month_delay
from detect_monthly import LABELLED, Monthly
from detect_report import Report
from detect_rules import esr, fixed_start, river_first
from harness import machine
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from river.drift import ADWIN, PageHinkley

from monitoring.credit import CREDIT
from monitoring.detectors import EXCESS_BRIER, Detector

DEVELOPMENT = range(1000, 1020)
ACCEPTANCE = range(21_000, 21_200)  # declared before the first run on them; 20000-20199 were used
FEWEST = 200  # seeds below which nothing is accepted
FA_RUNS, DELAY_RUNS = 50, 20  # value-at-risk runs of a development seed: 1,000 and 400 in all
ACCEPTANCE_RUNS = 100  # of an acceptance seed: 20,000 in all
CHUNK = 20  # seeds held in memory at once
WATCHES = {m.name: m.watch for m in CREDIT.metrics if m.watch is not None}
OURS = {
    "e-SR excess Brier": lambda p, y: (
        WATCHES["excess_brier"].make("max", 0.01),
        (p - y) ** 2 - p * (1 - p),
    ),
    "e-SR PD calibration": lambda p, y: (
        WATCHES["calibration_ratio"].make("max", 1.1),
        y - np.minimum(1.1 * p, 0.95),
    ),
}


def main(arguments):
    """Run all three parts and write the report."""
    given = _arguments(arguments)
    report = Report(machine(), given)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        book = credit.load(given.credit)
        breaks = credit.Breaks(book)
        report.book(book, breaks)
        report.credit_table(_credit_development(book, breaks, bar), breaks.scenarios)
        report.var_table(_var_development(bar))
        seeds = _seeds(given.seeds)
        found = _credit_acceptance(book, breaks, seeds, bar)
        report.credit_acceptance(found, seeds, enough=len(seeds) >= FEWEST)
        report.var_acceptance(_var_acceptance(seeds, bar), seeds, enough=len(seeds) >= FEWEST)
        task = bar.add_task("index replayed", total=2)
        prices = market.load(given.prices)
        rows, facts = market.replay(prices)
        bar.advance(task)
        report.replay(rows, facts, prices.told, market.against_evidently(prices))
        bar.advance(task)
    report.write()


# --- credit ------------------------------------------------------------------------------------


def _credit_development(book, breaks, bar):
    """{rule: {scenario: [(alarm before the break, delay or None) per seed]}}."""
    monthly, found = Monthly(book), {}
    first = BREAK * LOANS
    task = bar.add_task("credit, development seeds", total=len(DEVELOPMENT) * len(breaks.scenarios))
    brier = float(((book.reference_p - book.reference_y) ** 2).mean())
    for scenario in breaks.scenarios:
        drawn = [breaks.draw(seed, scenario) for seed in DEVELOPMENT]
        for rows, y in drawn:
            for name, months in monthly.alarms(rows, y).items():
                before = any(month < BREAK for month in months)
                after = [m for m in months if m >= BREAK]
                delay = month_delay(after[0], labelled=name in LABELLED) if after else None
                found.setdefault(name, {}).setdefault(scenario, []).append((before, delay))
            loss = (book.p[rows] - y) ** 2
            for name, make in (
                ("ADWIN on Brier", ADWIN),
                ("Page-Hinkley on Brier", partial(PageHinkley, mode="up")),
            ):
                hits = river_first(loss.tolist(), make, reset_before=first)
                _add(found, name, scenario, hits)
            bar.advance(task)
        p = np.column_stack([book.p[rows] for rows, _ in drawn])
        y = np.column_stack([y for _, y in drawn])
        raw = Detector("brier", brier + 0.01, EXCESS_BRIER.bets, 0.0, 1.0, 20_000)
        streams = {"e-SR Brier, A=20,000": (raw, (p - y) ** 2)}
        streams |= {name: make(p, y) for name, make in OURS.items()}
        for name, (detector, x) in streams.items():
            alarms = esr(x, detector, reset_before=first)
            for stream in range(x.shape[1]):
                _add(found, name, scenario, [at for s, at in alarms if s == stream])
        crossed = fixed_start((p - y) ** 2, raw.tolerated_mean, raw.bets)
        for at in crossed:
            _add(found, "Confidence sequence, Brier", scenario, [at] if at >= 0 else [])
    return found


def _add(found, name, scenario, hits):
    first = BREAK * LOANS
    after = [at for at in hits if at >= first]
    held = found.setdefault(name, {}).setdefault(scenario, [])
    held.append((any(at < first for at in hits), delay_days(after[0]) if after else None))


def _credit_acceptance(book, breaks, seeds, bar):
    """Ours and `either of the two` on unseen seeds, in the same shape."""
    found, first = {}, BREAK * LOANS
    task = bar.add_task("credit, acceptance seeds", total=len(seeds) * len(breaks.scenarios))
    for scenario in breaks.scenarios:
        for start in range(0, len(seeds), CHUNK):
            drawn = [breaks.draw(seed, scenario) for seed in seeds[start : start + CHUNK]]
            p = np.column_stack([book.p[rows] for rows, _ in drawn])
            y = np.column_stack([y for _, y in drawn])
            either = [[] for _ in drawn]
            for name, make in OURS.items():
                detector, x = make(p, y)
                alarms = esr(x, detector, reset_before=first)
                for stream in range(len(drawn)):
                    hits = [at for s, at in alarms if s == stream]
                    either[stream] += hits
                    _add(found, name, scenario, hits)
            for hits in either:
                _add(found, "either of the two", scenario, sorted(hits))
            bar.advance(task, len(drawn))
    return found


# --- value at risk -----------------------------------------------------------------------------


def _var_development(bar):
    """{rule: (share of false alarms, {rate: (median delay, share)})}."""
    quiet = np.hstack([var.quiet(seed, FA_RUNS) for seed in DEVELOPMENT])
    broken = {
        rate: np.hstack([var.broken(seed, DELAY_RUNS, rate) for seed in DEVELOPMENT])
        for rate in var.RATES
    }
    rules, found = var.rules(), {}
    task = bar.add_task("value at risk, development seeds", total=len(rules))
    for name, rule in rules.items():
        false = float((rule(quiet, 0) >= 0).mean())
        late = {rate: var.found(rule(broken[rate], var.BEFORE), var.BEFORE) for rate in var.RATES}
        found[name] = (false, late)
        bar.advance(task)
    return found


def _var_acceptance(seeds, bar):
    """Too many and too few at the default run length, and both together, over all seeds' runs."""
    found = {}
    task = bar.add_task("value at risk, acceptance seeds", total=2 + len(var.RATES))
    quiet = np.hstack([var.quiet(seed, ACCEPTANCE_RUNS) for seed in seeds])
    many = var.sequential(quiet, var.RATE_WATCH.make("max", 0.01).run_length, 0) >= 0
    bar.advance(task)
    few = var.sequential(quiet, var.RATE_WATCH.make("min", 0.01).run_length, 0, "min") >= 0
    bar.advance(task)
    found["false"] = {"too many": many, "too few": few, "either side": many | few}
    for rate in var.RATES:
        x = np.hstack([var.broken(seed, ACCEPTANCE_RUNS, rate) for seed in seeds])
        first = var.sequential(x, var.RATE_WATCH.make("max", 0.01).run_length, var.BEFORE)
        found[rate] = var.found(first, var.BEFORE)
        bar.advance(task)
    return found


def _seeds(text):
    if text is None:
        return ACCEPTANCE
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        sys.exit(f"--seeds {text}: write two whole numbers, such as 5-204")
    return range(int(first), int(last) + 1)


def _arguments(arguments):
    told = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told.add_argument("--seeds", help="acceptance seeds, such as 5-204")
    told.add_argument(
        "--credit", type=Path, help="CSV with DEFAULT and numeric columns, or pd,default"
    )
    told.add_argument("--prices", type=Path, help="CSV of date, close")
    told.add_argument("--out", type=Path, help="folder for detection.md and .json; docs by default")
    return told.parse_args(arguments)


if __name__ == "__main__":
    began = time.perf_counter()
    main(sys.argv[1:])
    print(f"{time.perf_counter() - began:.0f} s")
