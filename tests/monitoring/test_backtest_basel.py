"""Value at risk: published tables, hand-computed cases, scipy."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2

from monitoring import backtest

# Basel Framework, MAR32: multiplier by number of exceptions in 250 days at 99%.
MAR32 = [
    (0, "green", "1.50"),
    (1, "green", "1.50"),
    (2, "green", "1.50"),
    (3, "green", "1.50"),
    (4, "green", "1.50"),
    (5, "amber", "1.70"),
    (6, "amber", "1.76"),
    (7, "amber", "1.83"),
    (8, "amber", "1.88"),
    (9, "amber", "1.92"),
    (10, "red", "2.00"),
    (11, "red", "2.00"),
    (250, "red", "2.00"),
]

# Kupiec (1995), non-rejection regions at 5%: lowest and highest count not rejected.
# His first row reads N < 7: none at all counts as kept there, though its statistic, 5.13, rejects.
KUPIEC = [
    (0.01, 255, 1, 6),
    (0.01, 510, 2, 10),
    (0.01, 1000, 5, 16),
    (0.025, 255, 3, 11),
    (0.025, 510, 7, 20),
    (0.025, 1000, 16, 35),
]


@pytest.mark.parametrize(("count", "zone", "multiplier"), MAR32)
def test_traffic_light_of_the_basel_table(count, zone, multiplier):
    light = backtest.traffic_light(count)
    assert (light.zone, light.multiplier) == (zone, multiplier)


@pytest.mark.parametrize(("rate", "days", "lowest", "highest"), KUPIEC)
def test_kupiec_regions_as_published(rate, days, lowest, highest):
    kept = [x for x in range(days) if backtest.kupiec(x, days, rate).statistic < chi2.ppf(0.95, 1)]
    assert kept == list(range(lowest, highest + 1))


def test_kupiec_of_no_exceedance_by_hand():
    found = backtest.kupiec(0, 250, 0.01)
    assert found.statistic == pytest.approx(-2 * 250 * math.log(0.99))
    assert found.p_value == pytest.approx(0.024982, abs=1e-6)


def test_kupiec_of_ten_in_250_by_hand():
    by_hand = 2 * (10 * math.log(0.04 / 0.01) + 240 * math.log(0.96 / 0.99))
    assert backtest.kupiec(10, 250, 0.01).statistic == pytest.approx(by_hand)
    assert by_hand == pytest.approx(12.9555, abs=1e-4)


@given(st.integers(1, 600).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_kupiec_p_value_is_a_chi_squared_tail(hits_of_n):
    found = backtest.kupiec(*hits_of_n, 0.025)
    assert found.p_value == pytest.approx(float(chi2.sf(found.statistic, 1)), abs=1e-12)


def test_christoffersen_by_hand():
    # 0001100110 : transitions 00=3, 01=2, 10=2, 11=2.
    flags = [bool(int(c)) for c in "0001100110"]
    together = 4 * math.log(4 / 9) + 5 * math.log(5 / 9)
    apart = 2 * math.log(2 / 5) + 3 * math.log(3 / 5) + 2 * math.log(2 / 4) + 2 * math.log(2 / 4)
    found = backtest.christoffersen(flags)
    assert found.statistic == pytest.approx(2 * (apart - together))
    assert found.p_value == pytest.approx(float(chi2.sf(found.statistic, 1)))


def test_clustered_exceedances_are_less_likely_than_spread_ones():
    spread = [place % 25 == 0 for place in range(250)]
    clustered = [place < 10 for place in range(250)]
    assert sum(spread) == sum(clustered)
    assert backtest.christoffersen(clustered).p_value < 1e-6
    assert backtest.christoffersen(spread).p_value > 0.1


@pytest.mark.parametrize("flags", [[], [True], [False] * 9, [False] * 9 + [True], [True] * 9])
def test_christoffersen_is_not_judgeable_without_two_kinds_of_day(flags):
    assert backtest.christoffersen(flags) is None
    assert backtest.conditional_coverage(flags or [False], 0.01) is None


def test_conditional_coverage_adds_both_statistics():
    flags = [place % 20 == 0 for place in range(200)]
    joint = backtest.conditional_coverage(flags, 0.01)
    parts = backtest.kupiec(10, 200, 0.01).statistic + backtest.christoffersen(flags).statistic
    assert joint.statistic == pytest.approx(parts)
    assert joint.p_value == pytest.approx(float(chi2.sf(parts, 2)))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_equals_scipy(hits_of_n):
    hits, n = hits_of_n
    theirs = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="exact")
    ours = backtest.clopper_pearson(hits, n)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "over"),
    [("-2", False), ("-2.000000000001", True), ("-1.999999999999", False), ("2.5", False)],
)
def test_a_loss_equal_to_the_value_at_risk_is_no_exceedance(loss, over):
    assert backtest.exceeded(Fraction(loss), 2 * 65536) is over


@given(st.integers(-(2**40), 2**40), st.fractions(-100, 100, max_denominator=10**6))
def test_exceedance_is_exact(var_q16, value):
    assert backtest.exceeded(value, var_q16) is (value < Fraction(-var_q16, 65536))


def test_frozen_forecast_of_a_crisis_is_red():
    # The design's frozen model: 39 exceedances in 632 days where 6.3 were promised.
    assert backtest.kupiec(39, 632, 0.01).p_value < 1e-12
