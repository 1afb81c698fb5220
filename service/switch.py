"""The kill switch: which models may not answer, and by which alarm. All of it is in the log.

A red alarm of a policy that says so puts its model in `shadow` (it computes and is recorded, and no
caller gets an answer) or `blocked` (it does not compute); a person can do the same by hand, with a
reason. Two people together put it back. `Switch` is that state, folded from `model.halted` and
`model.resumed`; the inventory keeps one in memory and reads the log for news every
`inventory.REFRESH_S`, so a request is held against a dictionary. A prediction is moreover appended
on condition that nothing of its name was halted since it chose its model: none has a later leaf
than the halt that forbids it, over all processes and hosts, and after a restart.

Of several halts since the last resumption the strictest counts, and of those the first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from monitoring.alerts import HALTING
from service.alerts import action_of, open_alarms, raise_by_hand
from service.alerts_read import HALTED, JOB
from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.log import Appended, StoredEntry
    from service.assembly import Assembly

RESUMED: Final = "model.resumed"
SWITCHES: Final = (HALTED, RESUMED)
BLOCKED, SHADOW = "blocked", "shadow"
ACTOR: Final = "house:switch"


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a model does not answer."""

    leaf: int
    state: str
    alarm_leaf: int
    name: str
    reason: str


class Halted(ServiceError):
    """The model may not answer."""

    def __init__(self, digest: str, halt: Halt, recorded: int | None = None) -> None:
        shadow = "" if recorded is None else f" What it computed is recorded as {recorded}."
        super().__init__(
            409,
            "model-halted",
            f"{halt.name} ({digest[:19]}) is in state {halt.state} by alarm {halt.alarm_leaf} "
            f"since entry {halt.leaf}, and answers nobody.{shadow}",
            members={
                "alarm_leaf": halt.alarm_leaf,
                "halted_leaf": halt.leaf,
                "state": halt.state,
                "prediction_leaf": recorded,
            },
        )
        self.digest = digest
        self.halt = halt


class Switch:
    """Halted models by digest; never changed: news make another one."""

    def __init__(self, halts: Mapping[str, tuple[Halt, ...]] | None = None) -> None:
        self._halts = MappingProxyType(dict(halts or {}))

    def after(self, entries: Iterable[StoredEntry]) -> Switch:
        """The state after more entries, in the order of the log."""
        halts = dict(self._halts)
        for stored in entries:
            body = unsigned_body(stored.entry)
            data = body["data"]
            digest = str(data["model_digest"])
            if body["type"] == RESUMED:
                halts.pop(digest, None)
            else:
                halts[digest] = (*halts.get(digest, ()), _halt(stored.index, data))
        return Switch(halts)

    def halt_of(self, digest: str) -> Halt | None:
        """The halt that holds for a model; None when it may answer."""
        found = self._halts.get(digest)
        if not found:
            return None
        return next((halt for halt in found if halt.state == BLOCKED), found[0])

    def halted(self) -> dict[str, Halt]:
        """Every halted model with the halt that holds."""
        return {digest: halt for digest in self._halts if (halt := self.halt_of(digest))}

    def check(self, digest: str) -> None:
        """Raise Halted when a model may not answer."""
        halt = self.halt_of(digest)
        if halt is not None:
            raise Halted(digest, halt)


def _halt(leaf: int, data: Mapping[str, Any]) -> Halt:
    return Halt(leaf, data["state"], data["alarm_leaf"], data["name"], data["reason"])


def switch_of(assembly: Assembly) -> Switch:
    """The state as of the log's head, read now."""
    found = [e for kind in SWITCHES for e in assembly.ledger.entries(type=kind)]
    return Switch().after(sorted(found, key=lambda stored: stored.index))


# --- halting ---------------------------------------------------------------------------------


def halt_what_is_due(assembly: Assembly) -> list[Appended]:
    """Halt the model of each open alarm whose policy asks for it, once for each alarm.

    What a crash left undone between an alarm and its halt is done by the next call.
    """
    halted = []
    for alarm in open_alarms(assembly):
        action = action_of(assembly, alarm.data["policy_leaf"])
        if action not in HALTING or alarm.about.startswith(JOB) or alarm.newest(HALTED):
            continue
        reason = f"alarm {alarm.leaf}: {alarm.data['detail']}"[:2000]
        halted.append(
            _append_halt(
                assembly, alarm.about, action, alarm=alarm.leaf, reason=reason, actor_id=ACTOR
            )
        )
    return halted


def halt_by_hand(
    assembly: Assembly, *, digest: str, state: str, reason: str, actor_id: str
) -> Appended:
    """Halt a model because a person says so: an alarm of that person, and the halt."""
    name = assembly.inventory.manifest(digest).name
    detail = f"{name}: halted by hand: {reason}"
    raise_by_hand(assembly, digest=digest, detail=detail, action=state, actor_id=actor_id)
    mine = [a for a in open_alarms(assembly, about=digest) if a.data["cause"] == "person"]
    return _append_halt(
        assembly, digest, state, alarm=mine[-1].leaf, reason=reason, actor_id=actor_id
    )


def _append_halt(
    assembly: Assembly, digest: str, state: str, *, alarm: int, reason: str, actor_id: str
) -> Appended:
    name = assembly.inventory.manifest(digest).name
    once = hashlib.sha256(f"halt\0{alarm}\0{state}".encode()).hexdigest()
    draft = Draft(
        type=HALTED,
        actor_id=actor_id,
        data={
            "model_digest": digest,
            "name": name,
            "reason": reason,
            "state": state,
            "alarm_leaf": alarm,
        },
        event_time=assembly.now(),
        idempotency_key=once,
        request_digest=once,
        parents=(alarm,),
        ref=name,
    )
    return assembly.ledger.append(draft, assembly.signers[Role.REPORTER])


# --- resuming --------------------------------------------------------------------------------


def check_resumption(assembly: Assembly, digest: str) -> Halt:
    """The newest halt that a resumption would end. Raises when the model is not halted."""
    name = assembly.inventory.manifest(digest).name
    since = [e for kind in SWITCHES for e in assembly.ledger.entries(type=kind, ref=name)]
    newest: Halt | None = None
    for stored in sorted(since, key=lambda entry: entry.index):
        body = unsigned_body(stored.entry)
        if body["data"]["model_digest"] == digest:
            newest = None if body["type"] == RESUMED else _halt(stored.index, body["data"])
    if newest is None:
        raise ServiceError(409, "not-halted", f"{name} ({digest[:19]}) is not halted")
    return newest


def resume(
    assembly: Assembly, *, digest: str, reason: str, actor_id: str, second_person: str
) -> Appended:
    """Let a halted model answer again. Two people, by name; they differ."""
    if actor_id == second_person:
        raise FieldRefused("second_person", "must be somebody else than who asked")
    name = assembly.inventory.manifest(digest).name
    while True:
        since = assembly.ledger.size
        halt = check_resumption(assembly, digest)
        draft = Draft(
            type=RESUMED,
            actor_id=actor_id,
            data={
                "model_digest": digest,
                "name": name,
                "reason": reason,
                "halted_leaf": halt.leaf,
                "second_person": second_person,
            },
            event_time=assembly.now(),
            parents=(halt.leaf,),
            ref=name,
        )
        unless = Unless(since, frozenset((kind, name) for kind in SWITCHES))
        try:
            return assembly.ledger.append(draft, assembly.signers[Role.APPROVER], unless=unless)
        except Overtaken:
            continue  # by another halt, which nobody has judged: look again
