"""GET alarms; acknowledge, comment on and close one, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from ledger.record import unsigned_body
from monitoring.alerts import AlarmState
from service.alerts import acknowledge, close, remark
from service.alerts_delivery import deliveries
from service.alerts_read import alarm_at, alarm_json, alarms, evidence_of
from service.api.access import assembly, caller, needs
from service.api.answers import ActAnswer
from service.api.schemas import LeafPath, Strict
from service.auth import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.log import Appended

ALARMS_SHOWN = 200  # newest ones of the list: more than anybody acts on; narrow it by model

api = APIBlueprint(
    "alarms",
    __name__,
    url_prefix="/v1/alarms",
    abp_tags=[Tag(name="alarms", description="Limits crossed and jobs failed; who acted on it.")],
    abp_security=[{"bearer": []}],
)


class AlarmsQuery(BaseModel):
    """Which alarms."""

    model_config = ConfigDict(extra="forbid")
    state: str | None = Field(default=None, pattern=r"^(open|acknowledged|closed)$")
    about: str | None = Field(
        default=None, max_length=128, description="a model's digest, or job:<name>"
    )


class CommentRequest(Strict):
    """What a person says of an alarm; it is recorded in clear, with the person's name."""

    comment: str = Field(min_length=3, max_length=2000)


class AlarmsAnswer(BaseModel):
    """Alarms, newest first."""

    alarms: list[dict[str, Any]] = Field(
        description="leaf_index, raised_at, state, severity, cause, about, model, policy_leaf, "
        "metric, detector, guarantee, detail, evidence, acknowledged, closed, halted"
    )
    counts: dict[str, int] = Field(description="alarms by state, whatever was asked for")


class AlarmAnswer(BaseModel):
    """One alarm with everything recorded about it since."""

    alarm: dict[str, Any]
    history: list[dict[str, Any]] = Field(description="each entry about it, in order")
    policy: dict[str, Any] | None = Field(description="the limit it crossed, as signed")
    evidence: dict[str, Any] | None = Field(description="what the report said of it")
    deliveries: list[dict[str, Any]] = Field(
        description="channel, state (waiting, delivered, given_up), attempts, at, leaf_index, "
        "next_try_at, error"
    )
    receipt: dict[str, Any]


@api.get("", summary="List alarms", responses={200: AlarmsAnswer})
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def listed(query: AlarmsQuery) -> Response:
    """Alarms, newest first: limits that were crossed and jobs that were missed or failed."""
    here = assembly()
    found = alarms(here.ledger, about=query.about)
    wanted = [alarm for alarm in reversed(found) if query.state in {None, alarm.state.value}]
    counts = {state.value: sum(alarm.state is state for alarm in found) for state in AlarmState}
    return jsonify(
        {
            "alarms": [alarm_json(here, alarm) for alarm in wanted[:ALARMS_SHOWN]],
            "counts": counts,
        }
    )


@api.get("/<int:leaf_index>", summary="One alarm", responses={200: AlarmAnswer})
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def one(path: LeafPath) -> Response:
    """One alarm: its evidence, the limit it crossed, what people did, where it was delivered."""
    here = assembly()
    alarm = alarm_at(here.ledger, path.leaf_index)
    policy_leaf = alarm.data["policy_leaf"]
    policy = None
    if policy_leaf is not None:
        policy = {
            "leaf_index": policy_leaf,
            **unsigned_body(here.ledger.entry(policy_leaf).entry)["data"],
        }
    return jsonify(
        {
            "alarm": alarm_json(here, alarm),
            "history": [act.to_json() for act in alarm.acts],
            "policy": policy,
            "evidence": evidence_of(here, alarm),
            "deliveries": deliveries(here, alarm),
            "receipt": here.receipt(alarm.leaf).to_json(),
        }
    )


@api.post("/<int:leaf_index>/acknowledge", summary="Acknowledge", responses={200: ActAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_acknowledgement(path: LeafPath, body: CommentRequest) -> Response:
    """Record that you have seen it. The name in the entry is your key's."""
    return _acted(acknowledge, path, body)


@api.post("/<int:leaf_index>/comment", summary="Comment", responses={200: ActAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_comment(path: LeafPath, body: CommentRequest) -> Response:
    """Record a comment; a closed alarm may be commented on too."""
    return _acted(remark, path, body)


@api.post("/<int:leaf_index>/close", summary="Close", responses={200: ActAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_closure(path: LeafPath, body: CommentRequest) -> Response:
    """Close it: its detector starts again from nothing. A halted model stays halted."""
    return _acted(close, path, body)


def _acted(act: Callable[..., Appended], path: LeafPath, body: CommentRequest) -> Response:
    done = act(assembly(), path.leaf_index, comment=body.comment, actor_id=caller().actor_id)
    return jsonify({"leaf_index": done.index, "receipt": done.receipt.to_json()})
