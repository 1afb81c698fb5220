"""GET and POST monitoring policies; proposals, confirmed by a second person; halts."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import assembly, caller, needs
from service.api.answers import ActAnswer
from service.api.schemas import Strict
from service.auth import Scope
from service.lifecycle import LimitTerms
from service.policies import policies, sign_policy
from service.proposals import (
    PolicyAsked,
    confirm,
    proposals,
    propose_policy,
    propose_resumption,
    reject,
)
from service.switch import halt_by_hand, switch_of

DIGEST = r"^sha256:[0-9a-f]{64}$"
REASON_MAX = 500  # characters of a reason; longer is a document, to be named by its digest

api = APIBlueprint(
    "policies",
    __name__,
    url_prefix="/v1",
    abp_tags=[Tag(name="policies", description="Limits before data; what crossing one does.")],
    abp_security=[{"bearer": []}],
)


class PolicyRequest(Strict):
    """A limit signed before the data it judges, and what crossing it does."""

    model_digest: str = Field(pattern=DIGEST)
    metric: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    limit: str = Field(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,9})?$")
    side: str = Field(pattern=r"^(min|max)$")
    tolerance: str = Field(default="0", pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")
    window: str = Field(default="all", max_length=40)
    minimum_labels: int = Field(default=0, ge=0)
    detector: str = Field(default="threshold", max_length=80)
    on_alarm: str = Field(default="alert", pattern=r"^(alert|shadow|blocked)$")
    replaces: int | None = Field(default=None, ge=0, description="leaf of the one it changes")
    reason: str | None = Field(default=None, min_length=3, max_length=REASON_MAX)

    def terms(self) -> LimitTerms:
        """What the limit says."""
        return LimitTerms(**{n: getattr(self, n) for n in LimitTerms.__dataclass_fields__})


class HaltRequest(Strict):
    """Take a model out of answering at once."""

    model_digest: str = Field(pattern=DIGEST)
    state: str = Field(pattern=r"^(shadow|blocked)$")
    reason: str = Field(min_length=3, max_length=REASON_MAX)


class ResumptionRequest(Strict):
    """Propose that a halted model answers again."""

    model_digest: str = Field(pattern=DIGEST)
    reason: str = Field(min_length=3, max_length=REASON_MAX)


class PoliciesQuery(BaseModel):
    """Of which model."""

    model_config = ConfigDict(extra="forbid")
    model_digest: str = Field(pattern=DIGEST)


class ProposalPath(BaseModel):
    """A proposal."""

    proposal_id: str = Field(pattern=r"^[0-9a-f]{1,32}$")


class PoliciesAnswer(BaseModel):
    """Every limit signed for a model, oldest first; `replaced_at` is null for one in force."""

    policies: list[dict[str, Any]]


class PolicyAnswer(BaseModel):
    """The entry; or, for a change, the proposal that somebody else must confirm."""

    leaf_index: int | None
    receipt: dict[str, Any] | None
    proposal_id: str | None


class ProposalAnswer(BaseModel):
    """What a second person must confirm."""

    proposal_id: str


class ProposalsAnswer(BaseModel):
    """Proposals, newest first."""

    proposals: list[dict[str, Any]] = Field(
        description="proposal_id, kind, state (waiting, confirmed, rejected, expired), "
        "proposed_by, proposed_at, decided_by, decided_at, leaf_index, asked"
    )


class HaltsAnswer(BaseModel):
    """Models that may not answer now."""

    halts: list[dict[str, Any]] = Field(
        description="model_digest, name, state, alarm_leaf, halted_leaf, reason"
    )


@api.get("/policies", summary="Limits of a model", responses={200: PoliciesAnswer})
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def list_policies(query: PoliciesQuery) -> Response:
    """Every limit ever signed for a model; none is ever changed in place."""
    return jsonify({"policies": policies(assembly(), query.model_digest)})


@api.post("/policies", summary="Sign or change a policy", responses={200: PolicyAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_policy(body: PolicyRequest) -> Response:
    """Sign a policy; it judges only what is predicted after it.

    One that changes another (`replaces`) becomes a proposal, and an entry when a second person
    confirms it.
    """
    here, who = assembly(), caller().actor_id
    if body.replaces is not None:
        asked = PolicyAsked(
            body.model_digest, body.terms(), body.on_alarm, body.replaces, body.reason
        )
        waiting = propose_policy(here, asked, actor_id=who)
        return jsonify({"leaf_index": None, "receipt": None, "proposal_id": waiting})
    done = sign_policy(
        here,
        digest=body.model_digest,
        terms=body.terms(),
        on_alarm=body.on_alarm,
        actor_id=who,
        reason=body.reason,
    )
    answer = {"leaf_index": done.index, "receipt": done.receipt.to_json(), "proposal_id": None}
    return jsonify(answer)


@api.get("/proposals", summary="What waits for a second person", responses={200: ProposalsAnswer})
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def list_proposals() -> Response:
    """Proposals of the last weeks, and what became of them."""
    return jsonify({"proposals": proposals(assembly())})


@api.post("/proposals/<proposal_id>/confirm", summary="Confirm", responses={200: ActAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_confirmation(path: ProposalPath) -> Response:
    """Confirm what somebody else proposed: it becomes an entry with both names."""
    done = confirm(assembly(), path.proposal_id, actor_id=caller().actor_id)
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})


@api.post("/proposals/<proposal_id>/reject", summary="Reject", responses={200: ProposalAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_rejection(path: ProposalPath) -> Response:
    """End a proposal; nothing of it is recorded in the log."""
    reject(assembly(), path.proposal_id, actor_id=caller().actor_id)
    return jsonify({"proposal_id": path.proposal_id})


@api.get("/halts", summary="Models that may not answer", responses={200: HaltsAnswer})
@needs()
def list_halts() -> Response:
    """Which models are halted now, in which state, and by which alarm."""
    found = switch_of(assembly()).halted()
    return jsonify(
        {
            "halts": [
                {
                    "model_digest": digest,
                    "name": halt.name,
                    "state": halt.state,
                    "alarm_leaf": halt.alarm_leaf,
                    "halted_leaf": halt.leaf,
                    "reason": halt.reason,
                }
                for digest, halt in found.items()
            ]
        }
    )


@api.post("/halts", summary="Halt a model", responses={200: ActAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_halt(body: HaltRequest) -> Response:
    """Raise an alarm in your name and halt the model by it, alone: stopping is urgent."""
    done = halt_by_hand(
        assembly(),
        digest=body.model_digest,
        state=body.state,
        reason=body.reason,
        actor_id=caller().actor_id,
    )
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})


@api.post("/resumptions", summary="Propose to resume", responses={200: ProposalAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_resumption(body: ResumptionRequest) -> Response:
    """Propose that a halted model answers again; a second person confirms it."""
    proposal_id = propose_resumption(
        assembly(), digest=body.model_digest, reason=body.reason, actor_id=caller().actor_id
    )
    return jsonify({"proposal_id": proposal_id})
