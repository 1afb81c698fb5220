"""Figures against scikit-learn, scipy, statsmodels, and slow, obviously right versions."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import brier_score_loss, roc_auc_score

from monitoring import performance

SCORED = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(0, 1)), min_size=4, max_size=80
).filter(lambda rows: 0 < sum(y for _, y in rows) < len(rows))


def split(rows):
    return [float(s) for s, _ in rows], [y for _, y in rows]


def delong_by_pairs(scores, labels):
    """DeLong's variance with every defaulter set against every repayer."""
    bad = [s for s, y in zip(scores, labels, strict=True) if y]
    good = [s for s, y in zip(scores, labels, strict=True) if not y]

    def wins(a, b):
        return 1.0 if a > b else 0.5 if a == b else 0.0

    above = [sum(wins(b, g) for g in good) / len(good) for b in bad]
    below = [sum(wins(b, g) for b in bad) / len(bad) for g in good]
    theta = sum(above) / len(above)

    def spread(values):
        if len(values) < 2:
            return 0.0
        return sum((v - theta) ** 2 for v in values) / (len(values) - 1) / len(values)

    return theta, spread(above) + spread(below)


@given(SCORED)
def test_auc_equals_scikit_learn(rows):
    scores, labels = split(rows)
    assert performance.auc(scores, labels).value == pytest.approx(
        roc_auc_score(labels, scores), abs=1e-12
    )


@given(SCORED)
def test_delong_interval_equals_the_one_from_all_pairs(rows):
    scores, labels = split(rows)
    theta, variance = delong_by_pairs(scores, labels)
    found = performance.auc(scores, labels)
    if variance > 1e-15:
        half = norm.ppf(0.975) * math.sqrt(variance)
        assert found.low == pytest.approx(max(0, theta - half), abs=1e-9)
        assert found.high == pytest.approx(min(1, theta + half), abs=1e-9)


@given(SCORED)
def test_auc_knows_only_the_order_of_scores(rows):
    scores, labels = split(rows)
    stretched = [3 * s**3 + 7 for s in scores]
    assert performance.auc(stretched, labels) == performance.auc(scores, labels)


@given(SCORED)
def test_auc_of_the_opposite_label_is_the_complement(rows):
    scores, labels = split(rows)
    one = performance.auc(scores, labels)
    other = performance.auc(scores, [1 - y for y in labels])
    assert one.value + other.value == pytest.approx(1)


@given(SCORED, st.randoms())
def test_order_of_rows_cannot_change_a_single_bit(rows, shuffler):
    again = list(rows)
    shuffler.shuffle(again)
    assert performance.auc(*split(rows)) == performance.auc(*split(again))


def test_complete_separation_keeps_an_interval():
    found = performance.auc([3.0] * 5 + [1.0] * 30, [1] * 5 + [0] * 30)
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.95


def test_complete_separation_the_wrong_way_too():
    found = performance.auc([1.0] * 5 + [3.0] * 30, [1] * 5 + [0] * 30)
    assert found.value == found.low == 0
    assert 0.05 < found.high < 0.3


def test_delong_interval_covers_as_often_as_it_says():
    rng = random.Random(20261125)
    true, inside, runs = norm.cdf(1 / math.sqrt(2)), 0, 400
    for _ in range(runs):
        scores = [rng.gauss(1, 1) for _ in range(60)] + [rng.gauss(0, 1) for _ in range(140)]
        found = performance.auc(scores, [1] * 60 + [0] * 140)
        inside += found.low <= true <= found.high
    assert 0.91 <= inside / runs <= 0.985  # 95% plus or minus 3.7 standard errors


PROMISED = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.integers(0, 1)), min_size=3, max_size=60
)


@given(PROMISED)
def test_brier_equals_scikit_learn(rows):
    promised, labels = [p for p, _ in rows], [y for _, y in rows]
    ours = performance.brier(promised, labels)
    assert ours.value == pytest.approx(brier_score_loss(labels, promised, pos_label=1), abs=1e-12)
    assert ours.low <= ours.value <= ours.high


def test_excess_brier_of_a_calibrated_model_is_zero_on_average():
    rng = random.Random(7)
    promised = [rng.random() for _ in range(20_000)]
    labels = [int(rng.random() < p) for p in promised]
    found = performance.excess_brier(promised, labels)
    assert found.low < 0 < found.high


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(hits_of_n):
    hits, n = hits_of_n
    theirs = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = performance.wilson(hits, n)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_by_hand():
    # 1 of 10: (0.1 + 3.8415/20 -+ 1.96 sqrt(0.09/10 + 3.8415/400)) / 1.38415
    assert performance.wilson(1, 10) == pytest.approx((0.017876, 0.404150), abs=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=30, max_size=120))
def test_newey_west_equals_statsmodels(values):
    sm = pytest.importorskip("statsmodels.api")
    n = len(values)
    lags = int(4 * (n / 100) ** (2 / 9))
    fitted = sm.OLS(values, [1.0] * n).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    found = performance.related_mean(values)
    half = norm.ppf(0.975) * float(fitted.bse[0])
    assert found.value == pytest.approx(float(fitted.params[0]), abs=1e-9)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-6, abs=1e-7)


def test_cost_is_paid_for_each_unit_traded():
    earned = performance.pnl_after_cost([1, 1, 0, -1], [2.0, -1.0, 5.0, 3.0])
    assert earned == pytest.approx([2 - 0.02, -1.0, -0.02, -3 - 0.02])
    assert performance.turnover([1, 1, 0, -1]).tolist() == [1, 0, 1, 1]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=50))
def test_never_trading_earns_and_costs_nothing(returns):
    assert not performance.pnl_after_cost([0] * len(returns), returns).any()
