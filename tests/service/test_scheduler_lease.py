"""One scheduler over every host: the lease, its heartbeat, who may take over, and what was missed."""

import shutil
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from houses import make_house
from logs import only_sqlite
from service import job_runs, jobs, lease
from service.alerts_read import alarms
from service.assembly import assemble
from service.clock import utc_ms
from service.errors import ServiceError
from service.settings import Settings


@pytest.fixture
def other(house, tmp_path):
    """The same house on another host: its own directory, the same database."""
    if not house.settings.database_url:
        pytest.skip("a house on SQLite has one host")
    directory = tmp_path / "another-host"
    shutil.copytree(house.settings.data_dir, directory)
    made = assemble(Settings(data_dir=directory, database_url=house.settings.database_url))
    yield made
    made.engine.dispose()


def silence(house, seconds):
    """As if the holder had last been heard of so long ago."""
    with house.engine.begin() as connection:
        connection.execute(
            text("UPDATE service_lease SET heard_ms = heard_ms - :ms"), {"ms": seconds * 1000}
        )


def rows(house):
    with house.engine.connect() as connection:
        return connection.execute(text("SELECT holder FROM service_lease")).all()


# --- the lease ---------------------------------------------------------------------------------


def test_a_scheduler_on_another_host_is_refused_and_told_who_runs(house, other):
    with lease.running(house), pytest.raises(ServiceError, match="was heard of") as told:
        jobs.run_once(other, ["seal"])
    assert str(house.settings.data_dir.name) in told.value.detail
    assert "seal" not in house.ledger.counts()
    jobs.run_once(other, ["seal"])  # it was given back, so nobody waits


def test_a_silent_scheduler_is_succeeded_and_starts_no_job_any_more(house, other):
    with lease.running(house) as first:
        silence(house, lease.LEASE_S + 1)
        with lease.running(other) as second:
            first.beat()
            assert (first.held, second.held) == (False, True)
            jobs._logged(house, "seal", first)()
            assert "seal" not in house.ledger.counts()
            jobs._logged(other, "seal", second)()
            assert house.ledger.counts()["seal"] == 1
        assert rows(house) == []  # the second gave back its own


def test_one_that_was_heard_of_lately_is_not_succeeded(house, other):
    with lease.running(house):
        silence(house, lease.LEASE_S - 2)
        with pytest.raises(ServiceError, match="holds the house's lease"), lease.running(other):
            pass


def test_a_dead_scheduler_of_this_host_is_succeeded_at_once(house):
    """The lock file tells: whoever wrote the row and held the file is gone."""
    with lease.running(house):
        holder = rows(house)[0].holder
    with house.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO service_lease (name, holder, heard_ms) VALUES (:n, :h, :t)"),
            {"n": lease.NAME, "h": holder, "t": time.time_ns() // 1_000_000},
        )
    with lease.running(house) as again:
        assert again.held


def test_a_holder_that_cannot_be_heard_is_not_sure_of_its_lease(house, monkeypatch):
    with lease.running(house) as held:
        monkeypatch.setattr(lease, "SURE_S", 0)
        assert not held.held
        monkeypatch.undo()
        assert held.held


def test_the_heartbeat_goes_on_by_itself(house, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    with lease.running(house):
        silence(house, 100)
        deadline = time.monotonic() + 30
        while lease.heard_of(house.engine)[1] > 50:
            assert time.monotonic() < deadline
            time.sleep(0.02)


# --- runs --------------------------------------------------------------------------------------


def at(house, moment):
    return assemble(house.settings, lambda: moment)


def test_a_run_that_fell_due_while_nothing_ran_is_caught_up_once_and_told(house):
    triggers = jobs.triggers(house.settings)
    jobs._logged(house, "seal")()
    assert jobs._late(house, triggers) == frozenset()
    later = at(house, house.clock() + timedelta(days=3))
    assert jobs._late(later, triggers) == {"seal"}
    (alarm,) = alarms(house.ledger)
    assert (alarm.about, alarm.data["cause"]) == ("job:seal", "job_missed")
    jobs._logged(later, "seal")()
    assert jobs._late(later, triggers) == frozenset()
    assert house.ledger.counts()["seal"] == 2
    later.engine.dispose()


def test_a_run_late_by_minutes_is_caught_up_without_an_alarm(house):
    jobs._logged(house, "correctness")()
    every = timedelta(minutes=house.settings.evaluate_every_minutes)
    later = at(house, house.clock() + every + timedelta(minutes=5))
    assert jobs._late(later, jobs.triggers(house.settings)) == {"correctness"}
    assert alarms(house.ledger) == []
    later.engine.dispose()


def test_a_run_that_was_killed_in_the_middle_is_due_again_in_time(house):
    job_runs.started(house, "seal")
    told = job_runs.status(house, jobs.triggers(house.settings))
    (seal,) = [job for job in told["jobs"] if job["job"] == "seal"]
    assert (seal["finished_at"], seal["succeeded_at"]) == (None, None)
    later = at(house, house.clock() + timedelta(days=2))
    assert "seal" in jobs._late(later, jobs.triggers(house.settings))
    later.engine.dispose()


def fail(_):
    raise ServiceError(500, "x", "the disk is on fire")


def test_a_failed_job_is_one_alarm_however_often_it_fails(house, monkeypatch):
    monkeypatch.setitem(jobs.JOBS, "seal", fail)
    for _ in range(3):
        jobs._logged(house, "seal")()
    (alarm,) = alarms(house.ledger)
    assert alarm.data["cause"] == "job_failed"
    assert "the disk is on fire" in alarm.data["detail"]
    told = job_runs.status(house, jobs.triggers(house.settings))
    (seal,) = [job for job in told["jobs"] if job["job"] == "seal"]
    assert (seal["failures"], seal["succeeded_at"]) == (3, None)
    monkeypatch.undo()
    jobs._logged(house, "seal")()
    told = job_runs.status(house, jobs.triggers(house.settings))
    (seal,) = [job for job in told["jobs"] if job["job"] == "seal"]
    assert seal["failures"] == 0


def test_what_an_error_of_others_says_is_in_no_alarm(house, monkeypatch):
    def leak(_):
        raise ValueError("could not convert string to float: 'Ms Example'")

    monkeypatch.setitem(jobs.JOBS, "seal", leak)
    jobs._logged(house, "seal")()
    (alarm,) = alarms(house.ledger)
    assert "ValueError" in alarm.data["detail"]
    assert "Example" not in alarm.data["detail"]


def test_a_quick_job_is_an_alarm_after_three_failures(house, monkeypatch):
    monkeypatch.setitem(jobs.JOBS, "cosign", fail)
    for expected in (0, 0, 1, 1):
        jobs._logged(house, "cosign")()
        assert len(alarms(house.ledger)) == expected


@only_sqlite
def test_a_run_that_apscheduler_gives_up_is_an_alarm_and_is_run(house):
    from apscheduler.events import EVENT_JOB_MISSED
    from apscheduler.triggers.interval import IntervalTrigger

    ran = []
    scheduler = jobs._scheduler()
    slept = house.clock() - timedelta(seconds=jobs.GRACE_S + 60)
    scheduler.add_job(
        lambda: ran.append(1),
        IntervalTrigger(days=7, timezone="UTC"),
        next_run_time=slept,
        id="seal",
    )
    scheduler.add_listener(jobs._missed(house, scheduler), EVENT_JOB_MISSED)
    thread = threading.Thread(target=scheduler.start, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not ran and time.monotonic() < deadline:
        time.sleep(0.02)
    scheduler.shutdown(wait=True)
    thread.join(10)
    assert ran == [1]
    (alarm,) = alarms(house.ledger)
    assert utc_ms(slept) in alarm.data["detail"]


def test_times_are_utc_and_the_rules_are_stated(tmp_path):
    house = make_house(tmp_path / "house", models=())
    scheduler = jobs._scheduler()
    assert str(scheduler.timezone) == "UTC"
    assert scheduler._job_defaults["coalesce"] is True
    assert scheduler._job_defaults["max_instances"] == 1
    assert scheduler._job_defaults["misfire_grace_time"] == jobs.GRACE_S
    assert {str(t.timezone) for t in jobs.triggers(house.settings).values()} == {"UTC"}
    house.engine.dispose()
