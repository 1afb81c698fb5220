"""Alarms as the log tells them: raised, acted upon, delivered. Reads only; nothing is kept.

An alarm's state is folded from its entries every time, so it cannot disagree with the log. Alarms
are few: one per limit or job stands open at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ledger.record import unsigned_body
from models.errors import ModelError
from monitoring.alerts import AlarmState, state_after
from service.errors import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.log import Ledger, StoredEntry
    from service.assembly import Assembly

ALARM: Final = "alarm"
ACTS: Final = ("alarm.acknowledged", "alarm.commented", "alarm.closed")
DELIVERED: Final = "alarm.delivered"
HALTED: Final = "model.halted"
JOB: Final = "job:"  # how `about` begins when an alarm is about no model


@dataclass(frozen=True, slots=True)
class Act:
    """One entry about an alarm."""

    leaf: int
    type: str
    at: str
    actor: str
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "leaf_index": self.leaf,
            "type": self.type,
            "event_time": self.at,
            "actor_id": self.actor,
            **{k: v for k, v in self.data.items() if k != "alarm_leaf"},
        }


@dataclass(slots=True)
class Alarm:
    """An alarm with everything recorded about it since, in the order of the log."""

    leaf: int
    at: str
    data: Mapping[str, Any]
    acts: list[Act] = field(default_factory=list)

    @property
    def state(self) -> AlarmState:
        """Open, acknowledged or closed."""
        return state_after(act.type for act in self.acts)

    @property
    def about(self) -> str:
        """A model's digest, or `job:` and a name."""
        return str(self.data["about"])

    def newest(self, kind: str) -> Act | None:
        """The newest entry of a type about it."""
        return next((act for act in reversed(self.acts) if act.type == kind), None)


def alarms(ledger: Ledger, *, about: str | None = None) -> list[Alarm]:
    """Every alarm, or those about one model or job, oldest first."""
    found = {stored.index: _alarm(stored) for stored in ledger.entries(type=ALARM, ref=about)}
    if not found:
        return []
    first = min(found)
    for kind in (*ACTS, DELIVERED, HALTED):
        for stored in ledger.entries(type=kind, first=first):
            act = _act(stored)
            alarm = found.get(act.data["alarm_leaf"])
            if alarm is not None:
                alarm.acts.append(act)
    for alarm in found.values():
        alarm.acts.sort(key=lambda act: act.leaf)
    return list(found.values())


def alarm_at(ledger: Ledger, leaf: int) -> Alarm:
    """One alarm. Raises Missing when the leaf holds none."""
    if leaf >= ledger.size:
        raise Missing(f"no alarm {leaf}", "GET /v1/alarms lists them")
    stored = ledger.entry(leaf)
    if unsigned_body(stored.entry)["type"] != ALARM:
        raise Missing(f"entry {leaf} is no alarm", "GET /v1/alarms lists them")
    alarm = _alarm(stored)
    for kind in (*ACTS, DELIVERED):
        alarm.acts += map(_act, ledger.entries(type=kind, ref=str(leaf)))
    alarm.acts += _halts(ledger.entries(type=HALTED, first=leaf), leaf)
    alarm.acts.sort(key=lambda act: act.leaf)
    return alarm


def alarm_json(assembly: Assembly, alarm: Alarm) -> dict[str, Any]:
    """One line of the list."""
    data, halt = alarm.data, alarm.newest(HALTED)
    return {
        "leaf_index": alarm.leaf,
        "raised_at": alarm.at,
        "state": alarm.state.value,
        "severity": data["severity"],
        "cause": data["cause"],
        "about": alarm.about,
        "model": _model(assembly, alarm),
        "policy_leaf": data["policy_leaf"],
        "metric": data["metric"],
        "detector": data["detector"],
        "guarantee": data["guarantee"],
        "detail": data["detail"],
        "evidence": {
            "since": data["since"],
            "first_outcome_leaf": data["first_leaf"],
            "last_outcome_leaf": data["last_leaf"],
            "count": data["count"],
            "digest": data["evidence_digest"],
        },
        "acknowledged": _said(alarm.newest("alarm.acknowledged")),
        "closed": _said(alarm.newest("alarm.closed")),
        "halted": None if halt is None else halt.to_json(),
    }


def evidence_of(assembly: Assembly, alarm: Alarm) -> dict[str, Any] | None:
    """The evidence's own record; None when there is none, or its bytes are gone or changed."""
    digest = alarm.data["evidence_digest"]
    if digest is None:
        return None
    try:
        return dict(json.loads(assembly.blobs.get(digest)))
    except ModelError:
        return None


def _alarm(stored: StoredEntry) -> Alarm:
    body = unsigned_body(stored.entry)
    return Alarm(stored.index, body["event_time"], body["data"])


def _act(stored: StoredEntry) -> Act:
    body = unsigned_body(stored.entry)
    return Act(stored.index, body["type"], body["event_time"], body["actor_id"], body["data"])


def _halts(entries: Iterable[StoredEntry], leaf: int) -> list[Act]:
    return [act for act in map(_act, entries) if act.data["alarm_leaf"] == leaf]


def _model(assembly: Assembly, alarm: Alarm) -> dict[str, str] | None:
    if alarm.about.startswith(JOB):
        return None
    name = assembly.inventory.manifest(alarm.about).name
    return {"name": name, "model_digest": alarm.about}


def _said(act: Act | None) -> dict[str, Any] | None:
    if act is None:
        return None
    return {
        "leaf_index": act.leaf,
        "by": act.actor,
        "at": act.at,
        "comment": act.data["comment"],
    }
