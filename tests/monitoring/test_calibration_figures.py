"""Probabilities, ratio, bands, reliability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve

from monitoring import calibration

PROMISED = st.lists(
    st.tuples(st.floats(0.001, 0.999), st.integers(0, 1)), min_size=10, max_size=120
)


def split(rows):
    return [p for p, _ in rows], [y for _, y in rows]


@given(st.integers(-(2**53), 2**53))
def test_probability_is_the_logistic_function_and_never_overflows(margin):
    assert calibration.probability(margin) == pytest.approx(float(expit(margin / 65536)), abs=1e-12)


@given(st.integers(-(2**20), 2**20), st.integers(1, 2**20))
def test_a_higher_margin_is_never_a_lower_probability(margin, more):
    assert calibration.probability(margin + more) >= calibration.probability(margin)


def test_ratio_by_hand():
    found = calibration.ratio([0.1] * 50 + [0.3] * 50, [1] * 30 + [0] * 70)
    assert found.value == pytest.approx(1.5)  # 30 seen, 20 promised
    assert found.low < 1.5 < found.high
    assert found.n == 100


@given(PROMISED)
def test_ratio_lies_in_its_interval(rows):
    found = calibration.ratio(*split(rows))
    assert found.low - 1e-12 <= found.value <= found.high + 1e-12


@given(PROMISED)
def test_bands_hold_every_row_once(rows):
    promised, labels = split(rows)
    found = calibration.bands(promised, labels)
    assert sum(band.n for band in found) == len(rows)
    assert sum(band.defaults for band in found) == sum(labels)
    assert sum(band.expected for band in found) == pytest.approx(sum(promised))


@pytest.mark.parametrize(
    ("promised", "band"),
    [(0.0, "0% to 2%"), (0.02, "2% to 5%"), (0.7, "70% to 100%"), (1.0, "70% to 100%")],
)
def test_a_band_holds_its_lower_edge(promised, band):
    [holding] = [b for b in calibration.bands([promised], [1]) if b.n]
    assert holding.name == band


@given(st.lists(st.integers(0, 1), min_size=100, max_size=100), st.permutations(range(100)))
def test_reliability_equals_scikit_learn_where_no_values_tie(labels, order):
    promised = [(place + 0.5) / 100 for place in order]
    seen, mean = calibration_curve(labels, promised, n_bins=10, strategy="quantile")
    ours = calibration.reliability(promised, labels)
    assert [group.defaults / group.n for group in ours] == pytest.approx(list(seen))
    assert [group.expected / group.n for group in ours] == pytest.approx(list(mean))


def test_calibration_error_by_hand():
    # Ten groups of one row each: gaps |0.2 - 0| five times and |0.8 - 1| five times.
    groups = calibration.reliability([0.2] * 5 + [0.8] * 5, [0] * 5 + [1] * 5)
    assert calibration.calibration_error(groups) == pytest.approx(0.2)


def test_reliability_of_few_rows_makes_fewer_groups():
    assert [g.n for g in calibration.reliability([0.1, 0.2, 0.3], [0, 0, 1])] == [1, 1, 1]
    assert calibration.reliability([], []) == []
