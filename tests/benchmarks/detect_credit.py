"""Credit streams: real rows in a synthetic order of months, whole or broken after month ten.

A book is split by a hash of its rows: 30% train the model, 10% recalibrate its probabilities
(two-parameter logistic), 10% are the reference, 50% are the pool from which months are drawn, with replacement.
Twenty months of 1,000 loans; a label is mature 30 days after its loan. There is no real time in it.

Breaks after month ten. The first three leave the inputs alone; a share q of the loans that would
have been repaid default.

- concept: q so that AUC falls by .10. small: by .05. gradual: a ramp from 0 to concept's q.
- flip: labels are exchanged between loans at random, so that AUC falls by .155; the default rate
  stays.
- reversed: as far down in AUC, by turning the order of risk round in the riskiest part of the book.
- covariate: riskier applicants (weights rise with the rank of the score); calibration stays.
- benign: another mix in a column that the model does not use (age where there is one).
"""

import csv
import hashlib
import io
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost
from detect_rules import auc, expected_auc
from sklearn.linear_model import LogisticRegression

MONTHS, BREAK, LOANS, DAYS, LABEL_DAYS = 20, 10, 1_000, 30, 30
NOT_SCORED = ("sex", "marriage", "age", "education")
SCENARIOS = (
    "none", "concept", "small", "gradual", "flip", "reversed", "covariate", "benign",
)  # fmt: skip
DROPS = {"concept": 0.10, "small": 0.05, "flip": 0.155}
TILT, AGE_TILT = 1.1, 2.0  # PSI of the score near .1; CSI of the column near .25
DEFAULT_FILE = (
    Path(__file__).parents[2] / "models" / "reference" / "data" / "uci_credit_default.csv.xz"
)


@dataclass(frozen=True)
class Book:
    """Scored rows: the pool that months are drawn from, the reference, and every column's values."""

    p: np.ndarray
    y: np.ndarray
    score: np.ndarray
    columns: dict
    reference_p: np.ndarray
    reference_y: np.ndarray
    reference_score: np.ndarray
    reference_columns: dict
    benign_column: str | None
    told: str


def load(path=None):
    """Read a CSV: `DEFAULT` and numeric columns, or a scored book with `pd` and `default`."""
    raw = Path(path or DEFAULT_FILE).read_bytes()
    text = (lzma.decompress(raw) if raw[:6] == b"\xfd7zXZ\x00" else raw).decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text))
    names = [name.strip().lower() for name in next(reader)]
    if "default" not in names:
        raise SystemExit("the credit file needs a column DEFAULT (1 or 0) and numeric columns")
    try:
        table = np.asarray([[float(v or "nan") for v in row] for row in reader if row])
    except ValueError as error:
        raise SystemExit(f"the credit file holds something that is no number: {error}") from error
    if len(table) < 3_000:
        raise SystemExit(f"{len(table)} rows; the benchmark needs 3,000")
    columns = {name: table[:, at] for at, name in enumerate(names) if name != "id"}
    y = columns.pop("default").astype(int)
    given = columns.pop("pd", None)
    parts = _split(np.column_stack([*columns.values()] if columns else [given]))
    used = [name for name in columns if name not in NOT_SCORED]
    score = given if given is not None else _train(columns, used, y, parts)
    p = _recalibrate(score, y, parts["calibrate"])
    unused = [name for name in NOT_SCORED[2:] if name in columns]
    if given is not None:
        unused = list(columns)
    pool, reference = parts["pool"], parts["reference"]
    return Book(
        p[pool], y[pool], score[pool], {n: c[pool] for n, c in columns.items()},
        p[reference], y[reference], score[reference], {n: c[reference] for n, c in columns.items()},
        unused[0] if unused else None,
        f"{len(table):,} rows, sha256 {hashlib.sha256(raw).hexdigest()[:16]}",
    )  # fmt: skip


def _split(table):
    """By the hash the reference model uses (`models/reference/data.py`): its file, its parts."""
    if np.array_equal(table, np.round(table)):
        table = table.astype(np.int64)
    keys = [hashlib.sha256(b"assay/credit-split/v1\0" + row.tobytes()).digest() for row in table]
    order = sorted(range(len(keys)), key=lambda row: (keys[row], row))
    cuts = [int(len(order) * share) for share in (0.3, 0.4, 0.5)]
    parts = np.split(np.asarray(order), cuts)
    return dict(zip(("train", "calibrate", "reference", "pool"), parts, strict=True))


def _recalibrate(score, y, rows):
    """Logistic in the log-odds. Isotonic steps on 3,000 rows spend half the tolerance unbroken."""
    odds = np.log(np.clip(score, 1e-4, 1 - 1e-4) / (1 - np.clip(score, 1e-4, 1 - 1e-4)))[:, None]
    fitted = LogisticRegression(C=1e6).fit(odds[rows], y[rows])
    return fitted.predict_proba(odds)[:, 1]


def _train(columns, used, y, parts):
    x = np.column_stack([columns[name] for name in used]).astype(np.float32)
    model = xgboost.XGBClassifier(
        n_estimators=150, max_depth=4, learning_rate=0.06, subsample=0.8, n_jobs=1, random_state=0
    )
    model.fit(x[parts["train"]], y[parts["train"]])
    return model.predict_proba(x)[:, 1].astype(float)


class Breaks:
    """What each scenario does to a book, solved once."""

    def __init__(self, book):
        """Solve for the shares that bring AUC to where each break wants it."""
        self.book = book
        self.scenarios = [s for s in SCENARIOS if s != "benign" or book.benign_column]
        whole = auc(book.p, book.y)
        self.auc = {"none": whole}
        self.share = {}
        for name in ("concept", "small"):
            self.share[name] = _solve(self._added, whole - DROPS[name])
            self.auc[name] = self._added(self.share[name])
        self.share["flip"] = _solve(self._mixed, whole - DROPS["flip"])
        self.auc["flip"] = self._mixed(self.share["flip"])
        part = _solve(lambda k: auc(book.p, self._turned(k)), whole - DROPS["flip"])
        self.turned = self._turned(part)
        self.auc["reversed"] = auc(book.p, self.turned)
        rank = np.argsort(np.argsort(book.score)) / len(book.score)
        self.weights = {"covariate": _normal(np.exp(TILT * rank))}
        if book.benign_column:
            values = book.columns[book.benign_column]
            rank = np.argsort(np.argsort(values, kind="stable")) / len(values)
            self.weights["benign"] = _normal(np.exp(AGE_TILT * rank))

    def _added(self, q):
        return expected_auc(self.book.p, self.book.y + q * (1 - self.book.y))

    def _mixed(self, s):
        return expected_auc(self.book.p, (1 - s) * self.book.y + s * self.book.y.mean())

    def _turned(self, k):
        order = np.argsort(self.book.p, kind="stable")
        top = order[len(order) - int(k * len(order)) :]
        turned = self.book.y.copy()
        turned[top] = self.book.y[top[::-1]]
        return turned

    def draw(self, seed, scenario):
        """Rows of the pool and their labels, 20,000 of each; the first half is the seed's own."""
        book, first = self.book, BREAK * LOANS
        rng = np.random.default_rng([seed, 0])
        rows = rng.integers(len(book.p), size=MONTHS * LOANS)
        chance = rng.random(MONTHS * LOANS)
        if scenario in self.weights:
            cumulative = np.cumsum(self.weights[scenario])
            other = np.random.default_rng([seed, 1 + SCENARIOS.index(scenario)])
            at = np.searchsorted(cumulative, other.random(len(rows) - first))
            rows[first:] = np.minimum(at, len(book.p) - 1)
        y = book.y[rows]
        y[first:] = self._broken(scenario, rows[first:], y[first:], chance[first:])
        return rows, y

    def _broken(self, scenario, rows, y, chance):
        if scenario in {"concept", "small"}:
            return np.where(chance < self.share[scenario], 1, y)
        if scenario == "gradual":
            ramp = np.linspace(0, self.share["concept"], len(y))
            return np.where(chance < ramp, 1, y)
        if scenario == "reversed":
            return self.turned[rows]
        if scenario == "flip":
            mixed = y.copy()
            chosen = np.flatnonzero(chance < self.share["flip"])
            mixed[chosen] = y[np.roll(chosen, 1)]
            return mixed
        return y


def delay_days(loan):
    """Days from the break to the maturity of a loan's label."""
    return loan * DAYS / LOANS - BREAK * DAYS + LABEL_DAYS


def month_delay(month, *, labelled):
    """Days from the break to the end of a month, plus the labels' delay if it needs them."""
    return (month + 1 - BREAK) * DAYS + (LABEL_DAYS if labelled else 0)


def _normal(weights):
    return weights / weights.sum()


def _solve(value, wanted, low=0.0, high=1.0):
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) > wanted else (low, middle)
    return (low + high) / 2
