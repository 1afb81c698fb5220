"""What cannot be recorded is not answered; what was not approved does not run."""

import sqlite3

import pytest
from sqlalchemy import event

from houses import Api, credit_rows, make_house, problem_of
from ledger.dialect import is_sqlite
from ledger.record import parse_entry
from logs import only_sqlite
from service.app import create_app
from service.assembly import assemble, initialise
from service.errors import ServiceError
from service.settings import Settings


@pytest.fixture
def read_only(api):
    """The same house once its database refuses to be written."""
    refuse_writes(api.house.engine, [True])
    return api


def refuse_writes(engine, switch):
    """Make a database refuse writes on every new connection while the switch says so."""
    statement = (
        "PRAGMA query_only={}"
        if is_sqlite(engine)
        else "SET SESSION CHARACTERISTICS AS TRANSACTION READ {}"
    )
    words = ("ON", "OFF") if is_sqlite(engine) else ("ONLY", "WRITE")

    def tell(raw, _):
        raw.execute(statement.format(words[0] if switch[0] else words[1]))
        if not is_sqlite(engine):
            raw.commit()

    engine.dispose()
    event.listen(engine, "connect", tell)


@pytest.mark.parametrize(
    ("caller", "path", "body"),
    [
        ("trader", "/v1/predictions", {"model": "credit-default", "rows": credit_rows(2)}),
        ("admin", "/v1/admin/seals", {"period": "2026-11-25"}),
        ("admin", "/v1/reports/correctness", {}),
    ],
)
def test_a_ledger_that_cannot_commit_answers_503_and_no_score(read_only, caller, path, body):
    size = read_only.house.ledger.size
    answer = getattr(read_only, caller).post(path, body)
    told = problem_of(answer)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert told["type"] == "urn:assay:problem:ledger-unavailable"
    assert not {"rows", "outputs", "decision", "report"} & set(told)
    assert read_only.house.ledger.size == size


def test_reading_goes_on_while_writing_is_refused(read_only):
    assert read_only.risk.get("/v1/ledger").status_code == 200


def test_it_answers_again_once_the_disk_does(api):
    guard = [True]
    refuse_writes(api.house.engine, guard)
    assert api.predict(idempotency="k").status_code == 503
    guard[0] = False
    api.house.engine.dispose()
    assert api.predict(idempotency="k").status_code == 200
    assert api.house.ledger.counts()["prediction"] == 1


def rot(house, digest):
    """Flip one byte of a stored blob."""
    path = house.settings.blobs_dir / digest.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("part", ["manifest", "artifact"])
def test_bytes_that_are_not_the_approved_ones_do_not_run_and_that_is_recorded_once(tmp_path, part):
    house = make_house(tmp_path / "house", models=("credit-default", "trade-signal"))
    digest = house.inventory.resolve("trade-signal").digest
    artifact = house.inventory.manifest(digest).outputs[0].artifact
    rot(house, digest if part == "manifest" else artifact)
    again = assemble(house.settings)
    with pytest.raises(Exception, match="sha256"):
        create_app(again)  # a server does not start on a champion it cannot load
    refusals = [parse_entry(e.entry).data for e in again.ledger.entries(type="refusal")]
    assert [r["cause"] for r in refusals] == ["DigestMismatch"]
    assert refusals[0]["model_digest"] == digest
    for _ in range(3):
        with pytest.raises(Exception, match="sha256"):
            again.inventory.predictor(digest)
    assert again.ledger.counts()["refusal"] == 1


def test_a_house_that_is_not_there_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ServiceError, match="assay init"):
        assemble(Settings(data_dir=tmp_path / "nothing"))


def test_a_house_is_never_made_twice(tmp_path):
    initialise(Settings(data_dir=tmp_path / "house"))
    with pytest.raises(ServiceError, match="already holds keys"):
        initialise(Settings(data_dir=tmp_path / "house"))


def test_a_key_that_others_can_read_stops_the_start(tmp_path):
    house = make_house(tmp_path / "house", models=())
    (house.settings.keys_dir / "producer.key").chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        assemble(house.settings)


def test_a_log_under_another_origin_is_refused(tmp_path):
    house = make_house(tmp_path / "house", models=())
    with pytest.raises(Exception, match="origin"):
        assemble(Settings(data_dir=house.settings.data_dir, origin="other.example/log"))


def test_an_unforeseen_error_is_a_problem_without_a_trace(api, monkeypatch):
    def explode(*_, **__):
        message = "secret detail"
        raise RuntimeError(message)

    monkeypatch.setattr("service.api.predictions.predict", explode)
    answer = api.predict()
    assert answer.status_code == 500
    assert "secret" not in answer.get_data(as_text=True)
    assert problem_of(answer)["detail"].startswith("an unforeseen error")


def test_logs_hold_no_inputs_outputs_or_keys(capsys, api):
    row = credit_rows(1)[0] | {"limit_bal": 123457}
    answer = api.predict(row, caller_reference="Ms Example").get_json()
    printed = "".join(capsys.readouterr())
    assert '"route": "/v1/predictions"' in printed
    for secret in ("123457", "Ms Example", api.trader.key, str(answer["rows"][0]["outputs"])):
        assert secret not in printed


def test_health_and_metrics_are_open_and_name_nobody(api):
    api.predict()
    for path in ("/livez", "/readyz", "/metrics"):
        assert api.nobody.get(path).status_code == 200
    told = api.nobody.get("/metrics").get_data(as_text=True)
    assert (
        'assay_http_requests_total{method="POST",route="/v1/predictions",status="200"} 1.0' in told
    )
    assert f"assay_ledger_tree_size {float(api.house.ledger.size)}" in told


def test_readiness_ends_when_the_database_cannot_be_read(tmp_path):
    api = Api(make_house(tmp_path / "house", models=()))
    assert api.nobody.get("/readyz").status_code == 200
    api.house.engine.dispose()
    for path in api.house.settings.data_dir.glob("assay.db*"):
        path.rename(path.with_suffix(".gone"))
    assert api.nobody.get("/readyz").status_code == 503
    assert api.nobody.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("DELETE", "/v1/predictions", 405), ("PUT", "/v1/models", 405)],
)
def test_what_the_router_refuses_is_a_problem_too(api, method, path, status):
    answer = api.nobody.open(path, method=method)
    assert answer.status_code == status
    assert problem_of(answer)["status"] == status


def test_the_description_is_openapi_3_1_with_a_summary_for_every_route(api):
    told = api.nobody.get("/openapi.json").get_json()
    assert told["openapi"].startswith("3.1")
    operations = [
        (path, verb, operation)
        for path, item in told["paths"].items()
        for verb, operation in item.items()
    ]
    assert len(operations) >= 22
    assert all(operation.get("summary") for _, _, operation in operations)


@only_sqlite
def test_the_database_really_is_sqlite_with_a_fixed_library(house):
    with house.engine.connect() as connection:
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)
    assert sqlite3.sqlite_version  # the system's own may be older; it is not the one in use
