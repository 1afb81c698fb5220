"""GET who is asking: the name that stands in every entry this key causes, and what it may do."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from service.api.access import caller, needs

api = APIBlueprint(
    "me",
    __name__,
    url_prefix="/v1/me",
    abp_tags=[Tag(name="caller", description="Who is asking.")],
    abp_security=[{"bearer": []}],
)


class MeAnswer(BaseModel):
    """The caller, as its key has it."""

    actor_id: str = Field(description="the name that stands in the entries it causes")
    scopes: list[str] = Field(description="what its key opens, in order")


@api.get("", summary="Who am I?", responses={200: MeAnswer})
@needs()
def me() -> Response:
    """The name your key was issued to and its scopes."""
    who = caller()
    return jsonify({"actor_id": who.actor_id, "scopes": sorted(who.scopes)})
