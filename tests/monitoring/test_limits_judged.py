"""Limits signed before the data: what they judge, when they alarm, when they cannot."""

from __future__ import annotations

from datetime import date

import pytest

from monitoring.correctness import evaluate
from monitoring.windows import blocks, parse_window, trailing

QUIET, BAD = "0.5", "-2.5"  # against a 99% value at risk of 2%


def model(log):
    report = evaluate(log, [log.facts()], as_of_leaf=log.size - 1)
    return report.to_json()["evaluated_models"][0]


def of(log, metric):
    return [e for e in model(log)["estimates"] if e["metric"] == metric]


def days(*bad, length=250):
    return [BAD if place in bad else QUIET for place in range(length)]


def test_without_a_limit_a_figure_is_exploratory(log):
    log.trade_days(days(1))
    [found] = of(log, "exceedances_990_250d")
    assert (found["standing"], found["value"], found["limit"]) == ("exploratory", "1", None)
    assert model(log)["standing"] == "not_yet_judgeable"
    assert model(log)["standing_reason"] == "no limit was signed for this model"


def test_a_limit_at_its_value_is_not_crossed(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(1, 2, 3, 4))
    [found] = of(log, "exceedances_990_250d")
    assert (found["standing"], found["value"]) == ("no_alarm", "4")
    assert model(log)["standing"] == "no_alarm"


def test_one_more_crosses_it(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(1, 2, 3, 4, 9))
    [found] = of(log, "exceedances_990_250d")
    assert found["standing"] == "alarm"
    assert found["limit_leaf"] == 0
    assert "first crossed at prediction" in found["reason"]
    assert model(log)["standing"] == "alarm"


def test_an_alarm_stays_when_the_newest_250_days_are_quiet(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(1, 2, 3, 4, 9, length=900))
    [found] = of(log, "exceedances_990_250d")
    assert (found["standing"], found["value"]) == ("alarm", "0")
    assert "with 5; now 0" in found["reason"]


def test_a_rolling_count_between_two_closed_blocks_is_seen(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(247, 248, 249, 250, 251, length=500))
    assert of(log, "exceedances_990_250d")[0]["standing"] == "alarm"


def test_a_limit_signed_after_the_forecasts_judges_none_of_them(log):
    log.trade_days(days(*range(20)))
    log.sign("exceedances_990_250d", "4", "max")
    [found] = of(log, "exceedances_990_250d")
    assert (found["standing"], found["value"]) == ("exploratory", "20")
    assert "judges none" in found["reason"]
    assert model(log)["standing"] == "not_yet_judgeable"


def test_a_limit_judges_only_forecasts_after_it(log):
    log.trade_days(days(*range(20), length=100))
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(), start=date(2010, 1, 1))
    [found] = of(log, "exceedances_990_250d")
    assert (found["standing"], found["value"], found["n"]) == ("no_alarm", "0", 250)


def test_a_forecast_before_the_limit_is_not_judged_though_its_outcome_comes_after(log):
    row = log.predict({"var_990_pct_q16": 1, "var_975_pct_q16": 1}, as_of="2007-01-01")
    log.sign("exceedances_990_250d", "0", "max")
    log.happen(row, "-9")
    log.trade_days(days(), start=date(2010, 1, 1))
    assert of(log, "exceedances_990_250d")[0]["standing"] == "no_alarm"


def test_signing_anew_neither_hides_an_alarm_nor_lends_the_new_limit_old_days(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days(*range(9)))
    log.sign("exceedances_990_250d", "20", "max")
    log.trade_days(days(*range(9)), start=date(2010, 1, 1))
    old, new = of(log, "exceedances_990_250d")
    assert (old["standing"], old["limit_replaced_at"]) == ("alarm", new["limit_leaf"])
    assert (new["standing"], new["n"]) == ("no_alarm", 250)
    assert model(log)["standing"] == "alarm"


def test_a_replaced_limit_does_not_judge_what_came_after_it(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days())
    log.sign("exceedances_990_250d", "20", "max")
    log.trade_days(days(*range(9)), start=date(2010, 1, 1))
    old, new = of(log, "exceedances_990_250d")
    assert (old["standing"], new["standing"]) == ("no_alarm", "no_alarm")
    assert (old["value"], new["value"]) == ("0", "9")


def test_a_count_is_of_the_newest_250_days(log):
    log.trade_days(days(1, 2, 3, 300, length=500))
    assert of(log, "exceedances_990_250d")[0]["value"] == "1"


def test_both_sides_of_one_metric_stand_side_by_side(credit_log):
    credit_log.sign("calibration_ratio", "0.8", "min")
    credit_log.sign("calibration_ratio", "1.2", "max")
    credit_log.lend([(0, place % 2) for place in range(200)])
    low, high = of(credit_log, "calibration_ratio")
    assert (low["limit_side"], high["limit_side"]) == ("min", "max")
    assert low["limit_replaced_at"] is high["limit_replaced_at"] is None
    assert (low["standing"], high["standing"]) == ("no_alarm", "no_alarm")


def test_tolerance_moves_the_bound(credit_log):
    credit_log.sign("calibration_ratio", "1.2", "max", tolerance="0.1")
    credit_log.sign("brier", "0.25", "max")
    credit_log.lend([(0, int(place % 8 < 5)) for place in range(200)])  # ratio 1.25
    assert of(credit_log, "calibration_ratio")[0]["standing"] == "no_alarm"


def test_interval_detector_waits_until_the_whole_interval_is_beyond(credit_log):
    credit_log.sign("calibration_ratio", "1.2", "max", detector="interval")
    credit_log.sign("calibration_ratio", "1.2", "max")
    credit_log.lend([(0, int(place % 8 < 5)) for place in range(200)])
    whole, point = of(credit_log, "calibration_ratio")
    assert (whole["standing"], point["standing"]) == ("no_alarm", "alarm")


def test_a_windowed_limit_judges_closed_blocks(credit_log):
    credit_log.sign("calibration_ratio", "1.5", "max", window="100")
    people = [(0, place % 2) for place in range(100)] + [(0, 1)] * 95 + [(0, 0)] * 5
    credit_log.lend(people + [(0, 1)] * 99)  # the last block is not closed
    [found] = of(credit_log, "calibration_ratio")
    assert (found["standing"], found["value"], found["n"]) == ("alarm", "1.900000", 100)


def test_no_closed_block_is_not_yet_judgeable(credit_log):
    credit_log.sign("calibration_ratio", "1.5", "max", window="500d")
    credit_log.lend([(0, place % 2) for place in range(499)])
    [found] = of(credit_log, "calibration_ratio")
    assert found["standing"] == "not_yet_judgeable"
    assert "499 labelled" in found["reason"]


def test_too_few_labels_for_the_limit(credit_log):
    credit_log.sign("auc", "0.7", "min", minimum_labels=1000)
    credit_log.lend([(place, place % 2) for place in range(999)])
    [found] = of(credit_log, "auc")
    assert found["standing"] == "not_yet_judgeable"
    assert found["reason"] == "999 matured labels; the limit asks for 1000"
    assert found["value"] is not None


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ([(0, place % 2) for place in range(29)], "29 matured labels; needs 30"),
        ([(0, int(place < 4)) for place in range(60)], "4 defaults among 60 labels"),
        ([(0, 1)] * 60, "60 defaults among 60 labels"),
        ([(0, None)] * 60, "0 matured labels"),
    ],
)
def test_too_few_labels_for_the_metric(credit_log, people, why):
    credit_log.sign("auc", "0.7", "min")
    credit_log.lend(people)
    [found] = of(credit_log, "auc")
    assert (found["standing"], found["value"]) == ("not_yet_judgeable", None)
    assert why in found["reason"]


def test_with_most_labels_missing_no_limit_is_judged(credit_log):
    credit_log.sign("auc", "0.99", "min")
    credit_log.lend([(place, place % 2 if place % 3 == 0 else None) for place in range(301)])
    [found] = of(credit_log, "auc")
    assert found["standing"] == "not_yet_judgeable"
    assert found["reason"] == "101 of 301 matured forecasts are labelled"


@pytest.mark.parametrize(
    "terms",
    [
        {"limit": "NaN"},
        {"limit": "Infinity"},
        {"limit": "four"},
        {"tolerance": "-1"},
        {"side": "both"},
        {"detector": "e-magic"},
        {"window": "250 d"},
        {"window": "0"},
        {"window": ""},
    ],
)
def test_a_limit_nobody_can_apply_never_passes_for_one_that_was_kept(log, terms):
    log.sign(**{"metric": "exceedances_990_250d", "limit": "4", "side": "max", **terms})
    log.trade_days(days(*range(30)))
    [found] = of(log, "exceedances_990_250d")
    assert found["standing"] == "not_yet_judgeable"
    assert model(log)["standing"] == "not_yet_judgeable"


def test_a_limit_on_a_metric_the_model_does_not_have_is_shown(log):
    log.sign("auc", "0.7", "min")
    log.trade_days(days())
    [found] = of(log, "auc")
    assert found["standing"] == "not_yet_judgeable"
    assert "no metric of this name" in found["reason"]


def test_one_judged_limit_does_not_hide_one_that_is_not(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.sign("exceedances_990_kupiec_p", "0.05", "min", minimum_labels=9999)
    log.trade_days(days(1, 2))
    found = model(log)
    assert found["standing"] == "no_alarm"
    assert "not judged: exceedances_990_kupiec_p" in found["standing_reason"]


def test_kupiec_alarms_on_too_few_as_on_too_many(log):
    log.sign("exceedances_990_kupiec_p", "0.05", "min")
    log.trade_days(days())
    [found] = of(log, "exceedances_990_kupiec_p")
    assert (found["standing"], found["value"]) == ("alarm", "0.024982")


def test_a_threshold_promises_no_run_length(log):
    log.sign("exceedances_990_250d", "4", "max")
    log.trade_days(days())
    assert of(log, "exceedances_990_250d")[0]["guarantee"].startswith("none")


@pytest.mark.parametrize(("text", "size"), [("all", None), ("250", 250), ("250d", 250), ("1", 1)])
def test_windows_that_are_understood(text, size):
    assert parse_window(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "250D", "250days", "1e3", "٢٥٠", "12345678", "ALL"]
)
def test_windows_that_are_refused(text):
    with pytest.raises(ValueError, match="neither"):
        parse_window(text)


def test_closed_windows_do_not_move_when_rows_arrive():
    before, after = list(range(10)), list(range(14))
    assert list(blocks(before, 4)) == list(blocks(after, 4))[:2]
    assert list(trailing(after, 4, 3))[:3] == list(trailing(before, 4, 3))
    assert list(trailing(before, 11, 1)) == []
