"""Alarms told to people: each open alarm to each channel, until its server takes it or we give up.

Called by the scheduler, in a thread of its own: a channel that hangs delays no other job and never
the recording of an alarm. What is still to be told is computed from the log (open alarms without an
`alarm.delivered` entry of the channel); how often it was tried is in the service's table, so a
restart neither forgets nor starts over. An alarm may be told twice, when a crash falls between the
server's answer and our entry; never not at all.

The entry names the channel, not its address, and what became of it: `delivered`, which means that a
server took the message and not that anybody read it, or `given_up`.
"""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlmodel import Session, select

from ledger.keys import Role
from ledger.record import Draft
from ledger.store import writer
from service.alerts import open_alarms
from service.alerts_channels import Message, read_channels, tell
from service.alerts_read import DELIVERED, HALTED
from service.clock import utc_ms
from service.tables import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.alerts_channels import Channel
    from service.alerts_read import Alarm
    from service.assembly import Assembly

FIRST_WAIT_S: Final = 30  # before the second try; doubled before each later one
LAST_WAIT_S: Final = 3_600  # at most between two: a server that was down for a night is told
TRIES: Final = 24  # of one channel for one alarm: about eighteen hours of them
RUN_S: Final = 60  # after which a run leaves the rest to the next one
ACTOR: Final = "house:scheduler"


def deliver(assembly: Assembly) -> str:
    """Tell what is due now; says what became of it, for the job's log."""
    channels = read_channels(assembly.settings.alert_channels)
    ends = time.monotonic() + RUN_S
    told = failed = 0
    for alarm, channel, before in _due(assembly, channels):
        if time.monotonic() > ends:
            break
        error = tell(channel, message(assembly, alarm))
        attempts = before + 1
        if error is None or attempts >= TRIES:
            _record(assembly, alarm, channel, attempts=attempts, taken=error is None)
        _remember(assembly, alarm, channel, attempts=attempts, error=error)
        told, failed = told + (error is None), failed + (error is not None)
    return f"told {told}, failed {failed}" if told or failed else ""


def message(assembly: Assembly, alarm: Alarm) -> Message:
    """What is said of an alarm: figures and places in the log, nothing of any person."""
    data, halt = alarm.data, alarm.newest(HALTED)
    lines = [data["detail"]]
    if data["first_leaf"] is not None:
        lines.append(
            f"Evidence: {data['count']} outcomes, entries {data['first_leaf']} to "
            f"{data['last_leaf']}, since {data['since']}."
        )
    if data["guarantee"]:
        lines.append(f"Detector {data['detector']}: {data['guarantee']}.")
    if halt is not None:
        lines.append(f"The model is in state {halt.data['state']} since entry {halt.leaf}.")
    place = f"Alarm {alarm.leaf} of {assembly.ledger.origin}, raised {alarm.at}."
    if assembly.settings.public_url:
        place += f" {assembly.settings.public_url.rstrip('/')}/alarms/{alarm.leaf}"
    lines.append(place)
    subject = " ".join(f"{data['cause']} {data['metric'] or alarm.about}".split())
    return Message(
        title=f"[Assay] {data['severity']} alarm {alarm.leaf}: {subject}",
        body="\n\n".join(lines),
        red=data["severity"] == "red",
    )


def deliveries(assembly: Assembly, alarm: Alarm) -> list[dict[str, Any]]:
    """What became of telling an alarm, by channel; those still waiting too."""
    found = {
        act.data["channel"]: {
            "channel": act.data["channel"],
            "state": act.data["result"],
            "attempts": act.data["attempts"],
            "at": act.at,
            "leaf_index": act.leaf,
            "next_try_at": None,
            "error": None,
        }
        for act in alarm.acts
        if act.type == DELIVERED
    }
    for row in _rows(assembly, alarm.leaf):
        waiting = {
            "channel": row.channel,
            "state": "waiting",
            "attempts": row.attempts,
            "at": None,
            "leaf_index": None,
            "next_try_at": row.next_try_at,
            "error": row.error,
        }
        found.setdefault(row.channel, waiting)
    return [found[name] for name in sorted(found)]


def _due(assembly: Assembly, channels: tuple[Channel, ...]) -> Iterator[tuple[Alarm, Channel, int]]:
    """Alarm, channel and how often it was tried, of everything to be tried now; oldest first."""
    if not channels:
        return
    now = assembly.now()
    for alarm in open_alarms(assembly):
        done = {act.data["channel"] for act in alarm.acts if act.type == DELIVERED}
        rows = {row.channel: row for row in _rows(assembly, alarm.leaf)}
        for channel in channels:
            row = rows.get(channel.name)
            waits = row is not None and row.next_try_at is not None and row.next_try_at > now
            if channel.name in done or waits or not channel.wants(alarm.data["severity"]):
                continue
            yield alarm, channel, 0 if row is None else row.attempts


def _rows(assembly: Assembly, leaf: int) -> list[Delivery]:
    with Session(assembly.engine, expire_on_commit=False) as session:
        return list(session.exec(select(Delivery).where(Delivery.alarm_leaf == leaf)))


def _record(
    assembly: Assembly, alarm: Alarm, channel: Channel, *, attempts: int, taken: bool
) -> None:
    once = hashlib.sha256(f"delivery\0{alarm.leaf}\0{channel.name}".encode()).hexdigest()
    draft = Draft(
        type=DELIVERED,
        actor_id=ACTOR,
        data={
            "alarm_leaf": alarm.leaf,
            "channel": channel.name,
            "attempts": attempts,
            "result": "delivered" if taken else "given_up",
        },
        event_time=assembly.now(),
        idempotency_key=once,
        request_digest=once,
        ref=str(alarm.leaf),
    )
    assembly.ledger.append(draft, assembly.signers[Role.REPORTER])


def _remember(
    assembly: Assembly, alarm: Alarm, channel: Channel, *, attempts: int, error: str | None
) -> None:
    wait = min(LAST_WAIT_S, FIRST_WAIT_S * 2 ** (attempts - 1))
    with Session(writer(assembly.engine)) as session:
        row = session.get(Delivery, (alarm.leaf, channel.name), with_for_update=True)
        row = row or Delivery(alarm_leaf=alarm.leaf, channel=channel.name, attempts=0)
        row.attempts, row.error = attempts, error
        row.next_try_at = utc_ms(assembly.clock() + timedelta(seconds=wait)) if error else None
        session.add(row)
        session.commit()
