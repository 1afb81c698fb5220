"""What takes two people: one proposes, another confirms, and then it is an entry with both names.

Two acts: changing a monitoring policy, and letting a halted model answer again. Each is checked
when it is proposed and again when it is confirmed, since the log may have moved on. A proposal
waits in the service's table; only what was confirmed is in the log. Confirming twice records one
entry: the state that the first confirmation changed refuses a second.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlmodel import Session, col, select

from ledger.store import writer
from service.clock import parse_utc, utc_ms
from service.errors import FieldRefused, Missing, ServiceError
from service.lifecycle import LimitTerms
from service.policies import check_policy, sign_policy
from service.switch import check_resumption, resume
from service.tables import Proposal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from service.assembly import Assembly

POLICY, RESUMPTION = "policy", "resumption"
PROPOSAL_LIFE: Final = timedelta(days=7)  # what nobody confirmed in a week is asked for anew
PROPOSALS_SHOWN: Final = 100  # newest ones of the list


@dataclass(frozen=True, slots=True)
class PolicyAsked:
    """A change of a policy."""

    digest: str
    terms: LimitTerms
    on_alarm: str
    replaces: int | None
    reason: str | None


def propose_policy(assembly: Assembly, asked: PolicyAsked, *, actor_id: str) -> str:
    """Propose to replace a policy; the proposal's id."""
    if asked.replaces is None or not asked.reason:
        raise FieldRefused("reason", "changing a policy owes a reason")
    check_policy(
        assembly, asked.digest, asked.terms, on_alarm=asked.on_alarm, replaces=asked.replaces
    )
    body = {
        "model_digest": asked.digest,
        "terms": {n: getattr(asked.terms, n) for n in LimitTerms.__dataclass_fields__},
        "on_alarm": asked.on_alarm,
        "replaces": asked.replaces,
        "reason": asked.reason,
    }
    return _propose(assembly, POLICY, body, actor_id)


def propose_resumption(assembly: Assembly, *, digest: str, reason: str, actor_id: str) -> str:
    """Propose that a halted model answers again; the proposal's id."""
    halt = check_resumption(assembly, digest)
    body = {"model_digest": digest, "reason": reason, "halted_leaf": halt.leaf}
    return _propose(assembly, RESUMPTION, body, actor_id)


def confirm(assembly: Assembly, proposal_id: str, *, actor_id: str) -> Appended:
    """Do what somebody else proposed. Raises when it cannot be done any more."""
    proposal = _waiting(assembly, proposal_id)
    if proposal.proposer == actor_id:
        raise ServiceError(
            403, "same-person", f"{actor_id} proposed it; another person must confirm it"
        )
    body = json.loads(proposal.body)
    if proposal.kind == POLICY:
        done = sign_policy(
            assembly,
            digest=body["model_digest"],
            terms=LimitTerms(**body["terms"]),
            on_alarm=body["on_alarm"],
            actor_id=proposal.proposer,
            replaces=body["replaces"],
            reason=body["reason"],
            second_person=actor_id,
        )
    else:
        done = _resume(assembly, body, proposal.proposer, actor_id)
    _decide(assembly, proposal_id, "confirmed", actor_id, leaf=done.index)
    return done


def reject(assembly: Assembly, proposal_id: str, *, actor_id: str) -> None:
    """End a proposal; who made it may do so too."""
    _waiting(assembly, proposal_id)
    _decide(assembly, proposal_id, "rejected", actor_id, leaf=None)


def proposals(assembly: Assembly) -> list[dict[str, Any]]:
    """The newest proposals, newest first."""
    newest = col(Proposal.proposed_at).desc()
    with Session(assembly.engine) as session:
        rows = session.exec(select(Proposal).order_by(newest).limit(PROPOSALS_SHOWN)).all()
        return [_shown(assembly, row) for row in rows]


def _resume(assembly: Assembly, body: Mapping[str, Any], proposer: str, confirmer: str) -> Appended:
    halt = check_resumption(assembly, body["model_digest"])
    if halt.leaf != body["halted_leaf"]:
        raise ServiceError(
            409,
            "halted-again",
            f"the model was halted again at entry {halt.leaf}, which the proposal did not know of; "
            "propose anew",
        )
    return resume(
        assembly,
        digest=body["model_digest"],
        reason=body["reason"],
        actor_id=proposer,
        second_person=confirmer,
    )


def _propose(assembly: Assembly, kind: str, body: Mapping[str, Any], actor_id: str) -> str:
    proposal_id = secrets.token_hex(8)
    row = Proposal(
        proposal_id=proposal_id,
        kind=kind,
        body=json.dumps(body, sort_keys=True),
        proposer=actor_id,
        proposed_at=assembly.now(),
    )
    with Session(writer(assembly.engine)) as session:
        session.add(row)
        session.commit()
    return proposal_id


def _waiting(assembly: Assembly, proposal_id: str) -> Proposal:
    with Session(assembly.engine, expire_on_commit=False) as session:
        row = session.get(Proposal, proposal_id)
    if row is None:
        raise Missing(f"no proposal {proposal_id[:32]}", "GET /v1/proposals lists them")
    state = _state(assembly, row)
    if state != "waiting":
        raise ServiceError(409, "proposal-decided", f"proposal {proposal_id} is {state}")
    return row


def _decide(
    assembly: Assembly, proposal_id: str, decision: str, actor_id: str, *, leaf: int | None
) -> None:
    with Session(writer(assembly.engine)) as session:
        row = session.get(Proposal, proposal_id, with_for_update=True)
        if row is not None and row.decision is None:
            row.decision, row.decided_by, row.leaf = decision, actor_id, leaf
            row.decided_at = assembly.now()
            session.add(row)
            session.commit()


def _state(assembly: Assembly, row: Proposal) -> str:
    if row.decision is not None:
        return row.decision
    ends = utc_ms(parse_utc(row.proposed_at) + PROPOSAL_LIFE)
    return "expired" if ends < assembly.now() else "waiting"


def _shown(assembly: Assembly, row: Proposal) -> dict[str, Any]:
    return {
        "proposal_id": row.proposal_id,
        "kind": row.kind,
        "state": _state(assembly, row),
        "proposed_by": row.proposer,
        "proposed_at": row.proposed_at,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        "leaf_index": row.leaf,
        "asked": json.loads(row.body),
    }
