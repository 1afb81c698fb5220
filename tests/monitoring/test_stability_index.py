"""The stability index, its bins and its limit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from monitoring import psi


@given(st.floats(0.001, 60), st.integers(1, 40))
def test_chi_squared_tail_equals_scipy(statistic, freedom):
    ours = psi.chi2_tail(statistic, freedom)
    assert ours == pytest.approx(float(chi2.sf(statistic, freedom)), abs=1e-10)


@given(st.floats(1e-6, 0.5), st.integers(1, 30))
def test_chi_squared_quantile_equals_scipy(tail, freedom):
    ours = psi.chi2_quantile(tail, freedom)
    assert ours == pytest.approx(float(chi2.isf(tail, freedom)), rel=1e-6)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=200))
def test_every_value_falls_in_one_bin(values):
    inner = psi.edges(values)
    assert sum(psi.counts(values, inner)) == len(values)
    assert min(psi.counts(values, inner)) > 0


def test_counts_of_two_days_add_up():
    inner = psi.edges([float(v) for v in range(100)])
    one, two = [1.0, 50.0, 99.0], [7.0, 7.0]
    added = [a + b for a, b in zip(psi.counts(one, inner), psi.counts(two, inner), strict=True)]
    assert added == psi.counts(one + two, inner)


def test_index_by_hand():
    # Shares .5/.5 against .75/.25: .25 ln 1.5 - .25 ln .5
    assert psi.psi([50, 50], [75, 25], columns=1).value == pytest.approx(0.274653, abs=1e-6)


def test_limit_by_hand():
    # One degree of freedom, error rate .01 over 2 columns: chi-squared 7.8794, times 1/100 + 1/50.
    found = psi.psi([50, 50], [25, 25], columns=2)
    assert found.limit == pytest.approx(7.87944 * 0.03, abs=1e-5)


def test_a_constant_column_has_nothing_to_drift():
    inner = psi.edges([1.0] * 50)
    assert psi.psi(psi.counts([1.0] * 50, inner), [9], columns=1).value == 0


def test_small_windows_are_not_flagged_by_chance():
    """The usual cut-off of 0.25 flags most months of 21 days; this limit flags few."""
    rng = random.Random(5)
    reference = [rng.gauss(0, 1) for _ in range(1258)]
    inner = psi.edges(reference)
    bins = psi.counts(reference, inner)
    months = [psi.counts([rng.gauss(0, 1) for _ in range(21)], inner) for _ in range(200)]
    measured = [psi.psi(bins, month, columns=1) for month in months]
    assert sum(m.value > 0.25 for m in measured) > 150
    assert sum(m.value > m.limit for m in measured) < 20


def test_a_real_shift_is_flagged():
    rng = random.Random(6)
    reference = [rng.gauss(0, 1) for _ in range(2000)]
    inner = psi.edges(reference)
    moved = psi.counts([rng.gauss(0.5, 1) for _ in range(1000)], inner)
    found = psi.psi(psi.counts(reference, inner), moved, columns=23)
    assert found.value > found.limit
