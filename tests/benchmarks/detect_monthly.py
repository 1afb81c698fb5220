"""Rules that look once a month: on inputs and scores at its end, on labels 30 days later.

Each gives the months (0 to 19) in which it alarms. The reference is a tenth of the book.
"""

import numpy as np
from detect_credit import LOANS, MONTHS
from detect_rules import auc, expected_auc, hosmer_lemeshow, jeffreys, ks, psi, psi_limit

BINS = 10
EVIDENTLY_THRESHOLD, EVIDENTLY_SHARE = 0.1, 0.5  # its defaults for a reference above 1,000 rows
LABELLED = {"Realised AUC 3 sigma monthly", "Jeffreys 5% monthly", "Hosmer-Lemeshow 5% monthly"}


class Monthly:
    """A book's reference, read once."""

    def __init__(self, book, *, seed=7):
        """Bins, distances and the spread of figures over reference months."""
        self.book = book
        self.edges = {n: _edges(c) for n, c in book.reference_columns.items()}
        self.score_edges = _edges(book.reference_score)
        self.held = {
            n: np.bincount(_bins(book.reference_columns[n], e), minlength=len(e) + 1)
            for n, e in self.edges.items()
        }
        self.score_held = np.bincount(_bins(book.reference_score, self.score_edges))
        self.pool_bins = {n: _bins(book.columns[n], e) for n, e in self.edges.items()}
        self.score_bins = _bins(book.score, self.score_edges)
        values = {**book.columns, "score": book.score}
        reference = {**book.reference_columns, "score": book.reference_score}
        self.distance = {n: Distance(reference[n], values[n]) for n in values}
        rng = np.random.default_rng(seed)
        drawn = rng.integers(len(book.reference_p), size=(300, LOANS))
        self.auc = auc(book.reference_p, book.reference_y)
        spread = [auc(book.reference_p[i], book.reference_y[i]) for i in drawn]
        self.auc_floor = self.auc - 3 * np.std(spread)
        told = [expected_auc(book.reference_p[i], book.reference_p[i]) for i in drawn]
        centre, wide = np.mean(told), 3 * np.std(told)
        self.cbpe_range = centre - wide, centre + wide

    def alarms(self, rows, y, months=range(MONTHS)):
        """Months in alarm by rule."""
        found = {}
        for month in months:
            part = rows[month * LOANS : (month + 1) * LOANS]
            for name, hit in self._month(part, y[month * LOANS : (month + 1) * LOANS]).items():
                found.setdefault(name, []).extend([month] if hit else [])
        return found

    def _month(self, rows, y):
        p, score = self.book.p[rows], self.book.score[rows]
        drifted = {n: d.of(rows) >= EVIDENTLY_THRESHOLD for n, d in self.distance.items()}
        score_drifted = drifted.pop("score")
        share = np.mean(list(drifted.values())) if drifted else 0
        index = psi(
            self.score_held, np.bincount(self.score_bins[rows], minlength=len(self.score_held))
        )
        csi = [
            psi(self.held[n], np.bincount(bins[rows], minlength=len(self.held[n])))
            for n, bins in self.pool_bins.items()
        ]
        limit = psi_limit(
            len(self.score_held), len(self.book.reference_p), len(rows), 0.05 / MONTHS
        )
        low, high = self.cbpe_range
        return {
            "Evidently dataset drift (default)": share >= EVIDENTLY_SHARE,
            "Evidently any column": any(drifted.values()),
            "Evidently score, Wasserstein .1": bool(score_drifted),
            "PSI score >.10": index > 0.10,
            "PSI score >.25": index > 0.25,
            f"PSI score, chi2 limit {limit:.3f}": index > limit,
            "CSI any feature >.25": max(csi, default=0) > 0.25,
            "KS score p<.05": ks(self.book.reference_score, score) < 0.05,
            "CBPE AUC 3 sigma": not low <= expected_auc(p, p) <= high,
            "Realised AUC 3 sigma monthly": auc(p, y) < self.auc_floor,
            "Jeffreys 5% monthly": jeffreys(p, y) < 0.05,
            "Hosmer-Lemeshow 5% monthly": hosmer_lemeshow(p, y) < 0.05,
        }


class Distance:
    """Wasserstein distance of pool rows from the reference, in reference deviations."""

    def __init__(self, reference, pool):
        """Sort both sides' values once."""
        values = np.unique(np.concatenate([reference, pool]))
        self.gaps = np.diff(values)
        self.place = np.searchsorted(values, pool)
        counts = np.bincount(np.searchsorted(values, reference), minlength=len(values))
        self.below = np.cumsum(counts)[:-1] / len(reference)
        self.size = len(values)
        self.spread = max(np.std(reference), 0.001)  # Evidently's floor

    def of(self, rows):
        """Distance of these rows of the pool."""
        counts = np.bincount(self.place[rows], minlength=self.size)
        below = np.cumsum(counts)[:-1] / len(rows)
        return float((np.abs(below - self.below) * self.gaps).sum() / self.spread)


def _edges(values):
    ordered = np.sort(values)
    cuts = np.unique(ordered[[len(ordered) * i // BINS for i in range(1, BINS)]])
    return cuts[cuts > ordered[0]]


def _bins(values, edges):
    return np.searchsorted(edges, values, side="right")
