"""Outcomes: appended for ever, signed by another key, corrected by revisions only."""

import threading
from datetime import timedelta

import pytest

from houses import Api, credit_rows, problem_of, signal_days
from ledger.keys import Role
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from models.reference import trade_signal
from service.api.schemas import OUTCOMES_MAX
from service.assembly import assemble
from service.clock import utc_ms


def outcome(prediction_id, value="0", **more):
    return {"prediction_id": prediction_id, "value": value, "observed_at": "2026-01-01", **more}


@pytest.fixture(scope="module")
def api(open_api):
    """One house for the whole file: each test predicts rows of its own."""
    return open_api


@pytest.fixture
def predicted(api):
    """Three predicted rows of one request."""
    return predict_three(api)


def predict_three(api):
    body = {"model": "credit-default", "rows": credit_rows(3)}
    return [
        row["prediction_id"] for row in api.trader.post("/v1/predictions", body).get_json()["rows"]
    ]


def report(api, *items, idempotency=None):
    return api.outcomes.post("/v1/outcomes", {"outcomes": list(items)}, idempotency)


def fields(refused):
    assert refused.status_code == 422, refused.get_data(as_text=True)
    return [error["field"] for error in problem_of(refused)["errors"]]


def recorded(api, row):
    return [parse_entry(e.entry) for e in api.house.ledger.entries(type="outcome", ref=row)]


# --- what is recorded --------------------------------------------------------------------------


def test_an_outcome_is_an_entry_of_its_own_signed_by_the_outcome_source(api, predicted):
    (answer,) = report(api, outcome(predicted[0], "1")).get_json()["outcomes"]
    receipt = Receipt.from_json(answer["receipt"])
    verify_receipt(receipt, api.house.ledger.vkey)
    body = parse_entry(receipt.entry).body
    assert body["type"] == "outcome"
    assert body["producer"] == api.house.signers[Role.OUTCOME_SOURCE].key_id
    assert body["producer"] != api.house.signers[Role.PRODUCER].key_id
    assert body["actor_id"] == "outcomes-person"
    assert body["parents"] == [int(predicted[0].partition(".")[0])]
    assert body["data"]["kind"] == "default_flag"


def test_the_log_holds_a_commitment_and_not_the_value(api, predicted):
    first, second = report(api, outcome(predicted[0], "1"), outcome(predicted[1], "1")).get_json()[
        "outcomes"
    ]
    values = {parse_entry(a["receipt"]["entry"].encode()).data["value"] for a in (first, second)}
    assert len(values) == 2, "equal values are salted apart"
    assert all(len(value) == 64 for value in values)


def test_the_value_is_read_back_with_the_prediction(api, predicted):
    report(api, outcome(predicted[1], "1"))
    read = api.trader.get(f"/v1/predictions/{predicted[1]}").get_json()["rows"][0]
    assert read["outcome"]["value"] == "1"
    others = api.trader.get(f"/v1/predictions/{predicted[0]}").get_json()["rows"][0]
    assert others["outcome"] is None


def test_one_commit_holds_all_of_a_request(api, predicted):
    answers = report(api, *map(outcome, predicted)).get_json()["outcomes"]
    assert [answer["prediction_id"] for answer in answers] == predicted
    leaves = [answer["leaf_index"] for answer in answers]
    assert leaves == list(range(leaves[0], leaves[0] + 3))
    assert len({answer["receipt"]["checkpoint"] for answer in answers}) == 1


def test_all_of_a_request_or_none(api, predicted):
    size = api.house.ledger.size
    refused = report(api, outcome(predicted[0]), outcome("0.0"), outcome(predicted[1]))
    assert fields(refused) == ["outcomes.1.prediction_id"]
    assert api.house.ledger.size == size


# --- revisions ---------------------------------------------------------------------------------


def test_a_second_outcome_without_revises_is_a_conflict_that_names_the_leaf(api, predicted):
    (first,) = report(api, outcome(predicted[0])).get_json()["outcomes"]
    refused = report(api, outcome(predicted[0], "1"))
    assert refused.status_code == 409
    assert f"revises={first['leaf_index']}" in problem_of(refused)["detail"]


def test_revisions_are_appended_each_naming_the_newest_and_all_stay(api, predicted):
    leaves = [None]
    for value in ("0", "1", "0"):
        more = (
            {} if leaves == [None] else {"revises": leaves[-1], "reason": "the bank corrected it"}
        )
        (told,) = report(api, outcome(predicted[0], value, **more)).get_json()["outcomes"]
        leaves.append(told["leaf_index"])
    assert [entry.data["revises"] for entry in recorded(api, predicted[0])] == leaves[:-1]
    stale = outcome(predicted[0], "1", revises=leaves[1], reason="the first one was wrong")
    assert fields(report(api, stale)) == ["outcomes.0.revises"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"revises": 0, "reason": "a correction"}, "revises"),
        ({"reason": None}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "\ud800 half a character"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_a_revision_of_another_entry_or_without_reason_is_refused(api, predicted, more, field):
    (first,) = report(api, outcome(predicted[0])).get_json()["outcomes"]
    refused = report(api, outcome(predicted[0], "1", **{"revises": first["leaf_index"], **more}))
    assert fields(refused) == [f"outcomes.0.{field}"]


def test_a_first_outcome_revises_nothing(api, predicted):
    refused = report(api, outcome(predicted[0], revises=0, reason="a correction"))
    assert fields(refused) == ["outcomes.0.revises"]


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_credit_outcome_is_0_or_1(api, predicted, value):
    assert report(api, outcome(predicted[0], value)).status_code == 200


@pytest.mark.parametrize("value", ["2", "-1", "0.5", "-0", "1.0", "01", "yes", "", "1e3", "٣"])
def test_a_credit_outcome_is_nothing_else(api, predicted, value):
    assert fields(report(api, outcome(predicted[0], value))) == ["outcomes.0.value"]


RETURNS = {
    "-4.71": True,
    "0": True,
    "-0.000000": True,
    "9999.999999999999": True,
    "10000": False,
    "1e3": False,
    "+1": False,
    "1.": False,
    ".5": False,
    "007": False,
    "NaN": False,
    "1,5": False,
    "1 ": False,
    "1\n": False,
}


@pytest.mark.parametrize("value", RETURNS)
def test_a_return_is_decimal_text_of_a_believable_size(api, value):
    (day,) = signal_days(1)
    body = {"model": "trade-signal", "features": day.of(trade_signal.FEATURES)}
    leaf = api.trader.post("/v1/predictions", body).get_json()["leaf_index"]
    answer = report(api, outcome(f"{leaf}.0", value))
    assert answer.status_code == (200 if RETURNS[value] else 422), answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "more",
    [
        {"value": 0},
        {"value": True},
        {"revises": True},
        {"revises": "5"},
        {"revises": 5.0},
        {"observed_at": 20260101},
        {"prediction_id": 12.0},
        {"certain": True},
    ],
    ids=str,
)
def test_one_type_is_never_read_as_another(api, predicted, more):
    refused = report(api, outcome(predicted[0]) | more)
    assert fields(refused) == [f"outcomes.0.{next(iter(more))}"]
    (error,) = problem_of(refused)["errors"]
    assert error["message"].startswith(("Input should be a valid", "Extra inputs"))


@pytest.mark.parametrize("row", ["{}", "{}.3", "{}.99999", "x.0", "999999.0", "-1.0", "0.0", "²"])
def test_an_outcome_of_nothing_is_refused(api, predicted, row):
    leaf = predicted[0].partition(".")[0]
    assert fields(report(api, outcome(row.format(leaf)))) == ["outcomes.0.prediction_id"]


@pytest.mark.parametrize("zeros", ["0{}", "{}0", "00{}", " {}", "{} ", "+{}"])
def test_another_spelling_of_a_row_is_no_second_row(api, predicted, zeros):
    report(api, outcome(predicted[0]))
    assert fields(report(api, outcome(zeros.format(predicted[0])))) == ["outcomes.0.prediction_id"]


def test_one_prediction_twice_in_a_request_is_refused(api, predicted):
    refused = report(api, outcome(predicted[0]), outcome(predicted[0], "1"))
    assert fields(refused) == ["outcomes.1.prediction_id"]


def test_more_than_one_commit_takes_is_refused(api, predicted):
    assert fields(report(api, *[outcome("12.0")] * (OUTCOMES_MAX + 1))) == ["outcomes"]


@pytest.mark.parametrize(("days", "status"), [(-1, 200), (0.9, 200), (2, 422), (20_000, 422)])
def test_nobody_has_observed_what_lies_in_the_future(api, predicted, days, status):
    moment = utc_ms(api.house.clock() + timedelta(days=days))
    answer = report(api, outcome(predicted[0], observed_at=moment))
    assert answer.status_code == status
    if status == 422:
        assert fields(answer) == ["outcomes.0.observed_at"]


# --- retries and races -------------------------------------------------------------------------


def test_a_retry_with_its_key_records_nothing_twice(api, predicted):
    items = [outcome(row) for row in predicted]
    first = report(api, *items, idempotency=f"eod of {predicted[0]}").get_json()
    size = api.house.ledger.size
    assert report(api, *items, idempotency=f"eod of {predicted[0]}").get_json() == first
    assert api.house.ledger.size == size


@pytest.mark.parametrize("change", ["another value", "fewer", "more"])
def test_the_same_key_with_another_body_is_a_conflict(api, predicted, change):
    report(api, outcome(predicted[0]), outcome(predicted[1]), idempotency=f"eod of {predicted[0]}")
    size = api.house.ledger.size
    items = {
        "another value": [outcome(predicted[0], "1"), outcome(predicted[1])],
        "fewer": [outcome(predicted[0])],
        "more": [outcome(row) for row in predicted],
    }[change]
    refused = report(api, *items, idempotency=f"eod of {predicted[0]}")
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == "urn:assay:problem:idempotency-conflict"
    assert api.house.ledger.size == size


@pytest.mark.parametrize("processes", [1, 2])
def test_reporters_racing_on_one_prediction_record_one_first_outcome(api, predicted, processes):
    apps = [api.app] + [Api(assemble(api.house.settings)).app for _ in range(processes - 1)]
    statuses, barrier = [], threading.Barrier(6)

    def race(app):
        caller = type(api.outcomes)(app.test_client(), api.outcomes.key)
        barrier.wait()
        body = {"outcomes": [outcome(predicted[0])]}
        statuses.append(caller.post("/v1/outcomes", body).status_code)

    threads = [threading.Thread(target=race, args=(apps[i % processes],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert len(recorded(api, predicted[0])) == 1
