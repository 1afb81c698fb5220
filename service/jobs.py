"""The scheduler's process: cosignatures, seal, drift, evaluations, honesty reports, alarms told.

Never in a web worker.

One runner at a time, over every host of the house (`lease.py`); a second scheduler refuses to start
and says who holds it. Jobs are code, not rows; APScheduler keeps time. A run that was missed, while
this process slept or while there was none, is caught up once, and is an alarm when it is late by
more than `GRACE_S`; so is a job that fails (`job_runs.py`).
"""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from service import job_runs
from service.alerts_delivery import deliver
from service.champion import issue_comparison
from service.clock import utc_ms
from service.correctness import issue_correctness
from service.drift import measure_drift
from service.errors import log_facts
from service.honesty import issue_honesty
from service.job_runs import ACTOR, GRACE_S
from service.lease import running
from service.logs import configure
from service.sealing import seal
from service.shadow import score_shadows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apscheduler.events import JobExecutionEvent
    from apscheduler.triggers.base import BaseTrigger

    from service.assembly import Assembly
    from service.lease import Lease
    from service.settings import Settings

DELIVER_S: Final = 10  # between two looks for an alarm to be told
SHADOW_S: Final = 5  # between two looks for requests that a shadow has not answered


def daily_seal(house: Assembly) -> str:
    """Seal yesterday."""
    period = utc_ms(house.clock() - timedelta(days=1))[:10]
    return f"sealed {period} at leaf {seal(house, period=period, actor_id=ACTOR).index}"


def drift(house: Assembly) -> str:
    """Measure input drift of every model in production."""
    leaves = measure_drift(house, actor_id=ACTOR)
    return f"drift recorded at leaves {', '.join(map(str, leaves)) or 'none: nothing to compare'}"


def correctness(house: Assembly) -> str:
    """Issue a correctness report."""
    return f"correctness report at leaf {issue_correctness(house, actor_id=ACTOR).index}"


def comparison(house: Assembly) -> str:
    """Compare every champion with its shadows."""
    done = issue_comparison(house, actor_id=ACTOR)
    return "" if done is None else f"comparison at leaf {done.index}"


def honesty(house: Assembly) -> str:
    """Issue an honesty report."""
    return f"honesty report at leaf {issue_honesty(house, actor_id=ACTOR).index}"


def cosign(house: Assembly) -> str:
    """Show the newest checkpoint to the witnesses that have not cosigned it."""
    if house.cosigning is None:
        return ""
    return str(house.cosigning.collect())


JOBS: Final[Mapping[str, Callable[[Assembly], str]]] = {
    "seal": daily_seal,
    "drift": drift,
    "correctness": correctness,
    "comparison": comparison,
    "honesty": honesty,
    "cosign": cosign,
    "deliver": deliver,
    "shadow": score_shadows,
}
# Must not wait for a report that reads the whole log, nor for each other: a thread for each.
QUICK: Final = frozenset({"cosign", "deliver", "shadow"})


LATE: Final = " late"  # of the id of a run that is caught up


def run_once(house: Assembly, names: Sequence[str]) -> list[str]:
    """Run the named jobs now, through the scheduler, in order; the first failure raises."""
    results: list[str] = []
    failures: list[Exception] = []
    with running(house):
        scheduler = _scheduler()

        def run_all() -> None:
            try:
                results.extend(JOBS[name](house) for name in names)
            except Exception as error:  # noqa: BLE001 - handed to the caller below
                failures.append(error)
            scheduler.shutdown(wait=False)

        # Due now and again much later: APScheduler forgets a job that is over while the job itself
        # shuts it down, and trips over that.
        later = IntervalTrigger(days=365)
        scheduler.add_job(run_all, later, next_run_time=house.clock(), misfire_grace_time=None)
        scheduler.start()
    if failures:
        raise failures[0]
    return results


def run_scheduler(house: Assembly) -> None:
    """Keep time until SIGTERM or Ctrl-C. Refuses when another scheduler holds the house."""
    configure()
    with running(house) as lease:
        scheduler = _scheduler()
        times = triggers(house.settings)
        late = _late(house, times)
        for name, trigger in times.items():
            now = {"next_run_time": house.clock()} if name in late else {}
            executor = name if name in QUICK else "default"
            scheduler.add_job(
                _logged(house, name, lease), trigger, id=name, executor=executor, **now
            )
        scheduler.add_listener(_missed(house, scheduler), EVENT_JOB_MISSED)
        signal.signal(signal.SIGTERM, lambda *_: _stop(scheduler))
        structlog.get_logger("jobs").info("scheduler started", jobs=sorted(JOBS))
        try:
            scheduler.start()
        except KeyboardInterrupt:
            scheduler.shutdown(wait=True)


def _late(house: Assembly, times: Mapping[str, BaseTrigger]) -> frozenset[str]:
    """Jobs that fell due while there was no scheduler; those late by too much become alarms."""
    now = house.clock()
    slow = {name: trigger for name, trigger in times.items() if name not in QUICK}
    found = job_runs.overdue(house, slow, now)
    for name, due in found.items():
        if now - due > timedelta(seconds=GRACE_S):
            job_runs.missed(house, name, due)
    return frozenset(found)


def _missed(house: Assembly, scheduler: BlockingScheduler) -> Callable[[JobExecutionEvent], None]:
    """What to do about a run that came too late: an alarm, and the job once, now.

    As a job of its own: the missed one's next time may be written by APScheduler's own thread after
    its listeners were told, which would undo a change to it.
    """

    def listen(event: JobExecutionEvent) -> None:
        job = scheduler.get_job(event.job_id)
        if job is None or event.job_id in QUICK or event.job_id.endswith(LATE):
            return
        job_runs.missed(house, event.job_id, event.scheduled_run_time)
        scheduler.add_job(
            job.func,
            id=event.job_id + LATE,
            executor=job.executor,
            misfire_grace_time=None,
            replace_existing=True,
        )

    return listen


def triggers(settings: Settings) -> dict[str, BaseTrigger]:
    """When each job runs."""
    every = settings.evaluate_every_minutes
    return {
        "seal": CronTrigger(hour=settings.seal_hour_utc, minute=0, timezone="UTC"),
        "drift": CronTrigger(hour=settings.seal_hour_utc, minute=10, timezone="UTC"),
        "correctness": IntervalTrigger(minutes=every, timezone="UTC"),
        "comparison": IntervalTrigger(minutes=every, timezone="UTC"),
        "honesty": CronTrigger(hour=settings.seal_hour_utc, minute=20, timezone="UTC"),
        "cosign": IntervalTrigger(seconds=settings.cosign_every_seconds, timezone="UTC"),
        "deliver": IntervalTrigger(seconds=DELIVER_S, timezone="UTC"),
        "shadow": IntervalTrigger(seconds=SHADOW_S, timezone="UTC"),
    }


def _scheduler() -> BlockingScheduler:
    """One worker thread: jobs append to one log and two at once would only wait for each other.

    One more for each job that must not wait.
    """
    return BlockingScheduler(
        executors={name: ThreadPoolExecutor(1) for name in ("default", *sorted(QUICK))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_S},
        timezone="UTC",
    )


def _logged(house: Assembly, name: str, lease: Lease | None = None) -> Callable[[], None]:
    def run() -> None:
        log = structlog.get_logger("jobs")
        if lease is not None and not lease.held:
            log.error("job not run: the lease is not ours for sure", job=name)
            return
        try:
            if name not in QUICK:
                job_runs.started(house, name)
            result = JOBS[name](house)
            if name not in QUICK:
                job_runs.succeeded(house, name, result)
            if result:
                log.info("job done", job=name, result=result)
        except Exception as error:  # noqa: BLE001 - the next run may do better
            log.error("job failed", job=name, **log_facts(error))  # noqa: TRY400 - no texts of others
            job_runs.failed(house, name, error, quick=name in QUICK)

    return run


def _stop(scheduler: BlockingScheduler) -> None:
    """End after the job in hand; before the first tick there is nothing to wait for."""
    if not scheduler.running:
        raise SystemExit(0)
    scheduler.shutdown(wait=True)
