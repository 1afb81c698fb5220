"""A forest records a probability and is judged by the log-odds of it; a row and a column agree."""

import math

import numpy as np
import pytest

from houses import DESK, make_house, reporter
from service import lifecycle
from service.correctness import correctness_report
from service.intake import Submission, submit
from service.judged import SCALE, judged_columns, judged_row
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from userfiles import CARD, NAMES, csv_bytes, skops_bytes, table

ROWS = 80


def test_a_row_and_a_column_agree_and_never_leave_the_numbers():
    shares = np.asarray([-5, 0, 1, 7, 32768, 65535, 65536, 70000], np.int64)
    column = judged_columns({"probability_q16": shares})["margin_q16"]
    rows = [judged_row({"probability_q16": int(share)})["margin_q16"] for share in shares]
    assert column.tolist() == rows
    assert rows[4] == 0
    assert rows[3] == round(math.log(7 / (SCALE - 7)) * SCALE)
    assert rows[:3] == [rows[2]] * 3


def test_what_has_a_margin_keeps_it():
    given = {"margin_q16": 3, "probability_q16": 9}
    assert judged_row(given) == given
    assert judged_row({"var_990_pct_q16": 1}) == {"var_990_pct_q16": 1}


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_a_published_forest_is_judged_like_any_other(tmp_path, name):
    house = make_house(tmp_path / "house", models=())
    (tmp_path / "model.skops").write_bytes(skops_bytes(name))
    (tmp_path / "train.csv").write_bytes(csv_bytes())
    (tmp_path / "card.md").write_text(CARD)
    files = (tmp_path / "model.skops", tmp_path / "card.md", tmp_path / "train.csv")
    digest = submit(house, Submission(*files, "dana", target="default")).digest
    lifecycle.approve(house, digest=digest, reason="a test", actor_id="anna")
    lifecycle.promote(house, digest=digest, alias="champion", reason="a test", actor_id="anna")
    inputs, labels = table()
    rows = [dict(zip(NAMES, map(float, row), strict=True)) for row in inputs[:ROWS]]
    leaf = predict(house, Ask(model=digest, rows=rows, caller=DESK)).index
    observed = [
        Observed(f"{leaf}.{at}", str(int(labels[at])), house.now(), None, None)
        for at in range(ROWS)
    ]
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)
    report = correctness_report(house).to_json()
    house.engine.dispose()
    (found,) = report["evaluated_models"]
    auc = next(e for e in found["estimates"] if e["metric"] == "auc")
    assert auc["n"] == ROWS
    assert float(auc["value"]) > 0.8
