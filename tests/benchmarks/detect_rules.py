"""The rules compared: each turns streams or months into alarms. Vectorised over streams by numpy.

`esr` is `monitoring.detectors.advance` over many streams at once; a test holds the two together.
Rules that others use stand beside it, with the thresholds people use. Evidently's distance is
computed here by the same formula (Wasserstein over the reference's deviation); `evidently_windows`
asks Evidently itself on some windows and the benchmark prints the largest difference.
"""

import math

import numpy as np
from scipy.stats import beta, chi2, ks_2samp

from monitoring.detectors import CEILING


def esr(x, detector, *, reset_before=0):
    """Alarms of e-SR on `x` (observations by streams): (stream, observation) in order.

    An alarm before `reset_before` is closed at once and evidence starts anew, as a person would;
    the first later one ends its stream.
    """
    bets = np.asarray(detector.bets)
    sums = np.zeros((x.shape[1], len(bets)))
    live = np.ones(x.shape[1], bool)
    found = []
    for at in range(x.shape[0]):
        excess = x[at] - detector.tolerated_mean
        sums += 1
        sums *= 1 + bets * excess[:, None]
        np.minimum(sums, CEILING, out=sums)
        hot = live & (sums.mean(axis=1) >= detector.run_length)
        if hot.any():
            found += [(int(stream), at) for stream in np.flatnonzero(hot)]
            if at < reset_before:
                sums[hot] = 0
            else:
                live &= ~hot
                if not live.any():
                    break
    return found


def fixed_start(x, mean, bets, alpha=0.05, *, start=0):
    """First crossing of the e-process begun at `start`: what a confidence sequence would say."""
    products = np.ones((x.shape[1], len(bets)))
    first = np.full(x.shape[1], -1)
    for at in range(start, x.shape[0]):
        products *= 1 + np.asarray(bets) * (x[at] - mean)[:, None]
        np.clip(products, 1e-300, CEILING, out=products)
        crossed = (products.mean(axis=1) >= 1 / alpha) & (first < 0)
        first[crossed] = at
    return first


def river_first(values, make, *, reset_before=0):
    """Alarms of one of river's detectors on one stream."""
    detector, found = make(), []
    for at, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(at)
            if at >= reset_before:
                break
            detector = make()
    return found


# --- one month against a reference -----------------------------------------------------------


def auc(score, label):
    """Mann-Whitney; ties count half."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    edges = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1], True])
    middle = (edges[:-1] + edges[1:] + 1) / 2
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(middle, np.diff(edges))
    bad = label.sum()
    good = len(label) - bad
    return (ranks[label == 1].sum() - bad * (bad + 1) / 2) / (bad * good)


def expected_auc(p, chance):
    """AUC of score `p` when each row defaults with `chance`; exact in expectation of counts."""
    order = np.argsort(p, kind="stable")
    ranked, bad, good = p[order], chance[order], 1 - chance[order]
    below = np.cumsum(good) - good
    edges = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1], True])
    group_good = np.add.reduceat(good, edges[:-1])
    start = below[edges[:-1]]
    group_bad = np.add.reduceat(bad, edges[:-1])
    return float((group_bad * (start + group_good / 2)).sum() / (bad.sum() * good.sum()))


def psi(reference, current):
    """Index of two arrays of bin counts, empty bins at half a row."""
    a = np.maximum(reference, 0.5) / reference.sum()
    b = np.maximum(current, 0.5) / current.sum()
    return float(((b - a) * np.log(b / a)).sum())


def psi_limit(bins, n, m, alpha):
    """Chi-squared limit for independent rows."""
    return float(chi2.ppf(1 - alpha, bins - 1) * (1 / n + 1 / m))


def jeffreys(p, y):
    """Chance, after the data, that the default rate is at most what was promised."""
    bad = y.sum()
    return float(beta.cdf(p.mean(), bad + 0.5, len(y) - bad + 0.5))


def hosmer_lemeshow(p, y, groups=10):
    """p-value over groups of equal size, as many degrees of freedom: nothing was fitted here."""
    order = np.argsort(p, kind="stable")
    statistic = 0.0
    for part in np.array_split(order, groups):
        expected, spread = p[part].sum(), (p[part] * (1 - p[part])).sum()
        statistic += (y[part].sum() - expected) ** 2 / max(spread, 1e-12)
    return float(chi2.sf(statistic, groups))


def ks(reference, current):
    """Two-sample Kolmogorov-Smirnov p-value."""
    return float(ks_2samp(reference, current, method="asymp").pvalue)


# --- exceedances, days by runs -----------------------------------------------------------------


def first_true(hits, start=0):
    """First row at or after `start` where each column is true; -1: nowhere."""
    hits = hits[start:]
    found = hits.argmax(axis=0)
    return np.where(hits.any(axis=0), found + start, -1)


def rolling_counts(x, days=250):
    """Exceedances of the newest `days` at each day; days before the first full window give -1."""
    total = np.cumsum(x, axis=0)
    counts = np.full(x.shape, -1.0)
    counts[days - 1 :] = total[days - 1 :]
    counts[days:] -= total[:-days]
    return counts


def kupiec_region(days=250, rate=0.01, alpha=0.05):
    """Counts that Kupiec's test refuses: (too few up to, too many from)."""

    def p_value(k):
        seen = k / days
        ll = k * math.log(rate) + (days - k) * math.log(1 - rate)
        best = (k * math.log(seen) if k else 0) + (
            (days - k) * math.log(1 - seen) if k < days else 0
        )
        return chi2.sf(2 * (best - ll), 1)

    refused = [k for k in range(days // 4) if p_value(k) < alpha]
    return max((k for k in refused if k < days * rate), default=-1), min(
        k for k in refused if k > days * rate
    )


def christoffersen_p(x):
    """p-values of independence for windows of days by runs."""
    before, after = x[:-1].astype(bool), x[1:].astype(bool)
    n11, n10 = (before & after).sum(0), (before & ~after).sum(0)
    n01, n00 = (~before & after).sum(0), (~before & ~after).sum(0)

    def ll(hits, total):
        share = np.divide(hits, total, out=np.zeros(len(hits)), where=total > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.where(hits > 0, hits * np.log(share), 0)
            b = np.where(total > hits, (total - hits) * np.log1p(-share), 0)
        return a + b

    statistic = 2 * (ll(n01, n00 + n01) + ll(n11, n10 + n11) - ll(n01 + n11, n00 + n01 + n10 + n11))
    p = chi2.sf(np.maximum(statistic, 0), 1)
    return np.where(n10 + n11 == 0, 1.0, p)
