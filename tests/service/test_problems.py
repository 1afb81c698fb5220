"""Every error is a problem (RFC 9457): it names the field, and repeats no value and no inside."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from houses import Api, break_storage, credit_rows, make_house, problem_of
from ledger import errors as ledger_errors
from models import errors as model_errors
from service import errors

ROW = {"model": "credit-default", "features": credit_rows(1)[0]}


@pytest.fixture(scope="module")
def api(open_api):
    return open_api


# --- what the framework refuses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/predictions", 405),
        ("DELETE", "/v1/predictions", 405),
        ("PUT", "/v1/models", 405),
        ("PATCH", "/v1/ledger/entries/0", 405),
        ("POST", "/livez", 405),
        ("POST", "/ledger", 405),
        ("BREW", "/v1/models", 405),
    ],
)
def test_what_the_router_refuses_is_a_problem_too(api, method, path, status):
    answer = api.nobody.open(path, method=method)
    assert answer.status_code == status
    assert problem_of(answer)["instance"] == path
    assert ("Allow" in answer.headers) == (status == 405), "a 405 says what would be allowed"


def test_a_head_request_has_the_status_and_no_body(api):
    answer = api.trader.client.head("/v1/models", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401
    assert answer.get_data() == b""


@pytest.mark.parametrize("sent", ["declared", "in chunks"])
def test_a_body_over_the_limit_is_413_however_it_is_sent(tmp_path, sent):
    api = Api(make_house(tmp_path / "small", models=(), max_body_bytes=1024))
    body = b'{"model":"' + b"x" * 2000 + b'"}'
    if sent == "declared":
        refused = api.trader.post_raw("/v1/predictions", body)
    else:
        import io

        refused = api.trader.client.post(
            "/v1/predictions",
            input_stream=io.BytesIO(body),
            content_type="application/json",
            headers={
                "Authorization": f"Bearer {api.trader.key}",
                "Transfer-Encoding": "chunked",
            },
            environ_overrides={"wsgi.input_terminated": True},
        )
    assert refused.status_code == 413
    assert problem_of(refused)["title"] == "Body too large"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_another_media_type_is_415(api, kind):
    refused = api.trader.post_raw("/v1/predictions", json.dumps(ROW), kind)
    assert refused.status_code == 415
    problem_of(refused)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_taken_as_http_writes_it(api, kind):
    assert api.trader.post_raw("/v1/predictions", json.dumps(ROW), kind).status_code == 200


# --- bodies ----------------------------------------------------------------------------------------

BROKEN = {
    "cut off": b'{"model"',
    "one name twice": b'{"model":"a","model":"b"}',
    "one name twice, deep": b'{"model":"a","features":{"x":1,"x":2}}',
    "NaN": b'{"model":"credit-default","features":{"limit_bal":NaN}}',
    "Infinity": b'{"model":"credit-default","features":{"limit_bal":-Infinity}}',
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "a number of 5,000 digits": b'{"model":' + b"1" * 5000 + b"}",
    "two values": b"{} {}",
    "single quotes": b"{'model': 'a'}",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_body_that_is_no_json_is_400(api, case):
    refused = api.trader.post_raw("/v1/predictions", BROKEN[case])
    assert refused.status_code == 400
    assert problem_of(refused)["type"] == "urn:assay:problem:malformed-json"


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true", b"{}"])
def test_a_body_that_is_no_request_is_422(api, body):
    refused = api.trader.post_raw("/v1/predictions", body)
    assert refused.status_code == 422
    problem_of(refused)


def test_no_body_at_all_is_422(api):
    for path in ("/v1/predictions", "/v1/outcomes", "/v1/admin/seals"):
        caller = {"/v1/outcomes": api.outcomes, "/v1/admin/seals": api.admin}.get(path, api.trader)
        refused = caller.post_raw(path, b"")
        assert refused.status_code == 422, path
        problem_of(refused)


VALUES = [
    "Ms Example",
    "20000",
    True,
    [1],
    {"a": 1},
    1e300,
    -1,
    10**400,
    0.5,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value)[:12])
def test_a_refused_feature_is_named_and_its_value_is_not_repeated(api, value):
    body = ROW | {"features": ROW["features"] | {"limit_bal": value}}
    refused = api.trader.post("/v1/predictions", body)
    assert refused.status_code == 422
    told = problem_of(refused)
    assert [error["field"] for error in told["errors"]] == ["features.limit_bal"]
    if isinstance(value, str):
        assert value not in refused.get_data(as_text=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("as_of", "Ms Example's birthday"),
        ("as_of", "2026-02-30"),
        ("subject", "Ms Example"),
        ("caller_reference", "Ms Example " * 30),
        ("caller_reference", "\ud800"),
        ("model", ["Ms Example"]),
        ("rows", []),
    ],
)
def test_a_refused_field_is_named_and_its_value_is_not_repeated(api, field, value):
    refused = api.trader.post("/v1/predictions", ROW | {field: value})
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] in {field, "body"}
    assert "Example" not in refused.get_data(as_text=True)


def test_a_body_full_of_faults_gets_a_short_answer(api):
    rows = [{f"f{i}": "x" for i in range(200)} for _ in range(100)]
    refused = api.trader.post("/v1/predictions", {"model": "credit-default", "rows": rows})
    assert refused.status_code == 422
    told = problem_of(refused)
    assert len(told["errors"]) == errors.FIELDS_SHOWN
    assert "and 19999 more" in told["detail"]


@pytest.mark.parametrize("where", ["a field", "a feature", "a query"])
def test_a_name_made_up_by_the_caller_comes_back_cut(api, where):
    name = "x" * 50_000
    refused = {
        "a field": lambda: api.trader.post("/v1/predictions", ROW | {name: 1}),
        "a feature": lambda: api.trader.post(
            "/v1/predictions", ROW | {"features": ROW["features"] | {name: 1}}
        ),
        "a query": lambda: api.trader.get(f"/v1/ledger/entries?{name}=1"),
    }[where]()
    assert refused.status_code == 422
    problem_of(refused)
    assert len(refused.get_data()) < 1000


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_of_no_use_is_refused(api, key):
    headers = {"Authorization": f"Bearer {api.trader.key}", "Idempotency-Key": key}
    refused = api.trader.client.post("/v1/predictions", json=ROW, headers=headers)
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "Idempotency-Key"


def test_an_argument_given_twice_is_refused(api):
    refused = api.trader.get("/v1/ledger/entries?limit=1&limit=2")
    assert refused.status_code == 422
    assert problem_of(refused)["errors"] == [{"field": "limit", "message": "is given twice"}]


# --- what nobody foresaw ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, ZeroDivisionError, AssertionError])
def test_an_unforeseen_error_is_a_problem_without_a_trace(api, monkeypatch, capsys, kind):
    def explode(*_, **__):
        raise kind("Ms Example owes 4711")

    monkeypatch.setattr("service.api.predictions.predict", explode)
    answer = api.predict()
    assert answer.status_code == 500
    assert problem_of(answer)["detail"].startswith("an unforeseen error")
    printed = "".join(capsys.readouterr())
    assert "4711" not in answer.get_data(as_text=True) + printed
    (line,) = [json.loads(x) for x in printed.splitlines() if "unforeseen" in x]
    assert line["error"] == kind.__name__
    assert any("explode" in place for place in line["where"]), "the log says where"


def test_an_error_of_the_database_names_no_statement_and_no_value(api, monkeypatch, capsys):
    def explode(*_, **__):
        raise OperationalError("SELECT secret", {"value": "Ms Example"}, Exception("disk I/O"))

    monkeypatch.setattr("service.api.predictions.predict", explode)
    answer = api.predict()
    assert answer.status_code == 503
    printed = "".join(capsys.readouterr())
    for word in ("SELECT", "Ms Example"):
        assert word not in answer.get_data(as_text=True) + printed
    problem_of(answer)
    assert "OperationalError" in printed


# --- every error of every package ------------------------------------------------------------------


def subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_every_error_of_the_packages_has_a_status_of_its_own():
    """None of them may reach a caller as an internal error."""
    roots = (ledger_errors.LedgerError, model_errors.ModelError, errors.MonitoringError)
    for kind in [k for root in roots for k in (root, *subclasses(root))]:
        made = kind.__new__(kind)
        Exception.__init__(made, "x")
        for name in ("field", "reason"):
            if not hasattr(made, name):
                setattr(made, name, "x")
        known = errors.translate(made)
        assert known is not None, kind
        assert 400 <= known.status < 600
        assert (known.status == 503) == ("Retry-After" in known.headers), kind


def test_every_status_has_a_title():
    statuses = {status for _, status, _ in errors._TRANSLATIONS} | {400, 401, 403, 404, 405, 413}
    assert statuses <= errors.TITLES.keys()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device", "/srv/house/x"), OSError()]
)
def test_storage_that_fails_is_503_and_names_no_file(error):
    known = errors.translate(error)
    assert (known.status, known.code) == (503, "storage-unavailable")
    assert "/srv" not in known.detail


def test_what_cannot_be_recorded_is_named_by_its_field_without_the_value():
    error = ledger_errors.RecordError("data.reason", "expected text, got 'Ms Example'")
    known = errors.translate(error)
    assert known.fields == (("data.reason", "expected text"),)
    assert "Example" not in known.detail


def test_a_stored_entry_that_cannot_be_read_is_no_fault_of_who_asks(house):
    api = Api(house)
    leaf = api.predict().get_json()["leaf_index"]
    damage_entry(house, leaf)
    for path in (f"/v1/predictions/{leaf}", f"/v1/ledger/entries/{leaf}"):
        answer = api.risk.get(path)
        assert answer.status_code == 503
        assert problem_of(answer)["type"] == "urn:assay:problem:ledger-inconsistent"


def damage_entry(house, leaf):
    """Overwrite one entry as the database's administrator could."""
    from ledger.store import writer
    from logs import drop_guard

    with writer(house.engine).begin() as connection:
        drop_guard(connection, "ledger_entry", "update")
        connection.execute(
            text("UPDATE ledger_entry SET entry = :entry WHERE leaf_index = :leaf"),
            {"entry": b'{"body":{', "leaf": leaf},
        )


def test_a_log_that_does_not_answer_is_told_to_every_route(house):
    api = Api(house)
    break_storage(house)
    for path in ("/v1/ledger", "/v1/ledger/checkpoint", "/v1/models", "/v1/ledger/entries"):
        answer = api.risk.get(path)
        assert answer.status_code == 503, path
        assert int(answer.headers["Retry-After"]) >= 1
        problem_of(answer)
