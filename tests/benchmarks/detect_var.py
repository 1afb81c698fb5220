"""Exceedances of a 99% value at risk, simulated: independent days at a rate that changes or not.

False alarms: 756 days (three years) at 1%. Delay: 250 days at 1%, then 750 at 3% or 6%; an alarm in
the quiet stretch is closed at once. Rules over 250 days can speak only from day 250.
"""

from functools import partial

import numpy as np
from detect_rules import (
    christoffersen_p,
    esr,
    first_true,
    fixed_start,
    kupiec_region,
    river_first,
    rolling_counts,
)
from river.drift import ADWIN, PageHinkley

from monitoring.value_at_risk import VALUE_AT_RISK

QUIET_DAYS, BEFORE, AFTER = 756, 250, 750
RATES = (0.03, 0.06)
MONTH, QUARTER = 21, 63
PAGE_HINKLEY = partial(PageHinkley, mode="up", threshold=5)  # its default, 50, never fires here
RATE_WATCH = next(m.watch for m in VALUE_AT_RISK.metrics if m.name == "exceedance_rate_990")


def detector(run_length, side="max"):
    """The one a signed limit on the share of exceedances makes."""
    return RATE_WATCH.make(side, 0.01).with_run_length(run_length)


def quiet(seed, runs):
    """Days by runs at the promised rate."""
    return (np.random.default_rng([seed, 100]).random((QUIET_DAYS, runs)) < 0.01).astype(float)


def broken(seed, runs, rate):
    """Days by runs, the rate changing after BEFORE days."""
    rng = np.random.default_rng([seed, 101 + RATES.index(rate)])
    level = np.r_[np.full(BEFORE, 0.01), np.full(AFTER, rate)]
    return (rng.random((BEFORE + AFTER, runs)) < level[:, None]).astype(float)


def sequential(x, run_length, start, side="max"):
    """First alarm at or after `start` by run; -1: none."""
    values = x if side == "max" else 1 - x
    first = np.full(x.shape[1], -1)
    for run, at in esr(values, detector(run_length, side), reset_before=start):
        if at >= start and first[run] < 0:
            first[run] = at
    return first


def rules():
    """Name to a function of (exceedances, start) giving the first alarm by run."""
    few, many = kupiec_region()

    def rolling(refused):
        def first(x, start):
            hit = refused(rolling_counts(x))
            begins = hit & ~np.r_[np.zeros((1, x.shape[1]), bool), hit[:-1]]
            return first_true(begins, max(start, BEFORE - 1))

        return first

    def every(days, refused):
        def first(x, start):
            hit = refused(rolling_counts(x))
            at = np.arange(len(x))
            return first_true(hit & ((at + 1) % days == 0)[:, None], max(start, BEFORE))

        return first

    def christoffersen(x, start):
        first = np.full(x.shape[1], -1)
        for end in range(MONTH * 12, len(x) + 1, MONTH):
            if end - 1 >= start:
                refused = christoffersen_p(x[max(0, end - 250) : end]) < 0.05
                first[refused & (first < 0)] = end - 1
        return first

    def streamed(make):
        def first(x, start):
            runs = [river_first(x[:, run], make, reset_before=start) for run in range(x.shape[1])]
            return np.asarray([next((at for at in f if at >= start), -1) for f in runs])

        return first

    bets = detector(1).bets
    return {
        "Kupiec 250d daily, two-sided": rolling(lambda c: ((c >= 0) & (c <= few)) | (c >= many)),
        "Kupiec daily, too many": rolling(lambda c: c >= many),
        "Kupiec quarterly, too many": every(QUARTER, lambda c: c >= many),
        "Traffic light amber (>=5)": rolling(lambda c: c >= 5),
        "Traffic light red (>=10)": rolling(lambda c: c >= 10),
        "Christoffersen monthly": christoffersen,
        "e-process, fixed start": lambda x, start: fixed_start(x, 0.01, bets, start=start),
        "e-SR, A=2,500 (10 years, default)": lambda x, start: sequential(x, 2_500, start),
        "e-SR, A=2,750": lambda x, start: sequential(x, 2_750, start),
        "e-SR, A=10,000 (40 years)": lambda x, start: sequential(x, 10_000, start),
        "e-SR, too few, A=2,500": lambda x, start: sequential(x, 2_500, start, "min"),
        "ADWIN": streamed(ADWIN),
        "Page-Hinkley": streamed(PAGE_HINKLEY),
    }


def found(first, start, within=AFTER):
    """Median days to the alarm over the runs that had one, and the share that had one."""
    hit = first[first >= 0]
    hit = hit[hit - start < within]
    return (float(np.median(hit - start + 1)) if len(hit) else None), len(hit) / len(first)
