"""Outcomes: appended for ever, signed by another key, corrected by revisions only."""

import threading

import pytest

from houses import credit_rows, problem_of
from ledger.keys import Role
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry


def outcome(prediction_id, value="0", **more):
    return {"prediction_id": prediction_id, "value": value, "observed_at": "2026-01-01", **more}


@pytest.fixture
def predicted(api):
    """Three predicted rows of one request."""
    body = {"model": "credit-default", "rows": credit_rows(3)}
    return [
        row["prediction_id"] for row in api.trader.post("/v1/predictions", body).get_json()["rows"]
    ]


def report(api, *items, idempotency=None):
    return api.outcomes.post("/v1/outcomes", {"outcomes": list(items)}, idempotency)


def test_an_outcome_is_an_entry_of_its_own_signed_by_the_outcome_source(api, predicted):
    (answer,) = report(api, outcome(predicted[0], "1")).get_json()["outcomes"]
    receipt = Receipt.from_json(answer["receipt"])
    verify_receipt(receipt, api.house.ledger.vkey)
    body = parse_entry(receipt.entry).body
    assert body["type"] == "outcome"
    assert body["producer"] == api.house.signers[Role.OUTCOME_SOURCE].key_id
    assert body["producer"] != api.house.signers[Role.PRODUCER].key_id
    assert '"1"' not in str(body["data"]["value"])  # a commitment, not the value


def test_the_value_is_read_back_with_the_prediction(api, predicted):
    report(api, outcome(predicted[1], "1"))
    read = api.trader.get(f"/v1/predictions/{predicted[1]}").get_json()["rows"][0]
    assert read["outcome"]["value"] == "1"


def test_all_of_a_request_or_none(api, predicted):
    size = api.house.ledger.size
    refused = report(api, outcome(predicted[0]), outcome("0.0"), outcome(predicted[1]))
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "outcomes.1.prediction_id"
    assert api.house.ledger.size == size


def test_a_second_outcome_without_revises_is_a_conflict_that_names_the_leaf(api, predicted):
    (first,) = report(api, outcome(predicted[0])).get_json()["outcomes"]
    refused = report(api, outcome(predicted[0], "1"))
    assert refused.status_code == 409
    assert f"revises={first['leaf_index']}" in problem_of(refused)["detail"]


def test_a_revision_is_appended_and_the_old_one_stays(api, predicted):
    (first,) = report(api, outcome(predicted[0])).get_json()["outcomes"]
    leaf = first["leaf_index"]
    told = report(api, outcome(predicted[0], "1", revises=leaf, reason="late payment bounced"))
    assert told.status_code == 200
    entries = list(api.house.ledger.entries(type="outcome", ref=predicted[0]))
    assert [parse_entry(e.entry).data["revises"] for e in entries] == [None, leaf]


@pytest.mark.parametrize(
    ("more", "field"),
    [({"revises": 0, "reason": "a correction"}, "revises"), ({"reason": None}, "reason")],
)
def test_a_revision_of_another_entry_or_without_reason_is_refused(api, predicted, more, field):
    (first,) = report(api, outcome(predicted[0])).get_json()["outcomes"]
    refused = report(api, outcome(predicted[0], "1", **{"revises": first["leaf_index"], **more}))
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == f"outcomes.0.{field}"


@pytest.mark.parametrize("value", ["2", "-1", "0.5", "yes", "", "1e3", "٣"])
def test_a_credit_outcome_is_0_or_1(api, predicted, value):
    assert report(api, outcome(predicted[0], value)).status_code == 422


@pytest.mark.parametrize("row", ["17", "x.0", "999999.0", "-1.0", "0.0"])
def test_an_outcome_of_nothing_is_refused(api, predicted, row):
    assert report(api, outcome(row)).status_code == 422


def test_one_prediction_twice_in_a_request_is_refused(api, predicted):
    assert report(api, outcome(predicted[0]), outcome(predicted[0])).status_code == 422


def test_a_retry_with_its_key_records_nothing_twice(api, predicted):
    items = [outcome(row) for row in predicted]
    first = report(api, *items, idempotency="eod-1").get_json()
    size = api.house.ledger.size
    assert report(api, *items, idempotency="eod-1").get_json() == first
    assert api.house.ledger.size == size
    assert report(api, outcome(predicted[0], "1"), idempotency="eod-1").status_code == 409


def test_reporters_racing_on_one_prediction_record_one_first_outcome(api, predicted):
    statuses, barrier = [], threading.Barrier(6)

    def race():
        caller = type(api.outcomes)(api.app.test_client(), api.outcomes.key)
        barrier.wait()
        body = {"outcomes": [outcome(predicted[0])]}
        statuses.append(caller.post("/v1/outcomes", body).status_code)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
