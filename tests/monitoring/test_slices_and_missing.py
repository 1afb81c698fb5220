"""Where it is worst, groups side by side, missing days as exceptions, the label-free estimate."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

from monitoring.correctness import evaluate


def model(log):
    [found] = evaluate(log, [log.facts()], as_of_leaf=log.size - 1).to_json()["evaluated_models"]
    return found


def table(log, start):
    return next((t for t in model(log)["tables"] if t["title"].startswith(start)), None)


def lend(log, people):
    """(features, groups, margin, default) each; None: no outcome."""
    rows = []
    for features, groups, margin, default in people:
        made = log.predict({"margin_q16": margin}, decision="approve" if margin < 0 else "decline")
        log.held_predictions[-1] = row = replace(made, features=features, groups=groups)
        rows.append((row, default))
    for row, default in rows:
        if default is not None:
            log.happen(row, str(default))


def people(rng, count, bad_at=None):
    for _ in range(count):
        features = {name: float(rng.randrange(100)) for name in "abcdefgh"} | {"flat": 1.0}
        features["gap"] = None if rng.random() < 0.2 else 2.0
        wrong = bad_at is not None and features["c"] >= bad_at
        yield (
            features,
            {"sex": rng.choice(["1", "2"])},
            0,
            int(rng.random() < (0.9 if wrong else 0.5)),
        )


def test_the_slice_where_the_model_errs_is_named_first(credit_log):
    lend(credit_log, people(random.Random(1), 1_200, bad_at=75))
    found = table(credit_log, "Worst of")
    assert found["rows"][0][0].startswith("c: from 7")
    assert float(found["rows"][0][5]) < 0.001
    assert int(found["rows"][0][1]) > 200


def test_having_searched_many_slices_is_allowed_for(new_log):
    smallest, alone = [], []
    for seed in range(40):
        log = new_log(kind="credit")
        lend(log, people(random.Random(seed), 300))
        found = table(log, "Worst of")
        looked_at = int(found["title"].split()[2])
        smallest.append(float(found["rows"][0][5]))
        alone.append(smallest[-1] / looked_at)
    assert sum(p < 0.05 for p in smallest) <= 6  # 2 expected of 40 where nothing is wrong
    assert sum(p < 0.05 for p in alone) > 20  # unallowed, nearly every search finds something


def test_groups_stand_side_by_side_with_counts_and_without_a_verdict(credit_log):
    lend(credit_log, people(random.Random(2), 400))
    found = table(credit_log, "Groups by sex")
    assert [row[0] for row in found["rows"]] == ["1", "2"]
    assert sum(int(row[1]) for row in found["rows"]) == 400
    assert "no threshold for fairness" in found["title"]
    assert "sex" not in {row[0].split(":")[0] for row in table(credit_log, "Worst of")["rows"]}


def test_without_inputs_or_groups_there_are_no_such_tables(credit_log):
    credit_log.lend([(0, n % 2) for n in range(100)])
    assert table(credit_log, "Worst of") is None
    assert table(credit_log, "Groups") is None


def test_a_label_free_estimate_is_made_for_those_who_wait_and_says_what_it_cannot_see(credit_log):
    credit_log.horizon_days = 29
    credit_log.lend([(0, n % 2) for n in range(40)])
    for _ in range(50):
        credit_log.predict({"margin_q16": 65536}, decision="approve", predicted_at="2027-01-01T00:00:00.000Z")  # fmt: skip
    found = table(credit_log, "Label-free")
    assert "cannot see that it changed" in found["title"]
    assert [row[:2] for row in found["rows"]] == [["with a mature label", "40"], ["still waiting for one", "50"]]  # fmt: skip
    assert found["rows"][1][3] == "0.7311"  # the logistic of 1
    assert found["rows"][1][2] == "0.5000"  # all alike: nobody can be ranked


def exceptions(log):
    return next(e for e in model(log)["estimates"] if e["metric"] == "exceptions_990_250d")


def test_a_day_nobody_reported_is_an_exception(log):
    log.trade_days(["0.5"] * 300)
    assert exceptions(log)["value"] == "0"
    gone = {log.held_predictions[place].prediction_id for place in (100, 200, 250)}
    log.held_outcomes = [o for o in log.held_outcomes if o.prediction_id not in gone]
    assert exceptions(log)["value"] == "3"
    light = table(log, "Traffic light")["rows"]
    assert [(row[1], row[2], row[3]) for row in light] == [("0", "green", "1.50"), ("3", "green", "1.50")]  # fmt: skip


def test_days_older_than_250_are_no_exception_any_more(log):
    log.trade_days(["0.5"] * 400)
    gone = {log.held_predictions[place].prediction_id for place in (10, 20, 149)}
    log.held_outcomes = [o for o in log.held_outcomes if o.prediction_id not in gone]
    assert exceptions(log)["value"] == "0"


def test_missing_days_alarm_on_a_signed_limit(log):
    log.sign("exceptions_990_250d", "4", "max")
    log.trade_days(["0.5"] * 300)
    gone = {p.prediction_id for p in log.held_predictions[200:206]}
    log.held_outcomes = [o for o in log.held_outcomes if o.prediction_id not in gone]
    assert exceptions(log)["standing"] == "alarm"


def test_expected_shortfall_is_judged_when_it_is_recorded(log):
    for place in range(260):
        day = f"2007-{1 + place // 28:02d}-{1 + place % 28:02d}"
        outputs = {
            "var_990_pct_q16": 3 << 16,
            "var_975_pct_q16": 2 << 16,
            "es_975_pct_q16": 5 << 15,
        }
        log.happen(log.predict(outputs, as_of=day), "-5" if place % 40 == 0 else "0.1", observed_at="2008-01-01")  # fmt: skip
    z2 = next(e for e in model(log)["estimates"] if e["metric"] == "es_975_z2")
    hits = len(range(0, 260, 40))
    assert float(z2["value"]) == round(1 - hits * (5 / 2.5) / 260 / 0.025, 6)
    log.trade_days(["0.1"], start=date(2009, 1, 1))
    z2 = next(e for e in model(log)["estimates"] if e["metric"] == "es_975_z2")
    assert "records no es_975_pct_q16" in z2["reason"]
