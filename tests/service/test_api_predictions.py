"""POST a prediction, get it back with its receipt, and every way it can be refused."""

import json

import pytest

from houses import Api, credit_rows, make_house, problem_of, signal_days
from ledger.keys import Role
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry


def test_an_answer_carries_a_receipt_that_verifies(api):
    answer = api.predict().get_json()
    receipt = Receipt.from_json(answer["receipt"])
    verify_receipt(receipt, api.house.ledger.vkey)
    body = parse_entry(receipt.entry).body
    assert body["type"] == "prediction"
    assert body["actor_id"] == "trader-person"
    assert body["producer"] == api.house.signers[Role.PRODUCER].key_id
    assert body["data"]["model_digest"] == answer["model"]["model_digest"]


def test_the_log_holds_commitments_and_never_inputs(api):
    row = credit_rows(1)[0]
    answer = api.predict(row, caller_reference="loan 4711 of Ms Example").get_json()
    entry = json.loads(answer["receipt"]["entry"])
    assert set(entry["body"]["data"]["row"]["inputs"]) == set(row)
    assert all(len(c) == 64 for c in entry["body"]["data"]["row"]["inputs"].values())
    assert "Ms Example" not in answer["receipt"]["entry"]


def test_credit_states_up_to_four_reasons_for_a_decline(api):
    declined = [
        row
        for batch in [
            api.trader.post(
                "/v1/predictions", {"model": "credit-default", "rows": credit_rows(60)}
            ).get_json()
        ]
        for row in batch["rows"]
        if row["decision"] == "decline"
    ]
    assert declined
    for row in declined:
        assert 1 <= len(row["reasons"]) <= 4
        pushes = [reason["contribution_q16"] for reason in row["reasons"]]
        assert pushes == sorted(pushes, reverse=True)
        assert all(push > 0 for push in pushes)
        assert all(reason["text"] and reason["code"] for reason in row["reasons"])


def test_many_rows_are_one_entry_and_each_row_has_a_path(api):
    from ledger.merkle import leaf_hash, verify_inclusion

    answer = api.trader.post(
        "/v1/predictions", {"model": "credit-default", "rows": credit_rows(5)}
    ).get_json()
    entry = json.loads(answer["receipt"]["entry"])["body"]["data"]
    assert entry["row_count"] == 5
    for proof in answer["row_proofs"]:
        verify_inclusion(
            leaf_hash(proof["row"].encode()),
            proof["row_index"],
            size=proof["row_count"],
            path=[bytes.fromhex(node) for node in proof["path"]],
            root=bytes.fromhex(entry["rows_root"]),
        )
    assert [row["prediction_id"] for row in answer["rows"]] == [
        f"{answer['leaf_index']}.{i}" for i in range(5)
    ]


def test_one_row_and_many_rows_give_the_same_integers(api):
    rows = credit_rows(8)
    many = api.trader.post("/v1/predictions", {"model": "credit-default", "rows": rows}).get_json()
    single = [api.predict(row).get_json()["rows"][0] for row in rows]
    for one, among in zip(single, many["rows"], strict=True):
        assert one["outputs"] == among["outputs"]
        assert one["reasons"] == among["reasons"]


def test_a_model_answers_by_name_alias_and_digest_alike(api):
    digest = api.predict().get_json()["model"]["model_digest"]
    row = credit_rows(1)[0]
    outputs = [
        api.trader.post("/v1/predictions", {"model": ref, "features": row}).get_json()["rows"][0][
            "outputs"
        ]
        for ref in ("credit-default", "credit-default@champion", digest)
    ]
    assert outputs[0] == outputs[1] == outputs[2]


def test_the_same_key_and_body_give_the_same_answer_and_record_once(api):
    first = api.predict(idempotency="order-1")
    size = api.house.ledger.size
    again = api.predict(idempotency="order-1")
    assert again.get_json() == first.get_json()
    assert api.house.ledger.size == size


def test_the_same_key_with_another_body_is_refused(api):
    api.predict(idempotency="order-1")
    refused = api.predict(credit_rows(2)[1], idempotency="order-1")
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == "urn:assay:problem:idempotency-conflict"


def test_two_callers_may_use_the_same_key(api):
    from service.auth import Scope

    other = type(api.trader)(
        api.app.test_client(), api.house.callers.issue("another", [Scope.TRADER])
    )
    body = {"model": "credit-default", "features": credit_rows(1)[0]}
    first = api.trader.post("/v1/predictions", body, "k").get_json()
    second = other.post("/v1/predictions", body, "k").get_json()
    assert first["leaf_index"] != second["leaf_index"]


def test_a_prediction_is_read_back_as_it_was_answered(api):
    answer = api.predict().get_json()
    read = api.trader.get(f"/v1/predictions/{answer['leaf_index']}").get_json()
    assert read["rows"] == answer["rows"]
    assert read["receipt"]["entry"] == answer["receipt"]["entry"]


def test_only_the_auditor_sees_inputs(api):
    row = credit_rows(1)[0]
    leaf = api.predict(row).get_json()["leaf_index"]
    shown = {
        scope: getattr(api, scope).get(f"/v1/predictions/{leaf}").get_json()["rows"][0]["inputs"]
        for scope in ("trader", "risk", "auditor")
    }
    assert shown["trader"] is None
    assert shown["risk"] is None
    assert {name: float(value) for name, value in shown["auditor"].items()} == row


def test_a_receipt_fetched_later_verifies_under_the_newer_checkpoint(api):
    leaf = api.predict().get_json()["leaf_index"]
    api.predict()
    receipt = api.trader.get(f"/v1/predictions/{leaf}/receipt").get_json()
    read = Receipt.from_json(receipt)
    verify_receipt(read, api.house.ledger.vkey)
    assert read.tree_size == api.house.ledger.size


def evil_bodies():
    row = {"limit_bal": 1}
    return {
        "neither form": ({"model": "credit-default"}, "body"),
        "both forms": ({"model": "credit-default", "features": row, "rows": [row]}, "body"),
        "no rows": ({"model": "credit-default", "rows": []}, "rows"),
        "unknown field": ({"model": "credit-default", "features": row, "fast": True}, "fast"),
        "text as feature": (
            {"model": "credit-default", "features": {"limit_bal": "x"}},
            "features",
        ),
        "missing features": ({"model": "credit-default", "features": row}, "features."),
        "model not text": ({"model": 7, "features": row}, "model"),
        "as_of without zone": (
            {"model": "credit-default", "features": row, "as_of": "2008-09-15T10:00:00"},
            "as_of",
        ),
        "subject with spaces": (
            {"model": "credit-default", "features": row, "subject": "Ms Example"},
            "subject",
        ),
        "long reference": (
            {"model": "credit-default", "features": row, "caller_reference": "x" * 201},
            "caller_reference",
        ),
    }


@pytest.mark.parametrize("case", evil_bodies())
def test_a_bad_body_is_a_problem_that_names_the_field_and_records_nothing(api, case):
    body, field = evil_bodies()[case]
    size = api.house.ledger.size
    refused = api.trader.post("/v1/predictions", body)
    told = problem_of(refused)
    assert refused.status_code == 422
    assert any(error["field"].startswith(field) for error in told["errors"]), told
    assert api.house.ledger.size == size


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"model":"a","model":"b"}', "application/json", 400),
        (b'{"model":"credit-default","features":{"limit_bal":NaN}}', "application/json", 400),
        (b'{"model":"credit-default","features":{"limit_bal":1e999}}', "application/json", 422),
        (b"[1]", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"model=credit", "application/x-www-form-urlencoded", 415),
        (b"x" * 2048, "text/plain", 415),
    ],
)
def test_a_malformed_body_is_a_problem(api, data, content_type, status):
    refused = api.trader.post_raw("/v1/predictions", data, content_type)
    assert refused.status_code == status
    assert problem_of(refused)["status"] == status


def test_a_row_out_of_range_is_named_with_its_place(api):
    rows = credit_rows(3)
    rows[1] = {**rows[1], "pay_0": 99}
    refused = api.trader.post("/v1/predictions", {"model": "credit-default", "rows": rows})
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "rows.1.pay_0"


def test_a_body_over_the_limit_is_413(tmp_path):
    api = Api(make_house(tmp_path / "small", models=(), max_body_bytes=1024))
    refused = api.trader.post_raw("/v1/predictions", b'{"model":"' + b"x" * 2000 + b'"}')
    assert refused.status_code == 413
    assert problem_of(refused)["title"] == "Body too large"


def test_more_rows_than_the_limit_are_refused(tmp_path):
    api = Api(make_house(tmp_path / "small", models=("credit-default",), max_rows=3))
    refused = api.trader.post(
        "/v1/predictions", {"model": "credit-default", "rows": credit_rows(4)}
    )
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "rows"


@pytest.mark.parametrize("model", ["no-such", "credit-default@night", "sha256:" + "1" * 64, "🙂"])
def test_an_unknown_model_is_404(api, model):
    refused = api.trader.post("/v1/predictions", {"model": model, "features": credit_rows(1)[0]})
    assert refused.status_code == 404
    assert problem_of(refused)["type"] == "urn:assay:problem:unknown-model"


@pytest.mark.parametrize("path", ["/v1/predictions/999999", "/v1/predictions/0"])
def test_what_is_not_a_prediction_is_404(api, path):
    assert api.trader.get(path).status_code == 404


def test_a_row_that_is_not_there_is_404(api):
    leaf = api.predict().get_json()["leaf_index"]
    assert api.trader.get(f"/v1/predictions/{leaf}.1").status_code == 404


def test_signal_decides_long_or_flat(api):
    day = signal_days(1)[0]
    names = api.house.inventory.predictor(
        api.house.inventory.resolve("trade-signal").digest
    ).feature_names
    answer = api.trader.post(
        "/v1/predictions",
        {"model": "trade-signal", "features": day.of(names), "as_of": day.as_of},
    ).get_json()
    assert answer["rows"][0]["decision"] in {"long", "flat"}
    assert answer["rows"][0]["reasons"] == []
    assert answer["as_of"] == day.as_of


def test_a_receipt_comes_as_cose_when_asked_for(api):
    from ledger.cose import verify_cose
    from ledger.note import VerifierKey

    answer = api.predict().get_json()
    told = api.nobody.get(
        f"/v1/predictions/{answer['leaf_index']}/receipt",
        headers={"Authorization": f"Bearer {api.trader.key}", "Accept": "application/cose"},
    )
    assert told.content_type == "application/cose"
    found = verify_cose(
        told.get_data(),
        answer["receipt"]["entry"].encode(),
        VerifierKey.parse(api.house.ledger.vkey),
    )
    assert found.leaf_index == answer["leaf_index"]
    assert found.subject == f"prediction/{answer['leaf_index']}"
