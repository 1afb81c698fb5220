"""The short way and the long one give the same answers, and refusals are worded by the long one."""

import json
import threading
import time
from io import BytesIO

import pytest

from houses import Api, credit_rows, make_house, problem_of
from ledger.errors import DeadlinePassed, LedgerUnavailable
from ledger.receipt import Receipt, verify_receipt
from rsgi import Client, Headers, Scope
from service.app import create_front
from service.lifecycle import withdraw
from service.wsgi_bridge import environ_of

ROW = credit_rows(1)[0]
BODY = {"model": "credit-default", "features": ROW}


class Ways:
    """One house behind both ways."""

    def __init__(self, house):
        self.house = house
        self.front = create_front(house)
        self.client = Client(self.front)
        self.api = Api(house)
        self.trader, self.risk = self.api.trader, self.api.risk
        self.taken = []  # whether the short way answered, of those it ran
        record = self.front._record

        async def watch(ask, phases):
            try:
                answer = await record(ask, phases)
            except BaseException:
                self.taken.append(False)
                raise
            self.taken.append(answer is not None)
            return answer

        self.front._record = watch

    def close(self):
        self.client.close()


@pytest.fixture
def ways(tmp_path):
    made = Ways(make_house(tmp_path / "house", models=("credit-default",)))
    yield made
    made.close()


def asked(ways, body, headers):
    data = body if isinstance(body, bytes) else json.dumps(body or BODY).encode()
    given = {"Authorization": f"Bearer {ways.trader.key}", "Content-Type": "application/json"}
    return data, {**given, **headers}


def post(ways, body=None, **headers):
    """By the front."""
    data, given = asked(ways, body, headers)
    return ways.client.ask("POST", "/v1/predictions", data, given)


def post_long(ways, body=None, **headers):
    """By Flask alone."""
    data, given = asked(ways, body, headers)
    return ways.api.nobody.post("/v1/predictions", data=data, headers=given)


def facts(answer):
    """What does not depend on where in the log it is, or when."""
    told = answer.get_json()
    kept = {key: told[key] for key in ("as_of", "model", "verification_mode", "row_proofs")}
    row = {k: v for k, v in told["rows"][0].items() if k != "prediction_id"}
    mine = ("Content-Length", "Server-Timing")  # the short way alone says how long it took
    headers = {k: v for k, v in answer.headers.items() if k not in mine}
    return kept, row, headers, sorted(told), sorted(told["receipt"])


def test_both_ways_give_the_same_answer(ways):
    body = {**BODY, "as_of": "2008-09-15T12:00:00+02:00", "caller_reference": "order 1"}
    short = post(ways, body, **{"Idempotency-Key": "a"})
    assert ways.taken == [True]
    assert facts(post_long(ways, body, **{"Idempotency-Key": "b"})) == facts(short)
    for again in (post, post_long):
        assert again(ways, body, **{"Idempotency-Key": "a"}).get_json() == short.get_json()
    verify_receipt(Receipt.from_json(short.get_json()["receipt"]), ways.house.ledger.vkey)


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
def test_what_is_not_plain_is_refused_the_long_way(ways, name):
    changes, headers, status = LEFT[name]
    body = changes if isinstance(changes, bytes) else {**BODY, **changes}
    size = ways.house.ledger.size
    short = post(ways, body, **headers)
    assert short.status_code == status, short.get_data(as_text=True)
    assert ways.taken == []
    assert problem_of(post_long(ways, body, **headers)) == problem_of(short)
    assert ways.house.ledger.size == size


def test_a_risk_key_does_not_open_it(ways):
    answer = post(ways, Authorization=f"Bearer {ways.risk.key}")
    assert (answer.status_code, ways.taken) == (403, [])


# What is refused while it runs: worded by the long way, and not tried again there.
REFUSED = {
    "an unknown model": ({"model": "nobody"}, 404),
    "a missing feature": ({"features": {}}, 422),
    "a feature out of range": ({"features": {**ROW, "limit_bal": 1e30}}, 422),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_worded_the_long_way(ways, name):
    changes, status = REFUSED[name]
    short = post(ways, {**BODY, **changes})
    assert short.status_code == status
    assert True not in ways.taken
    assert problem_of(post_long(ways, {**BODY, **changes})) == problem_of(short)


@pytest.mark.parametrize("fault", [LedgerUnavailable("appending", "x"), RuntimeError("x")])
def test_what_failed_in_the_log_is_not_asked_of_it_twice(ways, monkeypatch, fault):
    """It may be recorded all the same: a second try would decide twice."""
    calls = []
    write = ways.house.ledger._commit._write

    def fail(groups):
        calls.append(len(groups))
        write(groups)
        for group in groups:
            group.settled, group.results = False, []
        raise fault

    monkeypatch.setattr(ways.house.ledger._commit, "_write", fail)
    size = ways.house.ledger.size
    assert post(ways).status_code == (503 if isinstance(fault, LedgerUnavailable) else 500)
    assert (calls, ways.house.ledger.size) == ([1], size + 1)


def test_no_header_passes_for_a_refusal(ways):
    """The mark of a refusal is a key that no header can set."""
    assert post(ways, **{"assay.refused": "x", "Assay-Refused": "x"}).status_code == 200
    assert post_long(ways, **{"Assay-Refused": "x"}).status_code == 200


class Held:
    """Commits that wait to be let through."""

    def __init__(self, ways):
        self._commit = ways.house.ledger._commit
        self.entered, self.go, write = threading.Event(), threading.Event(), self._commit._write

        def slowly(batch):
            self.entered.set()
            self.go.wait(20)
            write(batch)

        self._commit._write = slowly

    def wait_for(self, waiting):
        """Until so many more wait behind the one that is being written."""
        assert self.entered.wait(20)
        while self._commit.waiting < waiting:
            time.sleep(0.001)


def in_threads(count, ways, answers, **headers):
    made = [
        threading.Thread(target=lambda: answers.append(post(ways, **headers))) for _ in range(count)
    ]
    for thread in made:
        thread.start()
    return made


def test_a_deadline_that_passes_in_the_queue_records_nothing(ways):
    held, first, late = Held(ways), [], []
    threads = in_threads(1, ways, first)
    held.wait_for(0)
    threads += in_threads(1, ways, late, **{"Assay-Deadline-Ms": "1"})
    held.wait_for(1)
    time.sleep(0.02)
    held.go.set()
    for thread in threads:
        thread.join(20)
    told = problem_of(late[0])
    assert (late[0].status_code, late[0].headers["Retry-After"]) == (503, "1")
    assert told["type"].endswith("deadline-passed"), told
    assert str(DeadlinePassed()) == told["detail"]
    assert first[0].status_code == 200
    assert ways.house.ledger.counts()["prediction"] == 1


def test_a_deadline_in_time_is_answered(ways):
    assert post(ways, **{"Assay-Deadline-Ms": "60000"}).status_code == 200


def test_one_request_too_many_is_turned_away_at_once(tmp_path):
    house = make_house(tmp_path / "house", models=("credit-default",), queue_max=3)
    ways = Ways(house)
    held, answers = Held(ways), []
    threads = in_threads(1, ways, answers)
    held.wait_for(0)
    threads += in_threads(2, ways, answers)
    held.wait_for(2)
    refused = post(ways)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert problem_of(refused)["type"].endswith("queue-full")
    held.go.set()
    for thread in threads:
        thread.join(20)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert post(ways).status_code == 200
    ways.close()


def test_those_that_waited_share_a_commit(ways):
    held, answers = Held(ways), []
    threads = in_threads(1, ways, answers)
    held.wait_for(0)
    threads += in_threads(19, ways, answers)
    held.wait_for(19)
    held.go.set()
    for thread in threads:
        thread.join(20)
    sizes = {answer.get_json()["receipt"]["inclusion"]["tree_size"] for answer in answers}
    assert len(sizes) == 2
    for answer in answers:
        verify_receipt(Receipt.from_json(answer.get_json()["receipt"]), ways.house.ledger.vkey)


def test_a_model_withdrawn_meanwhile_is_refused_the_long_way(ways):
    held, answers = Held(ways), []
    threads = in_threads(1, ways, answers)
    held.wait_for(0)
    held.go.set()
    for thread in threads:
        thread.join(20)
    digest = ways.house.inventory.catalog().resolve("credit-default").digest
    ways.house.inventory.choose("credit-default", fresh=True)
    withdraw(ways.house, digest=digest, reason="a test", actor_id="somebody")
    after = post(ways)
    assert after.status_code == 409
    assert ways.house.ledger.counts()["prediction"] == 1


def test_every_request_is_counted_once(ways):
    post(ways)
    post(ways, {**BODY, "model": "nobody"})
    post(ways, b"{")
    text = ways.client.ask("GET", "/metrics").get_data(as_text=True)
    counted = [line for line in text.split("\n") if line.startswith("assay_http_requests_total{")]
    mine = {line for line in counted if "predictions" in line}
    assert {line.rsplit("status=")[1] for line in mine} == {
        '"200"} 1.0',
        '"404"} 1.0',
        '"400"} 1.0',
    }


def test_pages_and_other_routes_come_through_the_bridge(ways):
    signed_in = {"Authorization": f"Bearer {ways.risk.key}"}
    assert ways.client.ask("GET", "/v1/models?x=1", headers=signed_in).status_code == 200
    assert ways.client.ask("GET", "/livez").get_json() == {"status": "alive"}
    assert (
        ways.client.ask("GET", "/v1/models/credit%2Ddefault", headers=signed_in).status_code == 200
    )
    assert ways.client.ask("GET", "/nothing").status_code == 404
    assert ways.client.ask("DELETE", "/livez").status_code == 405


def test_a_header_with_an_underscore_is_nobodys(ways):
    """`x_y` and `x-y` would be one name to a WSGI application."""
    headers = [("authorization", "Bearer x"), ("Idempotency_Key", "a")]
    environ = environ_of(Scope("GET", "/a%2Fb", Headers(headers)), BytesIO())
    assert environ["PATH_INFO"] == "/a/b"
    assert environ["HTTP_AUTHORIZATION"] == "Bearer x"
    assert "HTTP_IDEMPOTENCY_KEY" not in environ


def test_a_body_beyond_every_limit_is_not_read_to_its_end(ways):
    most = ways.front._bridge._most
    assert most > ways.house.settings.max_batch_bytes
    body = b" " * (most + 5000)
    signed_in = {"Authorization": f"Bearer {ways.trader.key}", "Content-Type": "application/json"}
    answer = ways.client.ask("POST", "/v1/predictions", body, signed_in)
    assert answer.status_code == 413
