"""Alarms raised and acted upon: entries of the log, one open at a time for each limit or job.

`raise_alarms` records what a correctness report says was crossed; `raise_about_job` that a job was
missed or failed. People acknowledge, comment and close, by name and with a comment. Looking and
appending are one act (`ledger/condition.py`), so two processes never raise one alarm twice, and two
people never both close it.

Telling people is `alerts_delivery.py`, halting models `switch.py`: neither can keep an alarm from
being recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.canonical import canonical_bytes
from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from monitoring.alerts import ALERT, AlarmState, crossings, severity
from service.alerts_read import ACTS, ALARM, JOB, alarm_at, alarms
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ledger.log import Appended
    from monitoring.alerts import Crossing
    from service.alerts_read import Alarm
    from service.assembly import Assembly

DETAIL_MAX: Final = 2000  # characters of the sentence in an alarm, as the grammar of entries has it
ACKNOWLEDGED, COMMENTED, CLOSED = ACTS


def raise_alarms(assembly: Assembly, report: Mapping[str, Any], *, actor_id: str) -> list[Appended]:
    """Record an alarm for each limit that a report says was crossed and that has none open."""
    raised = []
    for crossing in crossings(report):
        done = _raise(assembly, _limit_alarm(assembly, crossing), actor_id=actor_id)
        if done is not None:
            raised.append(done)
    return raised


def raise_about_job(
    assembly: Assembly, job: str, *, detail: str, cause: str, actor_id: str
) -> Appended | None:
    """Record that a job was missed or failed; None when an alarm about it is open already."""
    data = _unmeasured(JOB + job, cause=cause, severity="amber", detail=detail)
    return _raise(assembly, data, actor_id=actor_id)


def raise_by_hand(
    assembly: Assembly, *, digest: str, detail: str, action: str, actor_id: str
) -> Appended | None:
    """Record a person's own alarm about a model; None when one by a person is open already."""
    data = _unmeasured(digest, cause="person", severity=severity(action), detail=detail)
    return _raise(assembly, data, actor_id=actor_id)


def acknowledge(assembly: Assembly, leaf: int, *, comment: str, actor_id: str) -> Appended:
    """Record that a person has seen an alarm and what that person says of it."""
    return _act(assembly, leaf, ACKNOWLEDGED, comment=comment, actor_id=actor_id)


def remark(assembly: Assembly, leaf: int, *, comment: str, actor_id: str) -> Appended:
    """Record a comment; it may come after the alarm was closed."""
    return _act(assembly, leaf, COMMENTED, comment=comment, actor_id=actor_id)


def close(assembly: Assembly, leaf: int, *, comment: str, actor_id: str) -> Appended:
    """Close an alarm: its detector starts again after this entry. A halted model stays halted."""
    return _act(assembly, leaf, CLOSED, comment=comment, actor_id=actor_id)


def action_of(assembly: Assembly, policy_leaf: int | None) -> str:
    """What the limit behind an alarm asks for; a plain `limits` entry asks for telling people."""
    if policy_leaf is None:
        return ALERT
    data = unsigned_body(assembly.ledger.entry(policy_leaf).entry)["data"]
    return str(data.get("on_alarm", ALERT))


def _unmeasured(about: str, *, cause: str, severity: str, detail: str) -> dict[str, object]:
    """An alarm behind which no figure stands."""
    return {
        "about": about,
        "cause": cause,
        "severity": severity,
        "policy_leaf": None,
        "metric": None,
        "detector": None,
        "guarantee": None,
        "detail": detail[:DETAIL_MAX],
        "since": None,
        "first_leaf": None,
        "last_leaf": None,
        "count": 0,
        "evidence_digest": None,
    }


def _limit_alarm(assembly: Assembly, crossing: Crossing) -> dict[str, object]:
    return {
        "about": crossing.model_digest,
        "cause": "limit",
        "severity": severity(action_of(assembly, crossing.limit_leaf)),
        "policy_leaf": crossing.limit_leaf,
        "metric": crossing.metric,
        "detector": crossing.detector,
        "guarantee": crossing.guarantee,
        "detail": f"{crossing.model_name}: {crossing.metric} {crossing.detail}"[:DETAIL_MAX],
        "since": crossing.since,
        "first_leaf": crossing.first_leaf,
        "last_leaf": crossing.last_leaf,
        "count": crossing.count,
        "evidence_digest": assembly.blobs.put(canonical_bytes(dict(crossing.evidence))),
    }


def _raise(assembly: Assembly, data: Mapping[str, object], *, actor_id: str) -> Appended | None:
    about = str(data["about"])
    while True:
        since = assembly.ledger.size  # before looking: what comes in from here on was not seen
        if any(_same(alarm.data, data) for alarm in open_alarms(assembly, about=about)):
            return None
        draft = Draft(
            type=ALARM, actor_id=actor_id, data=data, event_time=assembly.now(), ref=about
        )
        unless = Unless(since, frozenset({(ALARM, about)}))
        try:
            return assembly.ledger.append(draft, assembly.signers[Role.REPORTER], unless=unless)
        except Overtaken:
            continue  # by another alarm about it, perhaps the same: look again


def open_alarms(assembly: Assembly, *, about: str | None = None) -> list[Alarm]:
    """Alarms that nobody has closed, oldest first."""
    found = alarms(assembly.ledger, about=about)
    return [alarm for alarm in found if alarm.state is not AlarmState.CLOSED]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["cause"], one["policy_leaf"]) == (other["cause"], other["policy_leaf"])


def _act(assembly: Assembly, leaf: int, kind: str, *, comment: str, actor_id: str) -> Appended:
    while True:
        since = assembly.ledger.size
        _check_act(alarm_at(assembly.ledger, leaf).state, leaf, kind)
        draft = Draft(
            type=kind,
            actor_id=actor_id,
            data={"alarm_leaf": leaf, "comment": comment},
            event_time=assembly.now(),
            parents=(leaf,),
            ref=str(leaf),
        )
        news = frozenset((act, str(leaf)) for act in (ACKNOWLEDGED, CLOSED))
        try:
            return assembly.ledger.append(
                draft, assembly.signers[Role.APPROVER], unless=Unless(since, news)
            )
        except Overtaken:
            continue


def _check_act(state: AlarmState, leaf: int, kind: str) -> None:
    if kind == COMMENTED:
        return
    if state is AlarmState.CLOSED:
        raise ServiceError(409, "alarm-closed", f"alarm {leaf} was closed; it may be commented on")
    if kind == ACKNOWLEDGED and state is AlarmState.ACKNOWLEDGED:
        raise ServiceError(
            409, "alarm-acknowledged", f"alarm {leaf} was acknowledged; comment on it, or close it"
        )
