"""What the scheduler did and did not do: one row for each job's newest run, alarms for the rest.

A job that fails, and a run that nothing ran in time, become alarms about `job:<name>`; one of each
stands open at a time. When the scheduler starts, runs that fell due while there was none are caught
up: once for each job, however many were missed, because every job looks at all that is there.

Jobs that run every few seconds write a row only when they fail, and raise an alarm when they failed
three times in a row: a database that was busy once is no news.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from apscheduler.triggers.interval import IntervalTrigger
from sqlmodel import Session, select

from ledger.store import writer
from service.alerts import raise_about_job
from service.clock import parse_utc, utc_ms
from service.errors import log_facts
from service.lease import heard_of
from service.tables import JobRun

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from apscheduler.triggers.base import BaseTrigger

    from service.assembly import Assembly

ACTOR: Final = "house:scheduler"
GRACE_S: Final = 3600  # a run missed by less than an hour is run late and no alarm
RESULT_MAX: Final = 400  # characters of a job's own line that are kept
FAILURES_MAX: Final = 3  # of a job that runs every few seconds, in a row, before they are an alarm


def started(assembly: Assembly, job: str) -> None:
    """Note that a run begins; if the process dies in it, the row says so."""
    with Session(writer(assembly.engine)) as session:
        row = _row(session, job) or JobRun(job=job, started_at="")
        row.started_at, row.finished_at, row.result = assembly.now(), None, None
        session.add(row)
        session.commit()


def succeeded(assembly: Assembly, job: str, result: str) -> None:
    """Note how a run ended."""
    with Session(writer(assembly.engine)) as session:
        row = _row(session, job) or JobRun(job=job, started_at=assembly.now())
        row.finished_at = row.succeeded_at = assembly.now()
        row.failures, row.result = 0, result[:RESULT_MAX]
        session.add(row)
        session.commit()


def failed(assembly: Assembly, job: str, error: Exception, *, quick: bool) -> None:
    """Note a failure and raise an alarm about it; never raises itself."""
    told = f"{type(error).__name__}"
    cause = log_facts(error)["cause"]
    detail = f"job {job} failed: {told}{f': {cause}' if cause else ''}"
    try:
        with Session(writer(assembly.engine)) as session:
            row = _row(session, job) or JobRun(job=job, started_at=assembly.now())
            row.failures += 1
            row.finished_at, row.result = assembly.now(), detail[:RESULT_MAX]
            failures = row.failures
            session.add(row)
            session.commit()
        if failures >= (FAILURES_MAX if quick else 1):
            raise_about_job(assembly, job, detail=detail, cause="job_failed", actor_id=ACTOR)
    except Exception as second:  # noqa: BLE001 - the log line of the failure itself was written
        structlog.get_logger("jobs").error("failure not recorded", job=job, **log_facts(second))


def missed(assembly: Assembly, job: str, due: datetime) -> None:
    """Raise an alarm about a run that nothing ran; never raises itself."""
    detail = f"job {job} was due at {utc_ms(due)} and nothing ran it; it is run late, once"
    try:
        raise_about_job(assembly, job, detail=detail, cause="job_missed", actor_id=ACTOR)
    except Exception as error:  # noqa: BLE001 - the job itself is still to be run
        structlog.get_logger("jobs").error("miss not recorded", job=job, **log_facts(error))


def overdue(
    assembly: Assembly, triggers: Mapping[str, BaseTrigger], now: datetime
) -> dict[str, datetime]:
    """Jobs whose run fell due before now and was never begun, with when the first was due."""
    with Session(assembly.engine, expire_on_commit=False) as session:
        rows = {row.job: row for row in session.exec(select(JobRun))}
    found = {}
    for job, trigger in triggers.items():
        if job in rows:
            due = due_after(trigger, parse_utc(rows[job].started_at))
            if due is not None and due <= now:
                found[job] = due
    return found


def due_after(trigger: BaseTrigger, last: datetime) -> datetime | None:
    """When the run after one at `last` is due."""
    if isinstance(trigger, IntervalTrigger):  # it counts from when it was made, not from `last`
        interval: timedelta = trigger.interval
        return last + interval
    found: datetime | None = trigger.get_next_fire_time(last, last + timedelta(microseconds=1))
    return found


def status(assembly: Assembly, triggers: Mapping[str, BaseTrigger]) -> dict[str, Any]:
    """The scheduler and its jobs as the API shows them."""
    late = overdue(assembly, triggers, assembly.clock())
    with Session(assembly.engine, expire_on_commit=False) as session:
        rows = {row.job: row for row in session.exec(select(JobRun))}
    holder = heard_of(assembly.engine)
    return {
        "scheduler": None
        if holder is None
        else {"holder": holder[0], "heard_s_ago": round(holder[1])},
        "jobs": [
            {
                "job": job,
                "started_at": row.started_at if (row := rows.get(job)) else None,
                "finished_at": row.finished_at if row else None,
                "succeeded_at": row.succeeded_at if row else None,
                "failures": row.failures if row else 0,
                "result": row.result if row else None,
                "overdue_since": utc_ms(late[job]) if job in late else None,
            }
            for job in sorted({*triggers, *rows})
        ],
    }


def _row(session: Session, job: str) -> JobRun | None:
    return session.get(JobRun, job, with_for_update=True)
