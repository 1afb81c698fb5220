"""The scheduler: each job once, one scheduler a house, what was missed caught up once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from houses import DESK, Api, break_storage, make_house, signal_days
from ledger.record import parse_entry
from logs import only_sqlite
from models.reference import trade_signal
from service import jobs
from service.assembly import assemble
from service.errors import ServiceError
from service.predict import Ask, predict

# --- one run -------------------------------------------------------------------------------------


def test_jobs_run_once_through_the_scheduler_in_the_order_given(house):
    told = jobs.run_once(house, ["seal", "correctness", "honesty"])
    assert [line.split()[0] for line in told] == ["sealed", "correctness", "honesty"]
    assert house.ledger.counts()["report"] == 2
    kinds = [e for e in house.ledger.entries() if parse_entry(e.entry).type in {"seal", "report"}]
    assert [parse_entry(e.entry).data.get("report_kind") for e in kinds] == [
        None,
        "correctness",
        "honesty",
    ]
    assert {parse_entry(e.entry).body["actor_id"] for e in kinds} == {jobs.ACTOR}


def test_the_daily_seal_is_labelled_with_the_day_that_closed(tmp_path):
    house = make_house(tmp_path / "house", models=())
    midnight = datetime(2026, 11, 25, 0, 0, 1, tzinfo=UTC)
    house = assemble(house.settings, lambda: midnight)
    jobs.run_once(house, ["seal"])
    (stored,) = house.ledger.entries(type="seal")
    assert parse_entry(stored.entry).data["period"] == "2026-11-24"


def test_a_failing_job_is_told_to_its_caller_and_those_after_it_do_not_run(house, monkeypatch):
    def fail(_):
        raise ServiceError(500, "x", "it broke")

    monkeypatch.setitem(jobs.JOBS, "drift", fail)
    with pytest.raises(ServiceError, match="it broke"):
        jobs.run_once(house, ["seal", "drift", "correctness"])
    assert "report" not in house.ledger.counts()
    monkeypatch.undo()
    jobs.run_once(house, ["correctness"])  # the lease was given back


def test_a_job_that_cannot_record_tells_why(house):
    break_storage(house)
    with pytest.raises(Exception, match="ledger"):
        jobs.run_once(house, ["seal"])


def test_too_few_predictions_give_no_drift_entry(house):
    (told,) = jobs.run_once(house, ["drift"])
    assert "nothing to compare" in told
    assert "drift" not in house.ledger.counts()


@only_sqlite
@pytest.mark.slow
def test_drift_is_measured_outside_this_process_and_recorded(house):
    ref = house.inventory.resolve(trade_signal.NAME)
    leaves = []
    for day in signal_days(40):
        row = [day.of(trade_signal.FEATURES)]
        ask = Ask(model=ref.digest, rows=row, caller=DESK, as_of=day.as_of)
        leaves.append(predict(house, ask).index)
    (told,) = jobs.run_once(house, ["drift"])
    (stored,) = house.ledger.entries(type="drift")
    data = parse_entry(stored.entry).data
    assert str(stored.index) in told
    assert (data["first_leaf"], data["last_leaf"]) == (leaves[0], leaves[-1])
    assert data["library"] == "evidently"
    assert data["version"]
    training = house.inventory.manifest(ref.digest).training
    assert data["reference_digest"] == training.reference_digest
    for name in ("result_digest", "configuration_digest"):
        assert house.blobs.has(data[name])
    result = json.loads(house.blobs.get(data["result_digest"]))
    names = {column["column"] for column in result["columns"]}
    assert names == {*trade_signal.FEATURES, "score:margin_q16"}
    assert all(column["psi_limit"] for column in result["columns"])
    api = Api(house)
    page = api.risk.get(f"/v1/models/{trade_signal.NAME}/drift/{stored.index}/page")
    assert page.status_code == 200
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert page.headers["Content-Security-Policy"].startswith(
        "sandbox allow-scripts; default-src 'none'"
    )
    assert b"<html" in page.data[:2000]
    for leaf in (stored.index + 1, leaves[0], 10**9):
        assert api.risk.get(f"/v1/models/{trade_signal.NAME}/drift/{leaf}/page").status_code == 404
    assert api.risk.get(f"/v1/models/credit-default/drift/{stored.index}/page").status_code == 404
    assert "evidently" not in sys.modules


# --- one scheduler -------------------------------------------------------------------------------


def test_a_second_scheduler_is_refused_and_told_who_runs(house):
    with (
        jobs.running(house),
        pytest.raises(ServiceError, match=f"process {os.getpid()}") as told,
    ):
        jobs.run_once(house, ["seal"])
    assert f"kill {os.getpid()}" in told.value.detail
    assert "seal" not in house.ledger.counts()
    jobs.run_once(house, ["seal"])  # and the lease ends with its holder


def test_a_lease_whose_holder_wrote_nothing_yet_is_still_refused(house):
    import fcntl

    with (house.settings.data_dir / "scheduler.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ServiceError, match="stop it first: stop it"):
            jobs.run_once(house, ["seal"])


def test_a_lease_left_by_a_dead_process_holds_nobody_up(house):
    code = (
        "import sys, os; from pathlib import Path; from service.settings import Settings; "
        "from service.locks import lease\n"
        "with lease(Settings(data_dir=Path(sys.argv[1]))): os._exit(9)"
    )
    died = subprocess.run([sys.executable, "-c", code, house.settings.data_dir], check=False)
    assert died.returncode == 9
    assert (house.settings.data_dir / "scheduler.lock").read_text()
    jobs.run_once(house, ["seal"])


@pytest.mark.slow
def test_the_scheduler_ends_with_sigterm_and_gives_its_lease_back(tmp_path):
    house = make_house(tmp_path / "house", models=())
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "scheduler", "--data-dir", house.settings.data_dir],
        stderr=subprocess.PIPE,
        text=True,
    )
    line = json.loads(process.stderr.readline())
    assert line["event"] == "scheduler started"
    assert line["jobs"] == sorted(jobs.JOBS)
    with pytest.raises(ServiceError, match=f"process {process.pid}"):
        jobs.run_once(house, ["seal"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    jobs.run_once(house, ["seal"])


# --- time ----------------------------------------------------------------------------------------


def test_every_job_has_a_time(house):
    assert set(jobs.triggers(house.settings)) == set(jobs.JOBS)


def test_the_daily_jobs_run_once_a_day_in_their_order(tmp_path):
    house = make_house(tmp_path / "house", models=(), seal_hour_utc=22)
    triggers = jobs.triggers(house.settings)
    now = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    times = {name: triggers[name].get_next_fire_time(None, now) for name in ("seal", "drift")}
    assert times["seal"] == datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
    assert times["seal"] < times["drift"]
    again = triggers["seal"].get_next_fire_time(times["seal"], times["seal"] + timedelta(seconds=1))
    assert again - times["seal"] == timedelta(days=1)


def run_for_a_moment(scheduler, enough):
    """Start a blocking scheduler in a thread until `enough()`, or a second."""
    thread = threading.Thread(target=scheduler.start)
    thread.start()
    until = time.monotonic() + 1
    while time.monotonic() < until and not enough():
        time.sleep(0.01)
    time.sleep(0.1)
    scheduler.shutdown(wait=True)
    thread.join()


def test_many_missed_runs_are_caught_up_by_one():
    runs = []
    scheduler = jobs._scheduler()
    missed = datetime.now(UTC) - timedelta(seconds=jobs.GRACE_S - 60)
    scheduler.add_job(
        lambda: runs.append(1), IntervalTrigger(seconds=600, timezone="UTC"), next_run_time=missed
    )
    run_for_a_moment(scheduler, lambda: runs)
    assert runs == [1]


def test_a_run_missed_by_too_long_waits_for_its_next_time():
    runs = []
    scheduler = jobs._scheduler()
    missed = datetime.now(UTC) - timedelta(seconds=jobs.GRACE_S + 60)
    scheduler.add_job(
        lambda: runs.append(1), IntervalTrigger(days=7, timezone="UTC"), next_run_time=missed
    )
    run_for_a_moment(scheduler, lambda: runs)
    assert runs == []


def test_a_job_that_takes_longer_than_its_interval_never_overlaps_itself():
    running, most = [], []
    scheduler = jobs._scheduler()

    def slow():
        running.append(1)
        most.append(len(running))
        time.sleep(0.25)
        running.pop()

    scheduler.add_job(slow, IntervalTrigger(seconds=0.05, timezone="UTC"))
    run_for_a_moment(scheduler, lambda: len(most) >= 2)
    assert max(most) == 1


def test_a_failed_job_is_logged_without_what_its_error_said_and_tried_again(
    house, monkeypatch, capsys
):
    from service.logs import configure

    def fail(_):
        raise ValueError("could not convert string to float: 'Ms Example'")

    configure()
    monkeypatch.setitem(jobs.JOBS, "seal", fail)
    for _ in range(2):
        jobs._logged(house, "seal")()
    printed = "".join(capsys.readouterr())
    told = [json.loads(line) for line in printed.splitlines()]
    assert [line["event"] for line in told] == ["job failed"] * 2
    assert told[0]["error"] == "ValueError"
    assert "Example" not in printed
