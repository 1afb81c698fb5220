"""What an administrator does over HTTP: seal a period, approve, promote, withdraw, set a limit."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from service.api.access import assembly, caller, needs
from service.api.answers import ActAnswer
from service.api.schemas import Strict
from service.auth import Scope
from service.lifecycle import LimitTerms, set_limit, withdraw
from service.policies import check_policy
from service.sealing import seal

api = APIBlueprint(
    "admin",
    __name__,
    url_prefix="/v1/admin",
    abp_tags=[Tag(name="admin", description="Acts of the house, each an entry.")],
    abp_security=[{"bearer": []}],
)


class SealRequest(Strict):
    """Close a period."""

    period: str = Field(
        pattern=r"^[0-9A-Za-z.:-]{1,40}$", description="label of the closed period, its date"
    )


class WithdrawRequest(Strict):
    """Take a model out of use."""

    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    reason: str = Field(min_length=3, max_length=500)


class LimitRequest(Strict):
    """A monitoring limit; it judges only what is predicted after it."""

    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    metric: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    limit: str = Field(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,9})?$")
    side: str = Field(pattern=r"^(min|max)$")
    tolerance: str = Field(default="0", pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")
    window: str = Field(default="all", max_length=40)
    minimum_labels: int = Field(default=0, ge=0)
    detector: str = Field(default="threshold", max_length=80)


@api.post("/seals", summary="Seal a closed period", responses={200: ActAnswer})
@needs(Scope.ADMIN)
def make_seal(body: SealRequest) -> Response:
    """Record the Merkle root of everything since the last seal."""
    done = seal(assembly(), period=body.period, actor_id=caller().actor_id)
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})


@api.post("/withdrawals", summary="Withdraw a model", responses={200: ActAnswer})
@needs(Scope.ADMIN)
def make_withdrawal(body: WithdrawRequest) -> Response:
    """From this entry on the model answers nobody; auditors still find it by digest."""
    done = withdraw(
        assembly(), digest=body.model_digest, reason=body.reason, actor_id=caller().actor_id
    )
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})


@api.post("/limits", summary="Sign a monitoring limit", responses={200: ActAnswer})
@needs(Scope.ADMIN)
def make_limit(body: LimitRequest) -> Response:
    """Record the limit before the data it judges."""
    terms = LimitTerms(**body.model_dump(exclude={"model_digest"}))
    check_policy(assembly(), body.model_digest, terms, on_alarm="alert", replaces=None)
    done = set_limit(assembly(), digest=body.model_digest, terms=terms, actor_id=caller().actor_id)
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})
