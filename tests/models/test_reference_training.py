"""The reference models: real data, the same digest twice, frozen where they say, described as they are."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.errors import DataUnavailable
from models.hub.sample import parse_sample
from models.reference import credit_default, data, market, trade_signal, value_at_risk
from models.reference.training import RECIPES, train_all
from models.runtime import load

ENVIRONMENT = "sha256:" + "0" * 64
SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.parametrize("name", RECIPES)
def test_second_training_gives_the_same_digest(name, packages):
    again = RECIPES[name](environment_digest=ENVIRONMENT)
    assert again.manifest.digest == packages[name].manifest.digest
    assert again.blobs == packages[name].blobs


@pytest.mark.slow
def test_training_in_a_new_process_with_two_threads_gives_the_same_digest(packages):
    """Another hash seed, other threads allowed: nothing of the process goes into the bytes."""
    code = (
        "from models.reference.training import train_all\n"
        f"for p in train_all(environment_digest={ENVIRONMENT!r}):\n"
        "    print(p.manifest.name, p.manifest.digest)\n"
    )
    environment = {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "12345", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    got = dict(line.split() for line in done.stdout.splitlines())
    assert got == {name: p.manifest.digest for name, p in packages.items()}


def test_until_freezes_the_market_models_and_leaves_credit_alone(packages):
    early = {
        p.manifest.name: p for p in train_all(environment_digest=ENVIRONMENT, until="2003-12-31")
    }
    assert early["credit-default"].manifest.digest == packages["credit-default"].manifest.digest
    for name in ("value-at-risk", "trade-signal"):
        training = early[name].manifest.training
        assert training.last == "2003-12-31"
        assert training.rows < packages[name].manifest.training.rows
        assert early[name].manifest.digest != packages[name].manifest.digest


# --- data ------------------------------------------------------------------------------------


def test_vendored_file_is_the_published_one():
    credit = data.load_credit()
    assert credit.digest == "sha256:" + data.CREDIT_SHA256
    assert len(credit.defaulted) == 30_000
    assert round(float(credit.defaulted.mean()), 4) == 0.2212


def test_vendored_file_equals_the_shared_original():
    original = SHARED / "data" / "uci_credit_default" / "taiwan_credit.csv"
    if not original.exists():
        pytest.skip(f"{original} is not on this machine")
    assert hashlib.sha256(original.read_bytes()).hexdigest() == data.CREDIT_SHA256


def test_attribution_lies_beside_the_data():
    text = (data.CREDIT_FILE.parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for needed in ("I-Cheng Yeh", "10.24432/C55S3H", "CC BY 4.0", data.CREDIT_SHA256):
        assert needed in text


def test_another_file_is_refused(tmp_path, monkeypatch):
    import lzma

    file = tmp_path / "other.csv.xz"
    file.write_bytes(lzma.compress(b"ID,X\n1,2\n"))
    monkeypatch.setattr(data, "CREDIT_FILE", file)
    with pytest.raises(DataUnavailable, match="SHA-256"):
        data.load_credit.__wrapped__()


def test_absent_market_data_names_the_extra(monkeypatch):
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataUnavailable, match=r"assay\[market\]"):
        data.load_sp500.__wrapped__()


def test_parts_are_disjoint_and_equal_accounts_stay_together():
    credit = data.load_credit()
    rows = np.concatenate(list(credit.parts.values()))
    assert sorted(rows.tolist()) == list(range(30_000))
    table = np.stack(list(credit.columns.values()), axis=1)
    seen = {}
    for name, part in credit.parts.items():
        for row in part:
            assert seen.setdefault(table[row].tobytes(), name) == name


def test_a_cut_never_falls_between_equal_accounts():
    """Seven of each kind, which no size of a part is a multiple of; the last column is the label."""
    kinds = np.arange(30_000) // 7
    parts = data._split(np.stack([kinds, np.arange(30_000) % 2], axis=1))
    for name, size in data.CREDIT_SPLIT.items():
        assert size <= len(parts[name]) < size + 7
    members = [set(kinds[part].tolist()) for part in parts.values()]
    assert sum(map(len, members)) == len(set().union(*members))


def test_equal_accounts_exist():
    """Otherwise the test above says nothing."""
    table = np.stack(list(data.load_credit().columns.values()), axis=1)
    assert len(np.unique(table, axis=0)) < 30_000


def test_model_reads_nothing_personal():
    assert not {"sex", "marriage", "age", "education"} & set(credit_default.FEATURES)


def test_market_series_is_the_one_described():
    series = data.load_sp500()
    assert (series.dates[0], series.dates[-1], len(series.dates)) == (
        "1999-01-04",
        "2018-12-31",
        5031,
    )


def test_features_do_not_look_ahead():
    """Whatever happens after the close of the day, its features stay."""
    series = data.load_sp500()
    at = series.dates.index("2008-09-12")
    (day,) = market.days(series, series.dates[at + 1], series.dates[at + 1])
    close, high, low = (column.copy() for column in (series.close, series.high, series.low))
    for column in (close, high, low):
        column[at + 1 :] *= 0.5
    changed = data.MarketData(series.dates, close, high, low, series.digest)
    (other,) = market.days(changed, series.dates[at + 1], series.dates[at + 1])
    assert day.as_of == "2008-09-12" == other.as_of
    assert day.features == other.features
    assert day.return_pct != other.return_pct


def test_historical_quantiles_are_the_third_and_seventh_largest_losses():
    series = data.load_sp500()
    at = series.dates.index("2008-09-12")
    (day,) = market.days(series, series.dates[at + 1], series.dates[at + 1])
    losses = sorted(-market.returns_pct(series)[at - 249 : at + 1])
    assert day.features["hs_990_250d_pct"] == round(losses[-3], 6)
    assert day.features["hs_975_250d_pct"] == round(losses[-7], 6)


# --- what the manifests say ------------------------------------------------------------------


def test_rounding_is_small_and_reported(packages):
    for name in ("credit-default", "value-at-risk", "trade-signal"):
        for facts in packages[name].manifest.rounding.values():
            assert float(facts["largest_change"]) < 3e-4
            assert facts["grid_bits"] == "16"
    for name in ("credit-default", "trade-signal"):
        (facts,) = packages[name].manifest.rounding.values()
        assert abs(float(facts["auc_after"]) - float(facts["auc_before"])) < 1e-5
        assert int(facts["decisions_changed"]) <= 1


def test_credit_figures_are_those_of_the_served_model(packages, credit, replay_matrix):
    from models.reference.drafting import auc

    told = packages["credit-default"].manifest.training.held_out
    labels = data.load_credit().defaulted[data.load_credit().parts["replay"]]
    margins = np.asarray([output.values["margin_q16"] for output in credit.run(replay_matrix)])
    assert told["auc"] == f"{auc(margins, labels):.4f}"
    assert 0.76 < float(told["auc"]) < 0.80
    assert told["rows"] == str(len(labels))


def test_auc_equals_scikit_learn():
    from sklearn.metrics import roc_auc_score

    from models.reference.drafting import auc

    random = np.random.default_rng(5)
    score, label = random.integers(0, 20, 500), random.integers(0, 2, 500)
    assert auc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def exceedances(predictor, names, first, last):
    days = list(market.days(data.load_sp500(), first, last))
    outputs = predictor.run(market.matrix(days, names))
    over = sum(
        -day.return_pct > output.values["var_990_pct_q16"] / 65536
        for day, output in zip(days, outputs, strict=True)
    )
    return over, len(days)


def test_frozen_model_is_plainly_wrong_in_the_crisis_and_was_not_before(predictors):
    model, names = predictors["value-at-risk"], value_at_risk.FEATURES
    before, days_before = exceedances(model, names, "2004-01-01", "2006-12-31")
    during, days_during = exceedances(model, names, "2007-01-01", "2009-12-31")
    assert before / days_before < 0.015
    assert during / days_during > 0.04


def test_baseline_passes_the_callers_quantiles_on(predictors):
    model = predictors["value-at-risk-baseline"]
    row = {"hs_990_250d_pct": 3.25, "hs_975_250d_pct": 2.5}
    (output,) = model.run(np.asarray([model.encode(row)], np.float32))
    assert output.values == {"var_990_pct_q16": 3.25 * 65536, "var_975_pct_q16": 2.5 * 65536}


def test_folded_signal_repeats_the_pipeline(packages, predictors):
    """The weights, unfolded again by hand, give scikit-learn's log-odds within one grid step."""
    (facts,) = packages["trade-signal"].manifest.rounding.values()
    assert float(facts["largest_change"]) < 2 / 65536
    days = list(market.days(data.load_sp500(), "2007-01-01", "2007-12-31"))
    outputs = predictors["trade-signal"].run(market.matrix(days, trade_signal.FEATURES))
    assert {output.decision for output in outputs} == {"long", "flat"}


@pytest.mark.parametrize("name", RECIPES)
def test_reference_sample_has_the_models_features(name, packages):
    manifest = packages[name].manifest
    columns = parse_sample(packages[name].blobs[manifest.training.reference_digest])
    assert set(columns) == set(manifest.feature_names)
    assert {len(values) for values in columns.values()} == {1000}


@pytest.mark.parametrize("name", RECIPES)
def test_real_rows_are_within_the_declared_bounds(name, packages, predictors):
    """Every row of the demonstration's years is accepted, and comes back the same from its patterns."""
    if name == "credit-default":
        rows = [row for _, row, _ in data.load_credit().rows("replay", credit_default.FEATURES)]
    else:
        names = predictors[name].feature_names
        rows = [day.of(names) for day in market.days(data.load_sp500(), "1999-01-01", "2018-12-31")]
    values = [predictors[name].encode(row) for row in rows]
    assert np.isfinite(np.asarray(values)).all()


@pytest.mark.parametrize("name", RECIPES)
def test_wording_claims_nothing(name, packages):
    text = json.dumps(json.loads(packages[name].manifest.to_bytes())).lower()
    for word in ("guarantee", "proven", "accurate", "unbiased"):
        assert word not in text


def test_loading_all_is_quick_enough_to_happen_at_start_up(packages):
    for package in packages.values():
        load(package.manifest, package.blobs.__getitem__)
