"""The report: its bytes, its words, its shape."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitoring.correctness import evaluate
from monitoring.errors import MonitoringError, SourceOrderError

ROOT = Path(__file__).parents[2]
ESTIMATE_KEYS = {
    "metric", "title", "meaning", "value", "low", "high", "interval", "n", "unit", "limit",
    "limit_leaf", "limit_side", "standing", "reason", "history",
}  # fmt: skip
BANNED = ("valid", "accurate", "proven correct", "no drift", "safe", "verified", "certified")


def report(log, *, leaf=None):
    return evaluate(log, [log.facts()], as_of_leaf=log.size - 1 if leaf is None else leaf)


def trade(log, rng, days=700):
    log.sign("exceedances_990_250d", "9", "max", minimum_labels=250)
    log.sign("exceedances_990_kupiec_p", "0.05", "min")
    log.trade_days([f"{rng.gauss(0, 1.2):.4f}" for _ in range(days)])
    return log


def lend(log, rng, people=700):
    log.sign("auc", "0.6", "min")
    margins = [rng.randrange(-200_000, 50_000) for _ in range(people)]
    log.lend([(m, int(rng.random() < 0.3 + m / 10**6)) for m in margins])
    return log


def signal(log, rng, days=200):
    log.sign("hit_rate", "0.4", "min")
    for place in range(days):
        row = log.predict({"margin_q16": 1}, decision=rng.choice(["long", "flat"]))
        log.happen(row, f"{rng.gauss(0, 1):.4f}", observed_at=f"2027-01-{1 + place % 28:02d}")
    return log


@pytest.fixture(params=["value_at_risk", "credit", "signal"])
def story(request, log, credit_log, signal_log):
    rng = random.Random(3)
    make = {
        "value_at_risk": lambda: trade(log, rng),
        "credit": lambda: lend(credit_log, rng),
        "signal": lambda: signal(signal_log, rng),
    }
    return make[request.param]()


def walk(value, path=""):
    yield path, value
    if isinstance(value, dict):
        for key, held in value.items():
            yield from walk(held, f"{path}.{key}")
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield from walk(held, f"{path}[{place}]")


def test_bytes_are_canonical_json(story):
    made = report(story)
    assert made.to_bytes() == rfc8785.dumps(made.to_json())


def test_bytes_are_the_same_again(story):
    assert report(story).to_bytes() == report(story).to_bytes()


def test_bytes_do_not_depend_on_the_process(tmp_path):
    """Another hash seed, another locale, another time zone."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from conftest import Log\n"
        "from monitoring.correctness import evaluate\n"
        "log = Log(); log.sign('exceedances_990_250d', '9', 'max')\n"
        "log.trade_days([str((n * 7919 % 700 - 350) / 100) for n in range(400)])\n"
        "sys.stdout.buffer.write(evaluate(log, [log.facts()], as_of_leaf=log.size - 1).to_bytes())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent)],
            env={"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Dubai"))
    ]
    assert said[0] == said[1] != b""


def test_no_number_is_a_float(story):
    assert [path for path, value in walk(report(story).to_json()) if isinstance(value, float)] == []


def test_shape_is_the_one_the_pages_read(story):
    made = report(story).to_json()
    assert set(made) == {"correctness_schema", "does_not_say", "evaluated_models", "libraries"}
    [model] = made["evaluated_models"]
    assert set(model) == {
        "model_digest", "model_name", "kind", "standing", "standing_reason", "label_maturity",
        "estimates", "tables", "window",
    }  # fmt: skip
    assert set(model["label_maturity"]) == {
        "predictions", "matured", "labelled", "unlabelled_share",
    }  # fmt: skip
    assert set(model["window"]) == {
        "first_prediction", "last_prediction", "as_of_leaf", "rows_digest",
    }  # fmt: skip
    for estimate in model["estimates"]:
        assert set(estimate) >= ESTIMATE_KEYS
        for point in estimate["history"]:
            assert set(point) == {"window", "value", "low", "high", "n"}
    for table in model["tables"]:
        assert {len(row) for row in table["rows"]} <= {len(table["columns"])}
        assert all(isinstance(cell, str) for row in table["rows"] for cell in row)


def test_it_says_in_words_what_it_does_not_say(story):
    told = report(story).to_json()["does_not_say"]
    assert "who computed" in told
    assert "not that the model is right" in told


def test_no_field_is_about_signatures_or_proofs(story):
    """Honesty and correctness share no field: a limit was signed before, in words, and that is all."""
    about = re.compile(r"sign(ed|ature|er)|proof|prove|merkle|root|receipt|checkpoint|verdict|honest|witness|tamper|hash|key")  # fmt: skip
    named = set()
    for path, _ in walk(report(story).to_json()):
        named.update(part for part in re.split(r"[.\[\]0-9]+", path) if part)
    assert {name for name in named if about.search(name)} == set()
    assert {name for name in named if "digest" in name} <= {
        "model_digest", "rows_digest", "progress_digest",
    }  # fmt: skip


def test_every_figure_has_a_count_and_an_interval_or_says_why_not(story):
    for estimate in report(story).to_json()["evaluated_models"][0]["estimates"]:
        assert estimate["n"] > 0
        assert estimate["meaning"]
        assert estimate["interval"]
        if estimate["value"] is None:
            assert estimate["standing"] == "not_yet_judgeable"
        elif estimate["low"] is None:
            assert estimate["interval"].startswith("none")
        else:
            low, value, high = (float(estimate[k]) for k in ("low", "value", "high"))
            assert low <= value <= high


def test_words_that_promise_too_much_are_absent(story):
    text = report(story).to_bytes().decode().lower()
    for word in BANNED:
        assert not re.search(rf"\b{word}\b", text), word


def test_history_of_an_earlier_report_is_a_prefix_of_the_later_one(story):
    later = report(story).to_json()["evaluated_models"][0]
    leaf = story.size * 3 // 4 if story.kind != "credit" else story.size - 100
    before = evaluate(story.up_to(leaf), [story.facts()], as_of_leaf=leaf)
    for old, new in zip(
        before.to_json()["evaluated_models"][0]["estimates"], later["estimates"], strict=True
    ):
        assert new["history"][: len(old["history"])] == old["history"]


def test_a_changed_outcome_changes_the_digest_of_rows(log):
    log.trade_days(["0.1"] * 5)
    before = report(log).to_json()["evaluated_models"][0]["window"]["rows_digest"]
    log.held_outcomes[2] = replace(log.held_outcomes[2], value="0.2")
    after = report(log).to_json()["evaluated_models"][0]["window"]["rows_digest"]
    assert before != after


def test_last_quarters_report_can_be_made_again(log):
    rng = random.Random(4)
    trade(log, rng, 300)
    leaf = log.size - 1
    told = report(log).to_bytes()
    log.happen(log.held_predictions[0], "-99", revises=log.held_outcomes[0].leaf_index)
    log.trade_days(["-50"] * 10, start=date(2015, 1, 1))
    assert report(log).to_bytes() != told
    assert report(log.up_to(leaf), leaf=leaf).to_bytes() == told


def test_a_source_beyond_the_leaf_asked_for_is_refused(log):
    log.trade_days(["0.1"] * 5)
    with pytest.raises(SourceOrderError, match="range ending at leaf 3"):
        report(log, leaf=3)


def test_a_source_out_of_ledger_order_is_refused(log):
    log.trade_days(["0.1"] * 5)
    log.held_predictions.reverse()
    with pytest.raises(MonitoringError, match="came after"):
        report(log)


def test_a_kind_without_metrics_stops_no_other_report(log):
    log.kind = "oracle"
    log.sign("insight", "1", "min")
    log.trade_days(["0.1"] * 5)
    [model] = report(log).to_json()["evaluated_models"]
    assert model["standing"] == "not_yet_judgeable"
    assert model["standing_reason"] == "no metrics are written for a model of kind oracle"
    assert model["estimates"][0]["metric"] == "insight"


def test_an_empty_log_is_reported_as_such(log):
    [model] = evaluate(log, [log.facts()], as_of_leaf=0).to_json()["evaluated_models"]
    assert model["label_maturity"] == {
        "predictions": 0,
        "matured": 0,
        "labelled": 0,
        "unlabelled_share": None,
    }
    assert {e["standing"] for e in model["estimates"]} == {"not_yet_judgeable"}


def test_models_come_in_order_of_name_and_digest(log):
    facts = [replace(log.facts(), model_name=name) for name in ("zeta", "alpha")]
    made = evaluate(log, facts, as_of_leaf=0).to_json()["evaluated_models"]
    assert [model["model_name"] for model in made] == ["alpha", "zeta"]


def test_rows_of_another_kind_are_counted_and_left_out(log):
    log.kind = "credit"
    log.lend([(0, place % 2) for place in range(40)])
    log.happen(log.predict({"margin_q16": 0}, decision="approve"), "0.5")
    log.happen(log.predict({"something_else": 0}, decision="approve"), "1")
    [model] = report(log).to_json()["evaluated_models"]
    assert next(e for e in model["estimates"] if e["metric"] == "brier")["n"] == 40
    labels = next(t for t in model["tables"] if t["title"] == "Labels")
    assert ["Left out: output or outcome not of this kind", "2"] in labels["rows"]


def test_a_replay_is_named_in_the_caveats(log):
    log.trade_days(["0.1"] * 120)
    [model] = report(log).to_json()["evaluated_models"]
    caveats = next(t for t in model["tables"] if t["title"] == "To keep in mind")
    assert any("120 of 120" in row[0] and "replay" in row[0] for row in caveats["rows"])


def test_unlabelled_customers_bound_the_default_rate(log):
    log.kind = "credit"
    log.lend([(0, 1)] * 30 + [(0, None)] * 20 + [(0, 0)] * 50)
    [model] = report(log).to_json()["evaluated_models"]
    bounds = next(t for t in model["tables"] if t["title"].startswith("Default rate"))
    assert [row[1] for row in bounds["rows"]] == ["0.3000", "0.3750", "0.5000"]
    assert model["label_maturity"]["unlabelled_share"] == "0.200000"


def test_flat_is_right_when_the_market_did_not_rise(signal_log):
    for decision, value in [("long", "1"), ("long", "0"), ("flat", "0"), ("flat", "-1")] * 10:
        row = signal_log.predict({"margin_q16": 1}, decision=decision)
        signal_log.happen(row, value, observed_at="2027-01-01")
    [model] = report(signal_log).to_json()["evaluated_models"]
    hit = next(e for e in model["estimates"] if e["metric"] == "hit_rate")
    assert (hit["value"], hit["n"]) == ("0.750000", 40)


@hypothesis_settings(max_examples=20)
@given(
    values=st.lists(st.sampled_from(["-3", "-1.7", "0", "1", "bad"]), max_size=300),
    limit=st.integers(0, 9),
)
def test_any_outcomes_give_a_report_that_is_canonical(new_log, values, limit):
    log = new_log()
    log.sign("exceedances_990_250d", str(limit), "max")
    log.trade_days(values)
    made = report(log)
    assert json.loads(made.to_bytes()) == made.to_json()
    assert made.to_bytes() == rfc8785.dumps(made.to_json())


def test_figures_need_numpy_and_the_standard_library_only():
    script = (
        "import sys, monitoring.correctness\n"
        "heavy = {'pandas', 'scipy', 'sklearn', 'evidently', 'cryptography', 'flask'}\n"
        "ours = {'service', 'ledger', 'models', 'dashboards'}\n"
        "print(sorted((heavy | ours) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
