"""The log: one JSON object a line; never an input, an output, a body, a query or a key."""

import io
import json
import sys

import pytest

from houses import credit_rows


def lines(capsys):
    """Every line that was logged, read as JSON."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture(scope="module")
def api(open_api):
    return open_api


def test_a_request_is_one_line_with_its_route_status_time_and_key_id(api, capsys):
    answer = api.predict()
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("ms") > 0
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "route": "/v1/predictions",
        "status": answer.status_code,
        "key_id": api.trader.key_id,
    }


def test_logs_hold_no_inputs_outputs_or_keys(api, capsys):
    row = credit_rows(1)[0] | {"limit_bal": 123_457}
    answer = api.predict(row, caller_reference="Ms Example", subject="ms-example").get_json()
    api.predict(row | {"limit_bal": "Ms Example"})
    told = {"prediction_id": f"{answer['leaf_index']}.0", "value": "1", "observed_at": "2026-01-01"}
    api.outcomes.post("/v1/outcomes", {"outcomes": [told]})
    api.auditor.get(f"/v1/predictions/{answer['leaf_index']}")
    printed = "".join(capsys.readouterr())
    assert printed.count('"event": "request"') == 4
    secrets = ["123457", "Example", "ms-example", *map(str, answer["rows"][0]["outputs"].values())]
    secrets += [caller.key[-43:] for caller in (api.trader, api.outcomes, api.auditor)]
    assert [secret for secret in secrets if secret in printed] == []


def test_neither_query_nor_path_of_the_caller_is_logged(api, capsys):
    token = api.house.callers.make_link(api.risk.key_id)
    browser = api.app.test_client()
    browser.get(f"/sign-in?token={token}&next=/ledger")
    api.risk.get("/v1/models/credit-default?as_of=2026-01-01")
    api.nobody.get("/Ms-Example")
    browser.post("/sign-in", data={"api_key": api.risk.key})
    printed = "".join(capsys.readouterr())
    assert printed.count('"event": "request"') == 4
    for secret in (token, "2026-01-01", "Ms-Example", api.risk.key[-43:]):
        assert secret not in printed.replace('"timestamp": "2026-01-01', "")


def test_a_page_is_one_line_with_its_reader(api, capsys):
    browser = api.browser(api.risk)
    capsys.readouterr()
    browser.get("/")
    (line,) = lines(capsys)
    assert (line["route"], line["key_id"]) == ("/", api.risk.key_id)


def test_health_is_asked_too_often_to_be_logged(api, capsys):
    for path in ("/livez", "/readyz", "/metrics"):
        api.nobody.get(path)
    assert lines(capsys) == []


def test_a_refused_caller_is_logged_without_a_key_id(api, capsys):
    api.nobody.get("/v1/models")
    (line,) = lines(capsys)
    assert (line["status"], line["key_id"]) == (401, None)


class Full(io.TextIOBase):
    """A file on a full disk."""

    def write(self, _):
        raise OSError(28, "No space left on device")


class Closed(io.StringIO):
    def __init__(self):
        super().__init__()
        self.close()


@pytest.mark.parametrize("stream", [Full, Closed])
def test_a_line_that_cannot_be_written_costs_no_answer(api, monkeypatch, stream):
    size = api.house.ledger.size
    monkeypatch.setattr(sys, "stderr", stream())
    answer = api.predict()
    assert answer.status_code == 200
    assert answer.get_json()["leaf_index"] == size
