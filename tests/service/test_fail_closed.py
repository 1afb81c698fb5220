"""What cannot be recorded is not answered; what was not approved does not run."""

import contextlib
import fcntl
import resource
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event

from houses import Api, break_storage, credit_rows, make_house, mend_storage, packages, problem_of
from ledger.errors import LedgerError
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from logs import only_sqlite
from models.reference.value_at_risk import BASELINE_NAME
from service.app import create_app
from service.assembly import assemble, initialise
from service.clock import system_clock
from service.errors import ServiceError
from service.loading import ModelUnavailable
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.settings import Settings

WRITES = [
    ("trader", "/v1/predictions", {"model": "credit-default", "rows": credit_rows(2)}),
    ("admin", "/v1/admin/seals", {"period": "2026-11-25"}),
    ("admin", "/v1/reports/correctness", {}),
    ("admin", "/v1/reports/honesty", {}),
]


def check_refused(answer):
    """503 with a time to come back, and nothing a caller could take for an answer."""
    told = problem_of(answer)
    assert answer.status_code == 503, told
    assert int(answer.headers["Retry-After"]) >= 1
    assert set(told) <= {"type", "title", "status", "detail", "instance"}
    return told["type"].removeprefix("urn:assay:problem:")


# --- storage that fails --------------------------------------------------------------------------


@contextlib.contextmanager
def no_room():
    """No file of this process may grow past a few bytes: a full disk, as the kernel tells it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@only_sqlite
@pytest.mark.parametrize(("caller", "path", "body"), WRITES)
def test_a_full_disk_answers_503_and_no_score(api, caller, path, body):
    size = api.house.ledger.size
    with no_room():
        answer = getattr(api, caller).post(path, body)
    assert check_refused(answer) in {"ledger-unavailable", "storage-unavailable"}
    assert api.house.ledger.size == size
    assert getattr(api, caller).post(path, body).status_code == 200, "and again once there is room"


@only_sqlite
@pytest.mark.parametrize(("caller", "path", "body"), WRITES)
def test_a_read_only_database_answers_503_and_no_score(api, caller, path, body):
    api.house.engine.dispose()
    event.listen(api.house.engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only=ON"))
    size = api.house.ledger.size
    assert check_refused(getattr(api, caller).post(path, body)) == "ledger-unavailable"
    assert api.house.ledger.size == size
    assert api.risk.get("/v1/ledger").status_code == 200, "reading goes on"


@pytest.mark.parametrize(("caller", "path", "body"), WRITES)
def test_a_damaged_database_answers_503_and_no_score(api, caller, path, body):
    break_storage(api.house)
    check_refused(getattr(api, caller).post(path, body))
    mend_storage(api.house)
    assert getattr(api, caller).post(path, body).status_code == 200


@only_sqlite
def test_without_its_append_lock_nothing_is_answered(house):
    (house.settings.data_dir / "ledger.append.lock").unlink(missing_ok=True)
    (house.settings.data_dir / "ledger.append.lock").mkdir()
    api = Api(assemble(house.settings))
    assert check_refused(api.predict()) == "ledger-unavailable"


def test_a_retry_after_the_fault_is_recorded_once(api):
    break_storage(api.house)
    check_refused(api.predict(idempotency="k"))
    mend_storage(api.house)
    first = api.predict(idempotency="k").get_json()
    assert api.predict(idempotency="k").get_json() == first
    assert api.house.ledger.counts()["prediction"] == 1
    verify_receipt(Receipt.from_json(first["receipt"]), api.house.ledger.vkey)


def test_an_answer_lost_after_the_commit_is_found_again_by_its_key(api, monkeypatch):
    """Storage fails between commit and answer: no score goes out, and the entry is not doubled."""
    read = "service.api.predictions.answer_json"

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(read, fail)
        told = problem_of(api.predict(idempotency="k"))
        assert told["status"] == 503
        assert "not recorded" not in str(told).lower(), "it was, so nobody may say otherwise"
    assert api.house.ledger.counts()["prediction"] == 1
    assert api.predict(idempotency="k").status_code == 200
    assert api.house.ledger.counts()["prediction"] == 1


@only_sqlite
def test_a_full_queue_turns_callers_away_and_keeps_those_in_it(api, monkeypatch):
    monkeypatch.setattr("ledger.commit.QUEUE_MAX", 3)
    lock = (api.house.settings.data_dir / "ledger.append.lock").open("rb+")
    fcntl.flock(lock, fcntl.LOCK_EX)  # another process is in the middle of a long commit
    queue, answers = api.house.ledger._commit, []
    threads = [
        threading.Thread(target=lambda: answers.append(api.predict().status_code)) for _ in range(4)
    ]
    threads[0].start()
    wait_until(lambda: queue._led and not queue._waiting)  # the first one leads, and waits
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: queue._waiting == 3)
    assert check_refused(api.predict()) == "queue-full"
    fcntl.flock(lock, fcntl.LOCK_UN)
    for thread in threads:
        thread.join()
    lock.close()
    assert answers == [200] * 4
    assert api.house.ledger.counts()["prediction"] == 4


def wait_until(holds):
    for _ in range(2000):
        if holds():
            return
        threading.Event().wait(0.005)
    pytest.fail("it never came to that")


# --- models that are not what was approved -------------------------------------------------------


def rot(house, digest):
    """Flip one bit of a stored blob."""
    path = house.settings.blobs_dir / digest.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def refusals(house):
    return [parse_entry(e.entry).data for e in house.ledger.entries(type="refusal")]


@pytest.mark.parametrize("part", ["manifest", "artifact"])
def test_bytes_that_are_not_the_approved_ones_do_not_run_and_that_is_recorded_once(tmp_path, part):
    house = make_house(tmp_path / "house", models=("credit-default", "trade-signal"))
    digest = house.inventory.resolve("trade-signal").digest
    artifact = house.inventory.manifest(digest).outputs[0].artifact
    rot(house, digest if part == "manifest" else artifact)
    for _ in range(2):  # a supervisor starts it again and again
        again = assemble(house.settings)
        create_app(again)  # it starts, and serves the others (test_rotten_model.py)
        with pytest.raises(ModelUnavailable, match="sha256"):
            again.inventory.predictor(digest)
    (refusal,) = refusals(again)
    assert refusal["cause"] == "DigestMismatch"
    assert refusal["model_digest"] == digest


def test_a_model_that_rotted_before_its_first_use_is_refused_and_the_others_answer(api):
    digest = publish_package(api.house, packages()[BASELINE_NAME], actor_id=DEVELOPER)
    put_to_work(api.house, digest, reason="a test", actor_id=VALIDATOR)
    rot(api.house, api.house.inventory.manifest(digest).outputs[0].artifact)
    body = {"model": BASELINE_NAME, "features": {"hs_990_250d_pct": 3, "hs_975_250d_pct": 2}}
    for _ in range(3):
        refused = api.trader.post("/v1/predictions", body)
        assert refused.status_code == 503
        assert problem_of(refused)["type"] == "urn:assay:problem:model-unavailable"
    assert len(refusals(api.house)) == 1
    assert api.predict().status_code == 200


def test_a_refusal_is_recorded_again_on_another_day(house):
    digest = house.inventory.resolve("trade-signal").digest
    rot(house, house.inventory.manifest(digest).outputs[0].artifact)
    for days in (0, 0, 1, 1, 2):
        later = assemble(house.settings, lambda days=days: system_clock() + timedelta(days=days))
        with pytest.raises(ModelUnavailable):
            later.inventory.predictor(digest)
    assert len(refusals(house)) == 3


def test_a_refusal_that_cannot_be_recorded_is_no_quiet_one(api):
    digest = publish_package(api.house, packages()[BASELINE_NAME], actor_id=DEVELOPER)
    put_to_work(api.house, digest, reason="a test", actor_id=VALIDATOR)
    rot(api.house, api.house.inventory.manifest(digest).outputs[0].artifact)
    body = {"model": digest, "features": {"hs_990_250d_pct": 3, "hs_975_250d_pct": 2}}
    api.house.inventory.resolve(digest)
    break_storage(api.house)
    check_refused(api.trader.post("/v1/predictions", body))
    mend_storage(api.house)
    assert refusals(api.house) == []
    assert api.trader.post("/v1/predictions", body).status_code == 503
    assert len(refusals(api.house)) == 1


# --- houses that are not what they should be -----------------------------------------------------


def test_a_house_that_is_not_there_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ServiceError, match="assay init"):
        assemble(Settings(data_dir=tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_a_house_is_never_made_twice(tmp_path):
    initialise(Settings(data_dir=tmp_path / "house"))
    with pytest.raises(ServiceError, match="already holds keys"):
        initialise(Settings(data_dir=tmp_path / "house"))


def test_a_key_that_others_can_read_stops_the_start(tmp_path):
    house = make_house(tmp_path / "house", models=())
    for name in ("producer.key", "openings.kek"):
        (house.settings.keys_dir / name).chmod(0o644)
        with pytest.raises(Exception, match="chmod 600"):
            assemble(house.settings)
        (house.settings.keys_dir / name).chmod(0o600)


def test_a_log_under_another_origin_is_refused(tmp_path):
    house = make_house(tmp_path / "house", models=())
    with pytest.raises(LedgerError, match=r"other\.example"):
        assemble(Settings(data_dir=house.settings.data_dir, origin="other.example/log"))


def test_a_missing_key_stops_the_start(tmp_path):
    house = make_house(tmp_path / "house", models=())
    (house.settings.keys_dir / "log.key").unlink()
    with pytest.raises(Exception, match=r"log\.key"):
        assemble(house.settings)
