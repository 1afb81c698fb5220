"""e-sr on signed limits: what is read when, cuts, closings, latching, and who is refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from monitoring.correctness import evaluate
from monitoring.credit import CREDIT
from monitoring.detectors import parse_detector
from monitoring.source import Limit
from monitoring.terms import problem_of
from monitoring.value_at_risk import VALUE_AT_RISK

QUIET, BAD = "0.5", "-2.5"  # against a 99% value at risk of 2%
START = date(2026, 1, 1)


def only(log, leaf=None):
    made = evaluate(log, [log.facts()], as_of_leaf=log.size - 1 if leaf is None else leaf)
    [model] = made.to_json()["evaluated_models"]
    return model


def watched(log, leaf=None):
    [found] = [e for e in only(log, leaf)["estimates"] if e["evidence"]]
    return found


def progress(log, leaf=None):
    return {e["limit_leaf"]: e["evidence"]["progress"] for e in only(log, leaf)["estimates"] if e["evidence"]}  # fmt: skip


def lend_daily(log, people, *, label_after=30, early=5):
    """A loan a day: a default is known after `early` days, a repayment after `label_after`."""
    due = {}
    for day, (margin, default) in enumerate(people):
        now = START + timedelta(days=day)
        for row, value in due.pop(now, []):
            log.happen(row, value, observed_at=now.isoformat())
        row = log.predict(
            {"margin_q16": margin},
            decision="approve",
            as_of=now.isoformat(),
            predicted_at=f"{now.isoformat()}T09:00:00.000Z",
        )
        known = now + timedelta(days=early if default else label_after)
        due.setdefault(known, []).append((row, str(default)))


def test_a_run_of_exceedances_alarms_with_its_evidence(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([QUIET] * 100 + [BAD] * 6 + [QUIET] * 20)
    found = watched(log)
    assert found["standing"] == "alarm"
    assert found["guarantee"].startswith("at least 2500 outcomes on average to a false alarm")
    carried = found["evidence"]["alarm"]["carried_by"]
    first = log.held_outcomes[100]
    assert carried["since_prediction"] == log.held_predictions[100].prediction_id
    assert (carried["since"], carried["first_outcome_leaf"]) == (
        first.observed_at,
        first.leaf_index,
    )
    assert carried["mean_observation"] == "1.000000"
    assert only(log)["standing"] == "alarm"


def test_quiet_days_raise_nothing(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([QUIET] * 300)
    found = watched(log)
    assert found["standing"] == "no_alarm"
    assert "of 2500 after 300 outcomes" in found["reason"]


def test_too_few_exceedances_have_a_budget_of_their_own(log):
    log.sign("exceedance_rate_990", "0.01", "min", detector="e-sr run_length=500")
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr run_length=500")
    log.trade_days([QUIET] * 1500)
    found = {e["limit_side"]: e["standing"] for e in only(log)["estimates"] if e["evidence"]}
    assert found == {"min": "alarm", "max": "no_alarm"}


def test_an_alarm_stays_until_a_person_closes_it_and_then_starts_anew(log):
    limit = log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([BAD] * 6 + [QUIET] * 200)
    assert watched(log)["standing"] == "alarm"
    log.close_alarm(limit)
    found = watched(log)
    assert (found["standing"], found["evidence"]["outcomes_read"]) == ("alarm", 206)
    # The readings up to now came before it was closed; the next report begins anew.


def test_a_closing_between_two_reports_starts_the_detector_anew(log):
    limit = log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([BAD] * 6 + [QUIET] * 50)
    log.report_here()
    assert watched(log)["standing"] == "alarm"
    log.close_alarm(limit)
    log.trade_days([QUIET] * 30, start=date(2010, 1, 1))
    found = watched(log)
    assert (found["standing"], found["evidence"]["outcomes_read"]) == ("no_alarm", 30)
    log.trade_days([BAD] * 6, start=date(2011, 1, 1))
    assert watched(log)["standing"] == "alarm"


def test_labels_enter_at_maturity_and_not_at_arrival(credit_log):
    """Half of all loans default, as promised. Read at arrival, the newest month is all defaults."""
    credit_log.sign(
        "calibration_ratio", "1.1", "max", detector="e-sr run_length=1000 maturity_days=30"
    )
    lend_daily(credit_log, [(0, day % 2) for day in range(200)])
    found = watched(credit_log)["evidence"]
    newest = max(date.fromisoformat(o.observed_at) for o in credit_log.held_outcomes)
    mature = [p for p in credit_log.held_predictions if date.fromisoformat(p.as_of) <= newest - timedelta(days=30)]  # fmt: skip
    known = {o.prediction_id for o in credit_log.held_outcomes}
    assert found["outcomes_read"] + found["passed_unlabelled"] == len(mature)
    assert found["passed_unlabelled"] == sum(p.prediction_id not in known for p in mature)
    assert found["alarm"] is None
    assert len(known) > len(mature)  # there were early defaults it did not read


def test_a_revision_never_rewinds_what_was_read(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([QUIET] * 20)
    log.report_here()
    before = progress(log)
    for row, outcome in zip(log.held_predictions[:8], list(log.held_outcomes), strict=False):
        log.happen(row, BAD, revises=outcome.leaf_index)
    [(leaf, after)] = progress(log).items()
    assert after["state"] == before[leaf]["state"]
    figure = next(e for e in only(log)["estimates"] if e["metric"] == "exceedance_rate_990")
    assert figure["standing"] == "no_alarm"


def test_an_outcome_revised_before_it_is_read_is_read_as_revised(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([BAD] * 6)
    for row, outcome in zip(log.held_predictions, list(log.held_outcomes), strict=True):
        log.happen(row, QUIET, revises=outcome.leaf_index)
    assert watched(log)["standing"] == "no_alarm"


def test_an_unlabelled_day_is_passed_and_counted_and_never_good(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    rows = [log.predict({"var_990_pct_q16": 131072, "var_975_pct_q16": 98304}, as_of=f"2007-01-{d + 1:02d}") for d in range(9)]  # fmt: skip
    for row in rows[::2]:
        log.happen(row, QUIET, observed_at="2007-02-01")
    found = watched(log)["evidence"]
    assert (found["outcomes_read"], found["passed_unlabelled"]) == (5, 4)


def test_a_forecast_dated_in_the_future_holds_nobody_up(credit_log):
    credit_log.sign("calibration_ratio", "1.1", "max", detector="e-sr maturity_days=0")
    row = credit_log.predict({"margin_q16": 0}, decision="approve", as_of="2099-01-01")
    credit_log.lend([(0, place % 2) for place in range(50)])
    found = watched(credit_log)["evidence"]
    assert (found["outcomes_read"], found["passed_unlabelled"]) == (50, 1)
    assert row.leaf_index < credit_log.held_outcomes[0].leaf_index


def test_minimum_labels_hold_an_alarm_back(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr", minimum_labels=50)
    log.trade_days([BAD] * 40)
    assert watched(log)["standing"] == "not_yet_judgeable"
    log.trade_days([QUIET] * 10, start=date(2010, 1, 1))
    assert watched(log)["standing"] == "alarm"


def test_a_new_limit_reads_only_forecasts_after_it(log):
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([BAD] * 6)
    log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr run_length=5000")
    log.trade_days([QUIET] * 10, start=date(2010, 1, 1))
    old, new = [e for e in only(log)["estimates"] if e["evidence"]]
    assert (old["standing"], new["standing"]) == ("alarm", "no_alarm")
    assert new["evidence"]["outcomes_read"] == 10


@pytest.mark.parametrize("harm", ["other", "harmed", "later", "empty"])
def test_recorded_progress_that_does_not_fit_is_read_again_from_the_log(log, harm):
    limit = log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr")
    log.trade_days([QUIET, BAD] * 30)
    told = json.loads(json.dumps(progress(log)[limit.leaf_index]))
    whole = only(log)
    if harm == "other":
        told["state"]["parameters"] = "sha256:" + "0" * 64
    elif harm == "harmed":
        told["state"]["sums"] = ["inf"] * 5
    elif harm == "later":
        told["read_to"] = 10**9
    else:
        told = {}
    log.held_progress = {limit.leaf_index: told}
    assert only(log) == whole


# --- cuts ------------------------------------------------------------------------------------


def story(kind, seed, new_log):
    """Days, reports, late and revised labels, closings, in a random but lawful order."""
    rng, log = random.Random(seed), new_log(kind=kind)
    if kind == "credit":
        limit = log.sign(
            "calibration_ratio", "1.1", "max", detector="e-sr run_length=20 maturity_days=5"
        )
        log.sign("excess_brier", "0.01", "max", detector="e-sr run_length=20 maturity_days=5")
    else:
        limit = log.sign("exceedance_rate_990", "0.01", "max", detector="e-sr run_length=30")
        log.sign("exceedance_rate_975", "0.025", "min", detector="e-sr run_length=30")
    for day in range(40):
        now = START + timedelta(days=day)
        outputs = {
            "var_990_pct_q16": 131072,
            "var_975_pct_q16": 98304,
            "margin_q16": rng.randrange(-(10**5), 10**5),
        }
        for _ in range(rng.randint(1, 3) if kind == "credit" else 1):
            log.predict(
                outputs, as_of=now.isoformat(), predicted_at=f"{now.isoformat()}T09:00:00.000Z"
            )
        for _ in range(rng.randint(0, 4)):
            row = rng.choice(log.held_predictions[-20:])
            old = [o for o in log.held_outcomes if o.prediction_id == row.prediction_id]
            value = rng.choice(["0", "1"] if kind == "credit" else [QUIET, BAD])
            log.happen(
                row,
                value,
                observed_at=(now + timedelta(days=1)).isoformat(),
                revises=old[-1].leaf_index if old else None,
            )
        if rng.random() < 0.3:
            log.report_here()
        if rng.random() < 0.1:
            log.close_alarm(limit)
    return log


@hypothesis_settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["credit", "value_at_risk"]),
    cuts=st.sets(st.integers(0, 12)),
)
def test_a_stream_cut_at_any_report_goes_on_bit_for_bit(new_log, seed, kind, cuts):
    log = story(kind, seed, new_log)
    whole = evaluate(log, [log.facts()], as_of_leaf=log.size - 1).to_bytes()
    held = {}
    for place, reading in enumerate(log.held_readings):
        if place in cuts:  # a restart: only what the report recorded is known
            part = replace(log.up_to(reading), held_progress=held)
            held = json.loads(json.dumps(progress(part, reading)), object_hook=_whole_keys)
    again = replace(log, held_progress=held)
    assert evaluate(again, [log.facts()], as_of_leaf=log.size - 1).to_bytes() == whole


def _whole_keys(value):
    return {int(k) if k.isdigit() else k: v for k, v in value.items()}


@hypothesis_settings(max_examples=10)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["credit", "value_at_risk"]))
def test_each_prediction_is_passed_once_whatever_the_reports(new_log, seed, kind):
    log = story(kind, seed, new_log)
    for held in (log.held_readings, []):
        for found in progress(replace(log, held_readings=held)).values():
            passed = sum(
                (p.leaf_index, p.row_index) <= tuple(found["passed"]) for p in log.held_predictions
            )
            assert found["unlabelled"] + found["unusable"] <= passed
            assert found["state"]["last_leaf"] <= found["passed"][0]


# --- what may be signed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("threshold", ("threshold", None, None)),
        ("e-sr", ("e-sr", None, None)),
        ("e-sr run_length=2750", ("e-sr", 2750, None)),
        ("e-sr maturity_days=0 run_length=1", ("e-sr", 1, 0)),
    ],
)
def test_detectors_that_are_understood(text, choice):
    found = parse_detector(text)
    assert (found.name, found.run_length, found.maturity_days) == choice


@pytest.mark.parametrize(
    "text",
    ["", "E-SR", "e-sr ", "e-sr  run_length=5", "e-sr run_length=0", "e-sr run_length=1.5",
     "e-sr run_length=-1", "e-sr run_length=9999999999", "e-sr run_length=5 run_length=5",
     "e-sr seed=1", "threshold run_length=5", "e-sr run_length=\u0665", "e-sr maturity_days=99999"],
)  # fmt: skip
def test_detectors_that_are_refused(text):
    with pytest.raises(ValueError, match="detector"):
        parse_detector(text)


@pytest.mark.parametrize(
    ("kind", "terms", "field", "why"),
    [
        (CREDIT, {"metric": "auc"}, "detector", "cannot watch auc; it can watch excess_brier"),
        (CREDIT, {"metric": "excess_brier"}, "detector", "names no maturity"),
        (CREDIT, {"metric": "excess_brier", "window": "250", "detector": "e-sr maturity_days=30"}, "detector", "its window is 'all'"),
        (VALUE_AT_RISK, {"limit": "1"}, "limit", "no mean can exceed 1"),
        (VALUE_AT_RISK, {"metric": "kupiec"}, "metric", "has: exceedances_990_250d"),
        (VALUE_AT_RISK, {"detector": "cusum"}, "detector", "not one of"),
        (VALUE_AT_RISK, {"window": "week"}, "window", "expected all"),
        (VALUE_AT_RISK, {"limit": "nan"}, "limit", "no finite number"),
        (VALUE_AT_RISK, {}, None, None),
        (CREDIT, {"metric": "excess_brier", "detector": "e-sr maturity_days=30"}, None, None),
    ],
)  # fmt: skip
def test_terms_that_would_judge_nothing_are_named(kind, terms, field, why):
    given_terms = {"metric": "exceedance_rate_990", "limit": "0.01", "side": "max", "tolerance": "0",
                   "window": "all", "minimum_labels": 0, "detector": "e-sr"}  # fmt: skip
    found = problem_of(kind, Limit(0, **{**given_terms, **terms}))
    if field is None:
        assert found is None
    else:
        assert found[0] == field
        assert why in found[1]


def test_a_limit_nobody_can_follow_is_shown_with_its_reason(credit_log):
    credit_log.sign("excess_brier", "0.01", "max", detector="e-sr")
    credit_log.lend([(0, place % 2) for place in range(50)])
    found = next(e for e in only(credit_log)["estimates"] if e["metric"] == "excess_brier")
    assert found["standing"] == "not_yet_judgeable"
    assert "names no maturity" in found["reason"]
    assert found["value"] is not None
