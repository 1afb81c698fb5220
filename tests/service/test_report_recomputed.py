"""A recorded report comes out again, byte for byte: from the house, from an export, afterwards."""

import shutil

import pytest
from click.testing import CliRunner

from houses import credit_rows, make_house, reporter, signal_days
from ledger.record import unsigned_body
from models.reference import trade_signal
from service import correctness
from service.cli import main
from service.correctness import issue_correctness
from service.errors import Missing
from service.export_reading import as_house
from service.exporting import export_house
from service.lifecycle import LimitTerms
from service.outcomes import Observed, record_outcomes
from service.policies import sign_policy
from service.recomputing import recompute


def report_on(house, rows, value):
    observed = [
        Observed(row, value(place), house.now()[:10], None, None) for place, row in enumerate(rows)
    ]
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)


def fill(api):
    """Predictions of two models in every recorded form, outcomes, limits, two reports."""
    house = api.house
    credit = house.inventory.resolve("credit-default").digest
    for terms in (
        LimitTerms("brier", "0.05", "max", "0", "all", 30, "threshold"),
        LimitTerms(
            "calibration_ratio",
            "1.1",
            "max",
            "0",
            "all",
            30,
            "e-sr run_length=2000 maturity_days=0",
        ),
    ):
        sign_policy(house, digest=credit, terms=terms, on_alarm="alert", actor_id="risk")
    body = {"model": "credit-default", "rows": credit_rows(40)}
    rows = [r["prediction_id"] for r in api.trader.post("/v1/predictions", body).get_json()["rows"]]
    one = api.predict().get_json()["rows"][0]["prediction_id"]
    names = list(credit_rows(1)[0])
    given = credit_rows(30)
    batch = {"model": "credit-default", "columns": {n: [row[n] for row in given] for n in names}}
    answer = api.trader.post("/v1/predictions:batch", batch)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    leaf = answer.get_json()["leaf_index"]
    for day in signal_days(5):
        ask = {"model": trade_signal.NAME, "features": day.of(trade_signal.FEATURES)}
        api.trader.post("/v1/predictions", {**ask, "as_of": day.as_of})
    report_on(house, [*rows, one], lambda place: str(place % 3 // 2))
    first = issue_correctness(house, actor_id="s").index
    report_on(house, [f"{leaf}.{row}" for row in range(30)], lambda place: str(place % 2))
    return first, issue_correctness(house, actor_id="s").index


@pytest.fixture
def filled(api):
    return api.house, fill(api)


def test_every_report_comes_out_again_also_after_the_log_went_on(filled, api):
    house, leaves = filled
    for leaf in leaves:
        done = recompute(house, leaf)
        assert done.same
        digest = unsigned_body(house.ledger.entry(leaf).entry)["data"]["report_digest"]
        assert done.report == house.blobs.get(digest)
    second = api.predict().get_json()["rows"][0]["prediction_id"]
    report_on(house, [second], lambda _: "1")
    issue_correctness(house, actor_id="s")
    assert all(recompute(house, leaf).same for leaf in leaves)


def test_it_comes_out_of_an_export_without_the_house(filled, tmp_path):
    house, leaves = filled
    directory = export_house(house, tmp_path / "export")
    reader = as_house(directory)
    for leaf in leaves:
        done, mine = recompute(reader, leaf), recompute(house, leaf)
        assert done.report == mine.report
        assert done.same


def test_another_alias_later_changes_no_earlier_report(filled):
    from service.lifecycle import promote

    house, leaves = filled
    digest = house.inventory.resolve(trade_signal.NAME).digest
    promote(house, digest=digest, alias="challenger", reason="a test", actor_id="validator")
    from service.lifecycle import withdraw

    withdraw(house, digest=digest, reason="a test", actor_id="validator")
    assert all(recompute(house, leaf).same for leaf in leaves)


def test_harmed_progress_in_an_earlier_report_changes_nothing(filled, monkeypatch):
    """It is read from the first leaf: no report is trusted to check another."""
    house, (_, second) = filled
    monkeypatch.setattr(
        "service.source.LedgerSource.progress",
        lambda self, _: {} if self._afresh else pytest.fail("an earlier report was trusted"),
    )
    assert recompute(house, second).same


def test_a_report_that_was_made_up_does_not_come_out(filled, monkeypatch):
    house, _ = filled
    real = correctness.evaluate

    def lie(*args, **kwargs):
        report = real(*args, **kwargs)
        report.models[0]["standing_reason"] = "all is well"
        return report

    monkeypatch.setattr(correctness, "evaluate", lie)
    leaf = issue_correctness(house, actor_id="s").index
    monkeypatch.undo()
    assert not recompute(house, leaf).same


def test_what_is_no_correctness_report_is_missing(filled):
    house, _ = filled
    for leaf in (0, house.ledger.size + 5):
        with pytest.raises(Missing):
            recompute(house, leaf)


def test_an_erasure_since_is_named_as_the_reason(api):
    from service.erasure import Order, erase

    house = api.house
    body = {"model": "credit-default", "rows": credit_rows(40), "subject": "gone-person"}
    rows = [r["prediction_id"] for r in api.trader.post("/v1/predictions", body).get_json()["rows"]]
    report_on(house, rows, lambda place: str(place % 2))
    leaf = issue_correctness(house, actor_id="s").index
    erase(house, "gone-person", Order("asked", "the subject", "ops"))
    done = recompute(house, leaf)
    assert not done.same
    assert done.erased_since == 80  # forty rows and forty outcomes


def test_the_command_says_so_and_exits_1_when_it_does_not(tmp_path):
    from houses import Api

    house = make_house(tmp_path / "house")
    api = Api(house)
    leaves = fill(api)
    export_house(house, tmp_path / "export")
    house.engine.dispose()

    def run(*words):
        return CliRunner().invoke(main, ["report", "correctness", *words])

    there = ["--data-dir", str(tmp_path / "house")]
    done = run("--leaf", str(leaves[1]), "--recompute", *there)
    assert done.exit_code == 0, done.output
    assert "byte for byte" in done.stderr
    shutil.rmtree(tmp_path / "house")
    again = run("--leaf", str(leaves[1]), "--recompute", "--export", str(tmp_path / "export"))
    assert again.stdout == done.stdout
    assert run("--recompute").exit_code == 2
    wrong = run("--leaf", "0", "--recompute", "--export", str(tmp_path / "export"))
    assert wrong.exit_code == 1
    assert "no correctness report" in wrong.output
