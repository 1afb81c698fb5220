"""Erase a person: destroy what opens the commitments, leave the log and its proofs as they are.

First the erasure is recorded, row by row, with its reason and authority; then the openings and the
subject's keys are deleted and the database's pages overwritten. A crash in between leaves the
entry: erasing again finishes the work and records nothing twice. From then on an audit says
"erased by entry N" where it could otherwise run the row again.

An erasure is refused while a legal hold is on the subject, or before a recorded `retain_until`.
What is already exported, backed up or printed is not reached: docs/operations.md says what to do.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlmodel import Session, select

from ledger.grammar import LIST_MAX
from ledger.keys import Role
from ledger.record import Draft, parse_entry
from ledger.store import writer
from service.clock import parse_utc
from service.errors import Missing, ServiceError
from service.kept import forget
from service.tables import Hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.assembly import Assembly

PLACED: Final = "hold.placed"
LIFTED: Final = "hold.lifted"


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows an erasure covers, and the entries that say so."""

    rows: int
    leaves: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it, why, and on what legal ground."""

    reason: str
    authority: str
    actor_id: str


def erase(house: Assembly, subject: str, order: Order) -> Erased:
    """Destroy every opening of a subject. Raises ServiceError when held, retained or unknown."""
    rows = house.vault.rows_of(subject)
    if not rows:
        raise Missing(f"nothing is held of subject {subject}", "it may have been erased before")
    _refuse_held(house, subject)
    _refuse_retained(house, rows)
    names = [f"{leaf}.{row}" for leaf, row in rows]
    drafts = [_draft(house, names[i : i + LIST_MAX], order) for i in range(0, len(names), LIST_MAX)]
    key = house.signers[Role.OPERATOR]
    appended = house.ledger.append_many([(draft, key) for draft in drafts])
    house.vault.destroy(subject)
    forget(house, (leaf for leaf, _ in rows))
    return Erased(len(rows), tuple(done.index for done in appended))


def place_hold(house: Assembly, subject: str, order: Order) -> str:
    """Forbid erasing a subject until the hold is lifted; returns the hold's id.

    The log holds the id and the reason. Whom it is about is kept beside the log.
    """
    hold_id = secrets.token_hex(16)
    with Session(writer(house.engine)) as session:
        session.add(Hold(hold_id=hold_id, subject=subject))
        session.commit()
    _append_hold(house, PLACED, hold_id, order)
    return hold_id


def lift_hold(house: Assembly, hold_id: str, order: Order) -> int:
    """End a hold; returns the leaf that says so. Raises ServiceError unless it is on."""
    if hold_id not in _standing(house):
        raise Missing(f"no hold {hold_id} is on", "assay hold list shows those that are")
    return _append_hold(house, LIFTED, hold_id, order)


def holds(house: Assembly) -> list[tuple[str, str]]:
    """The holds that are on: id and subject."""
    standing = _standing(house)
    with Session(house.engine) as session:
        rows = session.exec(select(Hold)).all()
        return [(row.hold_id, row.subject) for row in rows if row.hold_id in standing]


def _standing(house: Assembly) -> set[str]:
    """Hold ids placed and not lifted, by what the log says."""
    found = {
        kind: {
            parse_entry(stored.entry).data["hold_id"] for stored in house.ledger.entries(type=kind)
        }
        for kind in (PLACED, LIFTED)
    }
    return found[PLACED] - found[LIFTED]


def _refuse_held(house: Assembly, subject: str) -> None:
    on = [hold_id for hold_id, held in holds(house) if held == subject]
    if on:
        raise ServiceError(
            409,
            "on-hold",
            f"subject {subject} is under legal hold {', '.join(on)}; nothing was erased. "
            f"If it is over: assay hold lift {on[0]} --reason ... --authority ...",
        )


def _refuse_retained(house: Assembly, rows: Sequence[tuple[int, int]]) -> None:
    now = house.clock()
    for leaf in sorted({leaf for leaf, _ in rows}):
        until = parse_entry(house.ledger.entry(leaf).entry).body["retain_until"]
        if until is not None and parse_utc(until) > now:
            raise ServiceError(
                409, "retained", f"entry {leaf} must be kept until {until}; nothing was erased"
            )


def _draft(house: Assembly, names: list[str], order: Order) -> Draft:
    # The same rows again, after a crash before they were deleted, are the same erasure.
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()
    return Draft(
        type="erasure",
        actor_id=order.actor_id,
        data={"rows": names, "reason": order.reason, "authority": order.authority},
        event_time=house.now(),
        idempotency_key=f"erasure:{digest}",
        request_digest=digest,
    )


def _append_hold(house: Assembly, kind: str, hold_id: str, order: Order) -> int:
    draft = Draft(
        type=kind,
        actor_id=order.actor_id,
        data={"hold_id": hold_id, "reason": order.reason, "authority": order.authority},
        event_time=house.now(),
        ref=hold_id,
    )
    return house.ledger.append(draft, house.signers[Role.OPERATOR]).index
