"""A real index replayed: value at risk frozen on the first years, then every day in its order.

The model is gradient-boosted trees for the 99% quantile of the next day's loss (120 trees, depth 2)
on six lagged features of the close. One crisis is one observation: it ranks nothing.
"""

import csv
import gzip
import importlib.util
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import xgboost
from detect_monthly import EVIDENTLY_THRESHOLD, Distance, _bins, _edges
from detect_rules import kupiec_region, psi, psi_limit, river_first, rolling_counts
from detect_var import PAGE_HINKLEY, sequential
from evidently_windows import ask
from river.drift import ADWIN

FROZEN, FIRST, CALM_UNTIL = "2003-12-31", "2004-01-01", "2006-12-31"
CRISIS = ("2007-07-01", "2009-12-31")
LOOKBACK, MONTH, FEWEST = 64, 21, 1_500
NAMES = ("ret_1d", "ret_5d", "vol_5d", "vol_21d", "vol_63d", "worst_21d")


@dataclass(frozen=True)
class Market:
    """Days on which a loss was forecast, the forecast's features, and the loss that came."""

    dates: list
    features: np.ndarray
    losses: np.ndarray
    frozen: int  # days the model learnt from
    told: str


def load(path=None):
    """The S&P 500 of the `arch` package, or a CSV of date and close."""
    if path is None:
        folder = importlib.util.find_spec("arch").submodule_search_locations[0]
        with gzip.open(Path(folder) / "data" / "sp500" / "sp500.csv.gz", "rt") as stream:
            rows = [(row["Date"], row["Close"]) for row in csv.DictReader(stream)]
        rows = [(_iso(day), close) for day, close in rows]
    else:
        with Path(path).open(encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            if not {"date", "close"} <= set(reader.fieldnames):
                raise SystemExit("the prices file needs the columns date and close")
            rows = [(date.fromisoformat(r["date"].strip()).isoformat(), r["close"]) for r in reader]
    dates = [day for day, _ in rows]
    if dates != sorted(set(dates)) or len(dates) < FEWEST:
        raise SystemExit(f"the prices need {FEWEST} days or more, each once, oldest first")
    close = np.asarray([float(value) for _, value in rows])
    if not (np.isfinite(close).all() and (close > 0).all()):
        raise SystemExit("the prices hold one that is no positive number")
    returns = np.r_[0.0, 100 * (close[1:] / close[:-1] - 1)]
    places = range(LOOKBACK, len(close) - 1)
    features = np.asarray([_features(returns, t) for t in places])
    days, losses = dates[LOOKBACK + 1 :], -returns[LOOKBACK + 1 :]
    own = path is not None
    frozen = len(days) // 4 if own else sum(day <= FROZEN for day in days)
    return Market(days, features, losses, frozen, Path(path).name if own else "S&P 500, 1999-2018")


def replay(market, *, seed=0):
    """Rows of (rule, first alarm, alarmed months of the calm years) and of facts."""
    model = xgboost.XGBRegressor(
        objective="reg:quantileerror", quantile_alpha=0.99, n_estimators=120, max_depth=2,
        learning_rate=0.05, subsample=0.8, n_jobs=1, random_state=seed,
    )  # fmt: skip
    k = market.frozen
    model.fit(market.features[:k], market.losses[:k])
    over = (market.losses[k:] > model.predict(market.features[k:])).astype(float)
    days = market.dates[k:]
    rules = {**_by_outcome(over), **_by_input(market, days)}
    calm = sum(day <= CALM_UNTIL for day in days) if days[0] >= FIRST else 0
    rows = [
        (name, days[hits[0]] if hits else "never", _months(hits, calm) if calm else "")
        for name, hits in rules.items()
    ]
    return rows, _facts(days, over, calm)


def _by_outcome(over):
    """Day numbers of alarms of the rules that look at exceedances."""
    few, many = kupiec_region()
    counts = rolling_counts(over[:, None])

    def days(hit):
        return np.flatnonzero(hit[:, 0]).tolist()

    def one(first):
        return [int(first[0])] if first[0] >= 0 else []

    return {
        "e-SR, A=2,500 (10 years, default)": one(sequential(over[:, None], 2_500, 0)),
        "e-SR, A=2,750": one(sequential(over[:, None], 2_750, 0)),
        "e-SR, A=10,000 (40 years)": one(sequential(over[:, None], 10_000, 0)),
        "e-SR, too few, A=2,500": one(sequential(over[:, None], 2_500, 0, "min")),
        "Traffic light amber (>=5)": days(counts >= 5),
        "Traffic light red (>=10)": days(counts >= 10),
        "Kupiec 250d daily, too many": days(counts >= many),
        "Kupiec 250d daily, two-sided": days((counts >= many) | ((counts >= 0) & (counts <= few))),
        "ADWIN on exceedances": river_first(over, ADWIN),
        "Page-Hinkley on exceedances": river_first(over, PAGE_HINKLEY),
    }


def _by_input(market, days):
    """Month ends whose inputs drifted from the days the model learnt from."""
    k = market.frozen
    reference, current = market.features[:k], market.features[k:]
    ends = range(MONTH, len(days) + 1, MONTH)
    distances = [Distance(reference[:, c], current[:, c]) for c in range(len(NAMES))]
    edges = [_edges(reference[:, c]) for c in range(len(NAMES))]
    held = [_count(reference[:, c], edges[c]) for c in range(len(NAMES))]
    found = {name: [] for name in (
        "Evidently dataset drift (default)", "Evidently any column", "PSI any feature >.25",
        "PSI any feature, chi2 limit",
    )}  # fmt: skip
    limit = psi_limit(len(held[0]), k, MONTH, 0.01 / len(NAMES))
    for end in ends:
        rows = np.arange(end - MONTH, end)
        drifted = [d.of(rows) >= EVIDENTLY_THRESHOLD for d in distances]
        index = [psi(held[c], _count(current[rows, c], edges[c])) for c in range(len(NAMES))]
        for name, hit in zip(
            found,
            (np.mean(drifted) >= 0.5, any(drifted), max(index) > 0.25, max(index) > limit),
            strict=True,
        ):
            found[name] += [end - 1] if hit else []
    return found


def against_evidently(market, windows=3):
    """Largest difference of our distance from Evidently's own, over a few months."""
    k = market.frozen
    reference, current = market.features[:k], market.features[k:]
    starts = [len(current) * place // (windows + 1) for place in range(1, windows + 1)]
    told = ask(
        {name: reference[:, c].tolist() for c, name in enumerate(NAMES)},
        [
            {name: current[s : s + MONTH, c].tolist() for c, name in enumerate(NAMES)}
            for s in starts
        ],
    )
    ours = [Distance(reference[:, c], current[:, c]) for c in range(len(NAMES))]
    gaps = [
        abs(answer[name] - ours[c].of(np.arange(s, s + MONTH))) / max(answer[name], 1e-9)
        for s, answer in zip(starts, told, strict=True)
        for c, name in enumerate(NAMES)
    ]
    return max(gaps), len(gaps)


def _facts(days, over, calm):
    crisis = [CRISIS[0] <= day <= CRISIS[1] for day in days]
    facts = {"days replayed": len(days), "exceedances, 1% promised": int(over.sum())}
    if any(crisis):
        span, hits = sum(crisis), int(over[np.asarray(crisis)].sum())
        facts["2007-07 to 2009-12"] = (
            f"{hits} exceedances in {span} days, {span / 100:.1f} promised"
        )
    if calm:
        facts["2004 to 2006"] = f"{int(over[:calm].sum())} exceedances in {calm} days"
    return facts


def _months(hits, calm):
    whole = calm // MONTH
    alarmed = {at // MONTH for at in hits if at < whole * MONTH}
    return f"{len(alarmed)} of {whole}"


def _features(returns, t):
    month = returns[t - 20 : t + 1]

    def spread(n):
        return float(np.sqrt(np.mean(returns[t - n + 1 : t + 1] ** 2)))

    return returns[t], month[-5:].sum(), spread(5), spread(21), spread(63), -month.min()


def _count(values, edges):
    return np.bincount(_bins(values, edges), minlength=len(edges) + 1)


def _iso(text):
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day).isoformat()


if __name__ == "__main__":
    print(json.dumps(replay(load())[0], indent=1))
