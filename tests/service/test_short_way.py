"""The short way and the long one give the same answers, and refusals are worded by the long one."""

import json
import threading

import pytest

from houses import Api, credit_rows, make_house, problem_of
from ledger.errors import DeadlinePassed, LedgerUnavailable
from ledger.receipt import Receipt, verify_receipt
from service.front import Front

ROW = credit_rows(1)[0]
BODY = {"model": "credit-default", "features": ROW}


@pytest.fixture
def api(tmp_path):
    return Api(make_house(tmp_path / "house", models=("credit-default",)))


@pytest.fixture
def taken(api, monkeypatch):
    """How often the short way answered."""
    found = []
    answer = Front._answer

    def watch(self, environ, ask, began):
        made = answer(self, environ, ask, began)
        found.append(made is not None)
        return made

    monkeypatch.setattr(Front, "_answer", watch)
    return found


def long_way(api):
    """The same application without the short way."""
    front = api.app.wsgi_app
    api.app.wsgi_app = front._app
    return front


def post(api, body=None, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body or BODY).encode()
    given = {"Authorization": f"Bearer {api.trader.key}", "Content-Type": "application/json"}
    return api.nobody.post("/v1/predictions", data=data, headers={**given, **headers})


def facts(answer):
    """What does not depend on where in the log it is, or when."""
    told = answer.get_json()
    kept = {key: told[key] for key in ("as_of", "model", "verification_mode", "row_proofs")}
    row = {k: v for k, v in told["rows"][0].items() if k != "prediction_id"}
    headers = {k: v for k, v in answer.headers.items() if k != "Content-Length"}
    return kept, row, headers, sorted(told), sorted(told["receipt"])


def test_both_ways_give_the_same_answer(api, taken):
    body = {**BODY, "as_of": "2008-09-15T12:00:00+02:00", "caller_reference": "order 1"}
    short = post(api, body, **{"Idempotency-Key": "a"})
    assert taken == [True]
    long_way(api)
    assert facts(post(api, body, **{"Idempotency-Key": "b"})) == facts(short)
    assert post(api, body, **{"Idempotency-Key": "a"}).get_json() == short.get_json()
    assert taken == [True]
    verify_receipt(Receipt.from_json(short.get_json()["receipt"]), api.house.ledger.vkey)


# What the short way leaves to the long one before it runs anything.
LEFT = {
    "no key": ({}, {"Authorization": ""}, 401),
    "a key nobody has": ({}, {"Authorization": "Bearer assay_" + "0" * 16 + "_" + "A" * 43}, 401),
    "another scheme": ({}, {"Authorization": "Basic abc"}, 401),
    "no JSON": (b"{", {}, 400),
    "a repeated name": (b'{"model":"a","model":"b","features":{}}', {}, 400),
    "NaN": (b'{"model":"credit-default","features":{"pay_0":NaN}}', {}, 400),
    "nested beyond reason": (b"[" * 100_000, {}, 400),
    "a list": (b"[]", {}, 422),
    "another media type": ({}, {"Content-Type": "text/plain"}, 415),
    "an unknown field": ({"more": 1}, {}, 422),
    "true for a number": ({"features": {**ROW, "pay_0": True}}, {}, 422),
    "an empty key": ({}, {"Idempotency-Key": ""}, 422),
    "a key too long": ({}, {"Idempotency-Key": "k" * 256}, 422),
    "a deadline of no time": ({}, {"Assay-Deadline-Ms": "0"}, 422),
    "a deadline that is no number": ({}, {"Assay-Deadline-Ms": "soon"}, 422),
    "nothing": (b"", {}, 422),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_plain_is_refused_the_long_way(api, taken, name):
    changes, headers, status = LEFT[name]
    body = changes if isinstance(changes, bytes) else {**BODY, **changes}
    size = api.house.ledger.size
    short = post(api, body, **headers)
    assert short.status_code == status, short.get_data(as_text=True)
    assert taken == []
    long_way(api)
    assert problem_of(post(api, body, **headers)) == problem_of(short)
    assert api.house.ledger.size == size


def test_a_risk_key_does_not_open_it(api, taken):
    answer = post(api, Authorization=f"Bearer {api.risk.key}")
    assert (answer.status_code, taken) == (403, [])


# What is refused while it runs: worded by the long way, and not tried again there.
REFUSED = {
    "an unknown model": ({"model": "nobody"}, 404),
    "a missing feature": ({"features": {}}, 422),
    "a feature out of range": ({"features": {**ROW, "limit_bal": 1e30}}, 422),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_worded_the_long_way_and_not_tried_again(api, taken, name):
    changes, status = REFUSED[name]
    short = post(api, {**BODY, **changes})
    assert (short.status_code, taken) == (status, [False])
    long_way(api)
    assert problem_of(post(api, {**BODY, **changes})) == problem_of(short)


@pytest.mark.parametrize("fault", [LedgerUnavailable("appending", "x"), RuntimeError("x")])
def test_what_failed_is_not_asked_of_the_log_twice(api, monkeypatch, fault):
    """It may be recorded all the same: a second try would decide twice."""
    calls = []

    def fail(*_, **__):
        calls.append(1)
        raise fault

    monkeypatch.setattr(type(api.house.ledger), "append", fail)
    assert post(api).status_code == (503 if isinstance(fault, LedgerUnavailable) else 500)
    assert calls == [1]


def test_no_header_passes_for_a_refusal(api):
    """The mark of a refusal is a key that no header can set."""
    assert post(api, **{"assay.refused": "x", "Assay-Refused": "x"}).status_code == 200


def test_a_deadline_that_passes_in_the_queue_records_nothing(api):
    lock = api.house.ledger._commit
    held = threading.Event()
    go = threading.Event()
    write = lock._write

    def slowly(batch):
        held.set()
        go.wait(20)
        write(batch)

    lock._write = slowly
    first = threading.Thread(target=post, args=(api,))
    first.start()
    assert held.wait(20)
    answers = []
    second = threading.Thread(
        target=lambda: answers.append(post(api, **{"Assay-Deadline-Ms": "1"}))
    )
    second.start()
    while not lock._waiting:
        second.join(0.01)
    second.join(0.02)
    go.set()
    first.join(20)
    second.join(20)
    (late,) = answers
    told = problem_of(late)
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
    assert told["type"].endswith("deadline-passed"), told
    assert str(DeadlinePassed()) == told["detail"]
    assert api.house.ledger.counts()["prediction"] == 1


def test_a_deadline_in_time_is_answered(api):
    assert post(api, **{"Assay-Deadline-Ms": "60000"}).status_code == 200


def test_one_prediction_too_many_is_refused_at_once_and_all_else_is_answered(tmp_path):
    api = Api(make_house(tmp_path / "house", models=("credit-default",), threads=4))
    commit = api.house.ledger._commit
    go, write = threading.Event(), commit._write

    def slowly(batch):
        go.wait(20)
        write(batch)

    commit._write = slowly
    answers = []
    waiting = [threading.Thread(target=lambda: answers.append(post(api))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    places = api.app.wsgi_app._places
    while places._value:
        waiting[0].join(0.01)
    refused = post(api)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert problem_of(refused)["type"].endswith("queue-full")
    assert api.nobody.get("/livez").status_code == 200
    go.set()
    for thread in waiting:
        thread.join(20)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert post(api).status_code == 200
    assert places._value == 3


def test_every_request_is_counted_once(api):
    post(api)
    post(api, {**BODY, "model": "nobody"})
    post(api, b"{")
    text = api.nobody.get("/metrics").get_data(as_text=True)
    counted = [line for line in text.split("\n") if line.startswith("assay_http_requests_total{")]
    mine = {line for line in counted if "predictions" in line}
    assert {line.rsplit("status=")[1] for line in mine} == {
        '"200"} 1.0',
        '"404"} 1.0',
        '"400"} 1.0',
    }
