"""Principal reasons: exact differences of the executed model, in a fixed order, never reversed."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reference.credit_default import FEATURES, GROUPS
from models.runtime.predictor import Predictor, recorded


@pytest.fixture(scope="module")
def reference(credit):
    spec = credit.manifest.reason_codes
    values = credit._encoder.decode(dict(zip(FEATURES, spec.reference, strict=True)))
    return np.asarray(values, np.float32)


def by_definition(credit, reference, row):
    """The slow and obvious way: run the whole model again for every group."""
    (base,) = credit.run(row[None])
    found = []
    for group in GROUPS:
        changed = row.copy()
        for name in group.features:
            changed[FEATURES.index(name)] = reference[FEATURES.index(name)]
        (other,) = credit.run(changed[None])
        found.append((group.code, base.values["margin_q16"] - other.values["margin_q16"]))
    positive = sorted((item for item in found if item[1] > 0), key=lambda i: (-i[1], i[0]))
    return positive[:4]


def test_reasons_are_what_their_definition_says(credit, reference, replay_matrix):
    rows = replay_matrix[:300]
    for row, reasons in zip(rows, credit.reasons(rows), strict=True):
        stated = [(reason.code, reason.contribution_q16) for reason in reasons]
        assert stated == by_definition(credit, reference, row)


def test_batches_of_any_size_state_the_same(credit, replay_matrix):
    rows = replay_matrix[:600]
    whole = credit.reasons(rows)
    assert [credit.reasons(row[None])[0] for row in rows[:100]] == whole[:100]
    assert credit.reasons(rows[:257]) + credit.reasons(rows[257:]) == whole


def test_ordinary_account_has_no_reasons(credit, reference):
    assert credit.reasons(reference[None]) == [()]


def test_every_declined_account_is_given_one_to_four_reasons(credit, replay_matrix):
    outputs, reasons = credit.run(replay_matrix), credit.reasons(replay_matrix)
    declined = [why for out, why in zip(outputs, reasons, strict=True) if out.decision == "decline"]
    assert len(declined) > 1000
    assert all(1 <= len(why) <= 4 for why in declined)


def test_every_code_has_a_text(credit, replay_matrix):
    texts = {item.code: item.text for item in credit.reason_texts()}
    stated = {reason.code for why in credit.reasons(replay_matrix[:2000]) for reason in why}
    assert stated == set(texts)
    assert all(len(text) > 20 for text in texts.values())


RISING = {name for name in FEATURES if name.startswith("pay_") and "amt" not in name}
FALLING = {name for name in FEATURES if name.startswith("pay_amt")} | {"limit_bal"}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 14_000), st.sampled_from(sorted(RISING | FALLING)), st.integers(1, 300_000))
def test_score_moves_only_the_way_the_reason_says(credit, replay_matrix, index, name, step):
    """Later is never better; more limit and more paid are never worse."""
    row = replay_matrix[index]
    more = row.copy()
    column = FEATURES.index(name)
    more[column] += np.float32(min(step, 3) if name in RISING else step)
    low, high = (out.values["margin_q16"] for out in credit.run(np.stack([row, more])))
    assert low <= high if name in RISING else low >= high


def test_rerun_repeats_recorded_texts(credit, replay_matrix):
    rows = replay_matrix[:50]
    texts = []
    for row in rows:
        pattern = row.astype(">f4").tobytes().hex()
        texts.append({name: pattern[8 * i : 8 * i + 8] for i, name in enumerate(FEATURES)})
    outputs, reasons = credit.run(rows), credit.reasons(rows)
    again = credit.rerun(texts)
    for executed, output, why in zip(again, outputs, reasons, strict=True):
        assert executed.refused is None
        assert executed.decision == output.decision
        assert executed.outputs == recorded(output, why)
        if why:
            codes = json.loads(executed.outputs["reason_codes"])
            assert [item["code"] for item in codes] == [reason.code for reason in why]


def test_rerun_refuses_a_bad_row_and_runs_the_others(credit):
    good = dict.fromkeys(FEATURES, "00000000")
    results = credit.rerun([good, good | {"pay_0": "7f800000"}, {}, good])
    assert [result.refused is None for result in results] == [True, False, False, True]
    assert results[1].refused == "pay_0: must be finite"
    assert results[0] == results[3]
    assert credit.rerun([]) == []


def test_decision_turns_at_the_threshold_itself(credit, replay_matrix):
    manifest, row = credit.manifest, replay_matrix[:1]
    margin = credit.run(row)[0].values["margin_q16"]
    for threshold, decision in ((margin, "decline"), (margin + 1, "approve")):
        rule = dataclasses.replace(manifest.decision, threshold_q16=threshold)
        moved = Predictor(dataclasses.replace(manifest, decision=rule), credit._engines)
        assert moved.run(row)[0].decision == decision


def test_threshold_is_the_cut_off_of_the_recipe(credit):
    assert credit.derive({"margin_q16": credit.manifest.decision.threshold_q16}) == {
        "probability_of_default": "0.3500"
    }


@pytest.mark.parametrize(
    ("name", "outputs", "shown"),
    [
        ("credit-default", {"margin_q16": 0}, {"probability_of_default": "0.5000"}),
        ("credit-default", {"margin_q16": -(2**40)}, {"probability_of_default": "0.0000"}),
        ("credit-default", {"margin_q16": 2**40}, {"probability_of_default": "1.0000"}),
        ("trade-signal", {"margin_q16": 6554}, {"probability_of_rise": "0.5250"}),
        (
            "value-at-risk",
            {"var_990_pct_q16": 163840, "var_975_pct_q16": 65536},
            {"var_990_pct": "2.5000", "var_975_pct": "1.0000"},
        ),
        ("value-at-risk", {}, {}),
    ],
)
def test_derived_figures_are_readable(predictors, name, outputs, shown):
    assert predictors[name].derive(outputs) == shown


def test_models_without_reasons_state_none(predictors):
    for name in ("trade-signal", "value-at-risk", "value-at-risk-baseline"):
        width = len(predictors[name].feature_names)
        assert predictors[name].reasons(np.zeros((2, width), np.float32)) == [(), ()]
        assert predictors[name].reason_texts() == ()


def test_models_without_a_threshold_forecast(predictors):
    row = dict.fromkeys(predictors["value-at-risk"].feature_names, 1.0)
    matrix = np.asarray([predictors["value-at-risk"].encode(row)], np.float32)
    (output,) = predictors["value-at-risk"].run(matrix)
    assert output.decision == "forecast"
    assert set(output.values) == {"var_990_pct_q16", "var_975_pct_q16"}


def test_probability_of_the_decision_is_that_of_the_margin(credit, replay_matrix):
    for output in credit.run(replay_matrix[:100]):
        margin = output.values["margin_q16"] / 65536
        shown = float(credit.derive(output.values)["probability_of_default"])
        assert abs(shown - 1 / (1 + math.exp(-margin))) < 6e-5
