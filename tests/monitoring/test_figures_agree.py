"""Every reported figure against other code or a published example, to the precision docs/metrics.md states.

`AGREEMENTS` is the table of that page: figure, what it is held against, decimals. Add a line here
and there together; the last test holds the two.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.calibration
import sklearn.metrics
import statsmodels.stats.proportion
import vartests
from arch.covariance.kernel import Bartlett

from monitoring import backtest, beta, calibration, earning, label_free, performance, psi

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
RNG = np.random.default_rng(20261125)
PD = RNG.beta(1.2, 4, 3_000)
SCORES = PD.round(3)  # with ties
LABELS = (RNG.random(3_000) < PD * 1.15).astype(int)
RETURNS = RNG.standard_t(4, 900)
SIGNAL = 0.1 * RETURNS + RNG.standard_normal(900)
FLAGS = (RNG.random(900) < 0.02).tolist()


def auc():
    return [(performance.auc(SCORES, LABELS).value, sklearn.metrics.roc_auc_score(LABELS, SCORES))]


def gini():
    return [(performance.gini(SCORES, LABELS).value, 2 * sklearn.metrics.roc_auc_score(LABELS, SCORES) - 1)]  # fmt: skip


def ks():
    there = scipy.stats.ks_2samp(SCORES[LABELS == 1], SCORES[LABELS == 0]).statistic
    return [(performance.ks(SCORES, LABELS).value, there)]


def brier():
    return [(performance.brier(PD, LABELS).value, sklearn.metrics.brier_score_loss(LABELS, PD))]


def calibration_error():
    seen, told = sklearn.calibration.calibration_curve(LABELS, PD, n_bins=10, strategy="quantile")
    there = float(np.abs(seen - told).mean())  # 3,000 different values: ten groups of 300
    return [(calibration.expected_calibration_error(PD, LABELS).value, there)]


def hosmer_lemeshow():
    order = np.argsort(PD)
    observed, expected = [], []
    for part in np.split(order, 10):
        observed += [LABELS[part].sum(), 300 - LABELS[part].sum()]
        expected += [PD[part].sum(), 300 - PD[part].sum()]
    # Within a group the variance is that of unequal chances, so the cells are put together by hand.
    spread = [(PD[part] * (1 - PD[part])).sum() for part in np.split(order, 10)]
    gaps = np.asarray(observed[::2]) - np.asarray(expected[::2])
    there = scipy.stats.chi2.sf(float((gaps**2 / np.asarray(spread)).sum()), 10)
    return [(calibration.hosmer_lemeshow(PD, LABELS).value, there)]


def jeffreys():
    cases = [(0, 12), (3, 40), (17, 250), (250, 250), (2_000, 90_000)]
    there = [
        statsmodels.stats.proportion.proportion_confint(k, n, method="jeffreys") for k, n in cases
    ]
    mine = [beta.jeffreys(k, n) for k, n in cases]
    # Ours reaches the end when every row agrees, as Brown, Cai and DasGupta advise.
    return [(a, b) for (k, n), m, t in zip(cases, mine, there, strict=True) for a, b in zip(m, t, strict=True) if a not in {0.0, 1.0}]  # fmt: skip


def wilson():
    cases = [(0, 12), (3, 40), (250, 250), (2_000, 90_000)]
    there = [
        statsmodels.stats.proportion.proportion_confint(k, n, method="wilson") for k, n in cases
    ]
    return [pair for (k, n), t in zip(cases, there, strict=True) for pair in zip(performance.wilson(k, n), t, strict=True)]  # fmt: skip


def stability():
    a, b = np.asarray([120, 300, 500, 80]), np.asarray([40, 90, 220, 60])
    p, q = a / a.sum(), b / b.sum()
    there = (scipy.special.rel_entr(p, q) + scipy.special.rel_entr(q, p)).sum()
    found = psi.psi(a.tolist(), b.tolist(), columns=4)
    limit = scipy.stats.chi2.ppf(1 - 0.01 / 4, 3) * (1 / 1000 + 1 / 410)
    return [(found.value, there), (found.limit, limit)]


def kupiec():
    cases = [(k, n, rate) for k in (0, 1, 4, 10) for n in (250, 1000) for rate in (0.01, 0.025)]
    pairs = []
    for k, n, rate in cases:
        there = vartests.kupiec_test(x=k, n=n, risk_conf_level=1 - rate)
        mine = backtest.kupiec(k, n, rate)
        pairs += [(mine.statistic, there["statistic"]), (mine.p_value, there["p-value"])]
    return pairs


def clopper_pearson():
    pairs = []
    for k, n in ((0, 250), (3, 250), (12, 250), (40, 900)):
        there = scipy.stats.binomtest(k, n).proportion_ci(0.95, "exact")
        pairs += list(zip(backtest.clopper_pearson(k, n), there, strict=True))
    return pairs


def christoffersen():
    flags = [*FLAGS, True, True, False, True]
    table = np.zeros((2, 2))
    for one, two in pairwise(flags):
        table[int(one), int(two)] += 1
    there = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    mine = backtest.christoffersen(flags)
    return [(mine.statistic, there.statistic), (mine.p_value, there.pvalue)]


def conditional_coverage():
    flags = [*FLAGS, True, True, False, True]
    mine = backtest.conditional_coverage(flags, 0.01)
    parts = (
        vartests.kupiec_test(flags, 0.99)["statistic"] + backtest.christoffersen(flags).statistic
    )
    return [(mine.p_value, scipy.stats.chi2.sf(parts, 2))]


def acerbi_szekely():
    """5% critical value of Z2 for normal tails over 250 days: -0.70 (Acerbi and Szekely, table)."""
    rng, level = np.random.default_rng(7), scipy.stats.norm.ppf(0.975)
    shortfall = scipy.stats.norm.pdf(level) / 0.025
    losses = rng.standard_normal((20_000, 250))
    z2 = [backtest.acerbi_szekely_z2(row, np.full(250, shortfall), row > level, 0.025).value for row in losses[:50]]  # fmt: skip
    every = 1 - (np.where(losses > level, losses, 0) / shortfall).mean(axis=1) / 0.025
    assert np.allclose(z2, every[:50])
    return [(float(np.quantile(every, 0.05)), -0.70)]


def coefficient():
    there = scipy.stats.pearsonr(SIGNAL, RETURNS)
    low, high = there.confidence_interval(0.95)
    mine = earning.information_coefficient(SIGNAL, RETURNS)
    return [(mine.value, there.statistic), (mine.low, low), (mine.high, high)]


def rank_coefficient():
    return [(earning.rank_coefficient(SIGNAL.round(1), RETURNS).value, scipy.stats.spearmanr(SIGNAL.round(1), RETURNS).statistic)]  # fmt: skip


def newey_west():
    lags = int(4 * (900 / 100) ** (2 / 9))
    there = math.sqrt(Bartlett(RETURNS, bandwidth=lags, force_int=True).cov.long_run.item() / 900)
    mine = performance.related_mean(RETURNS)
    return [((mine.high - mine.value) / performance.Z95, there)]


def deflated_sharpe():
    """The paper's example: 2.5 a year over 1,250 days, 100 trials of variance 1/2: 0.1132, 0.9004."""
    floor = earning.best_of(100) * math.sqrt(0.5 / 250)
    chance = earning.chance_above(floor, 2.5 / math.sqrt(250), -3, 10, 1_250)
    return [(floor, 0.1132), (chance, 0.9004)]


def sharpe():
    """Under normal returns Lo (2002): variance (1 + SR^2 / 2) / n of the ratio per period."""
    return [(earning.ratio_variance(0.1, 0.0, 3.0, 1_001), (1 + 0.1**2 / 2) / 1_000)]


def expected_auc():
    some = SCORES[:400]
    above = (some[:, None] > some).astype(float) + 0.5 * (some[:, None] == some)
    weight = some[:, None] * (1 - some)
    return [(label_free.expected_auc(some), float((above * weight).sum() / weight.sum()))]


AGREEMENTS = {
    "AUC": (auc, "scikit-learn roc_auc_score", 12),
    "Gini": (gini, "scikit-learn, 2 AUC - 1", 12),
    "KS": (ks, "scipy ks_2samp", 12),
    "Brier score": (brier, "scikit-learn brier_score_loss", 12),
    "Expected calibration error": (calibration_error, "scikit-learn calibration_curve, quantiles", 12),
    "Hosmer-Lemeshow p": (hosmer_lemeshow, "scipy chi2 over groups of numpy", 10),
    "Jeffreys interval": (jeffreys, "statsmodels proportion_confint", 9),
    "Wilson interval": (wilson, "statsmodels proportion_confint", 12),
    "PSI and its limit": (stability, "scipy rel_entr, both ways; chi2.ppf", 9),
    "Kupiec": (kupiec, "vartests kupiec_test", 9),
    "Clopper-Pearson interval": (clopper_pearson, "scipy binomtest, exact", 9),
    "Christoffersen": (christoffersen, "scipy chi2_contingency, log-likelihood", 9),
    "Conditional coverage p": (conditional_coverage, "vartests and scipy, added", 10),
    "Acerbi-Szekely Z2": (acerbi_szekely, "critical value published with the test, 20,000 runs", 1),
    "Information coefficient": (coefficient, "scipy pearsonr with its interval", 9),
    "Rank IC": (rank_coefficient, "scipy spearmanr", 12),
    "Newey-West error": (newey_west, "arch Bartlett kernel", 9),
    "Sharpe ratio's variance": (sharpe, "Lo (2002), normal returns", 9),
    "Deflated Sharpe ratio": (deflated_sharpe, "example published with it", 3),
    "Expected AUC (CBPE)": (expected_auc, "all pairs", 12),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREEMENTS)
def test_figure_agrees(name):
    compute, _, decimals = AGREEMENTS[name]
    for mine, there in compute():
        assert mine == pytest.approx(float(there), abs=0.5 * 10**-decimals, rel=10**-decimals)


def test_the_page_states_these_and_no_others():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {name: (source, int(decimals)) for name, source, decimals in rows}
    assert told == {name: (source, decimals) for name, (_, source, decimals) in AGREEMENTS.items()}


def test_wilson_sharpe_and_ic_intervals_cover_as_often_as_they_say():
    rng, hits = np.random.default_rng(3), {"sharpe": 0, "ic": 0, "rank": 0}
    for _ in range(400):
        score = rng.standard_normal(300)
        returns = 0.2 * score + rng.standard_normal(300)
        daily = 0.1 + rng.standard_normal(300)
        found = earning.sharpe(daily)
        hits["sharpe"] += found.low <= 0.1 * math.sqrt(252) <= found.high
        found = earning.information_coefficient(score, returns)
        rho = 0.2 / math.sqrt(1.04)
        hits["ic"] += found.low <= rho <= found.high
        found = earning.rank_coefficient(score, returns)
        hits["rank"] += found.low <= 6 / math.pi * math.asin(rho / 2) <= found.high
    assert all(0.91 <= count / 400 <= 0.985 for count in hits.values()), hits


@pytest.mark.parametrize("daily", [np.zeros(50), np.ones(50)])
def test_a_result_that_never_changes_has_no_ratio(daily):
    assert "no ratio" in earning.sharpe(daily)
    assert "nothing can be ordered" in earning.information_coefficient(daily, RETURNS[:50])
