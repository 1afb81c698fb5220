"""The client hands over only what its receipt bears out, retries without deciding twice, and keeps."""

import subprocess
import sys

import httpx
import pytest

from houses import Api, credit_rows, make_house
from ledger.keys import SigningKey
from ledger.note import Checkpoint, NoteSigner, sign_checkpoint
from service import client as module
from service.client import AnswerRefused, Client, NotAnswered

ROW = credit_rows(1)[0]


@pytest.fixture
def api(tmp_path):
    return Api(make_house(tmp_path / "house", models=("credit-default",)))


class Between(httpx.BaseTransport):
    """Between client and application: loses, delays, and falsifies as it is told."""

    def __init__(self, api):
        self._inner = httpx.WSGITransport(app=api.app)
        self.asked, self.act = [], lambda request, answer: answer

    def handle_request(self, request):
        self.asked.append(request)
        request.read()
        answer = self._inner.handle_request(request)
        answer.read()
        return self.act(request, answer)


@pytest.fixture
def between(api, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.001)
    return Between(api)


@pytest.fixture
def client(api, between):
    with Client("http://h", api.trader.key, api.house.ledger.vkey, transport=between) as made:
        yield made


def falsified(change):
    """An act that edits the answers to predictions."""

    def act(request, answer):
        if request.method != "POST":
            return answer
        body = answer.json()
        change(body)
        return httpx.Response(200, json=body)

    return act


def test_a_decision_is_handed_over_with_its_receipt(client, api):
    found = client.predict("credit-default", ROW, caller_reference="order 1", as_of="2008-09-15")
    assert found.decision in {"approve", "decline"}
    assert set(found.outputs) == {"margin_q16"}
    assert found.receipt.leaf_index == api.house.ledger.size - 1
    assert client.checkpoint == api.house.ledger.checkpoint()


FALSE = {
    "another decision": lambda b: b["rows"][0].update(decision="another"),
    "another model": lambda b: b["model"].update(model_digest="sha256:" + "0" * 64),
    "another id": lambda b: b["rows"][0].update(prediction_id="3.0"),
    "no receipt": lambda b: b.pop("receipt"),
    "a receipt of nothing": lambda b: b.update(receipt={}),
    "another leaf": lambda b: b["receipt"].update(leaf_index=1),
    "another entry": lambda b: b["receipt"].update(
        entry=b["receipt"]["entry"].replace("approve", "decline")
    ),
    "another path": lambda b: b["receipt"]["inclusion"]["path"].reverse(),
    "no rows": lambda b: b.update(rows=[]),
    "no form": lambda b: b.clear(),
}


@pytest.mark.parametrize("name", FALSE)
def test_an_answer_that_its_receipt_does_not_bear_out_is_not_handed_over(client, between, name):
    between.act = falsified(FALSE[name])
    with pytest.raises(AnswerRefused):
        client.predict("credit-default", ROW)


def test_anothers_answer_is_not_mine(client, between):
    """A good receipt for another request: its entry names another idempotency key."""
    first = client.predict("credit-default", ROW)
    between.act = lambda *_: httpx.Response(200, json=first.answer)
    with pytest.raises(AnswerRefused, match="idempotency key"):
        client.predict("credit-default", ROW)


def test_another_log_is_refused(api, between):
    other = NoteSigner(api.house.ledger.origin, SigningKey.generate()).vkey
    client = Client("http://h", api.trader.key, other, transport=between)
    with client, pytest.raises(AnswerRefused, match="receipt"):
        client.predict("credit-default", ROW)


@pytest.mark.parametrize("lost", [1, 3])
def test_an_answer_that_was_lost_is_asked_for_again_and_decided_once(client, api, between, lost):
    left = [lost]

    def lose(_, answer):
        if left[0]:
            left[0] -= 1
            raise httpx.ReadError("gone")
        return answer

    between.act = lose
    found = client.predict("credit-default", ROW)
    assert len(between.asked) == lost + 1
    assert api.house.ledger.counts()["prediction"] == 1
    assert found.receipt.leaf_index == api.house.ledger.size - 1


def test_a_full_server_is_asked_again_when_it_says(client, between, monkeypatch):
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    busy = httpx.Response(503, json={"detail": "full"}, headers={"Retry-After": "2"})
    answers = [busy, busy]
    between.act = lambda _, answer: answers.pop() if answers else answer
    client.predict("credit-default", ROW)
    assert len(waited) == 2
    assert waited[0] >= 1
    between.act = lambda *_: busy
    with pytest.raises(NotAnswered, match="full") as told:
        client.predict("credit-default", ROW)
    assert told.value.status == 503


def test_a_refusal_is_told_at_once(client, between):
    with pytest.raises(NotAnswered) as told:
        client.predict("nobody", ROW)
    assert (told.value.status, len(between.asked)) == (404, 1)
    assert told.value.problem["type"].endswith("unknown-model")


def test_the_log_only_grew(client, between):
    client.predict("credit-default", ROW)
    first = client.check_growth()
    for _ in range(3):
        client.predict("credit-default", ROW)
    assert client.check_growth() == first + 3
    client.predict("credit-default", ROW)
    between.act = lambda request, answer: (
        answer if request.method == "POST" else httpx.Response(200, json={"path": ["00" * 32]})
    )
    with pytest.raises(AnswerRefused, match="begins with"):
        client.check_growth()


def test_a_second_tree_of_one_size_is_noticed(client, api):
    client.predict("credit-default", ROW)
    size = api.house.ledger.size
    forged = Checkpoint(api.house.ledger.origin, size, b"\1" * 32)
    note = sign_checkpoint(forged, NoteSigner(api.house.ledger.origin, api.house.signers.log))
    with pytest.raises(AnswerRefused, match="one tree"):
        client._remember(note)


def test_the_checkpoint_is_kept_from_one_run_to_the_next(api, between, tmp_path):
    told = ("http://h", api.trader.key, api.house.ledger.vkey)
    kept = tmp_path / "log.checkpoint"
    with Client(*told, kept=kept, transport=between) as client:
        client.predict("credit-default", ROW)
    note = kept.read_text()
    api.predict()
    with Client(*told, kept=kept, transport=between) as client:
        assert client.checkpoint == note
        client.predict("credit-default", ROW)
        assert client.check_growth() == api.house.ledger.size
    assert kept.read_text() == api.house.ledger.checkpoint()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house", "log.checkpoint"]


def test_it_needs_no_server_package():
    """A trading system installs it without Flask, models or a database."""
    script = (
        "import sys, service.client\n"
        "bad = {'flask', 'sqlalchemy', 'numpy', 'models', 'monitoring'} & set(sys.modules)\n"
        "print(sorted(bad))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
