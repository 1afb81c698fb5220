"""Two reports, two resources, two schemas. Nothing here reads one to make the other."""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from ledger.record import parse_entry
from models.errors import ModelError
from service.api.access import assembly, caller, needs
from service.api.answers import ReportAnswer
from service.api.schemas import LeafPath
from service.auth import Scope
from service.correctness import issue_correctness
from service.errors import Missing, ServiceError
from service.honesty import issue_honesty

if TYPE_CHECKING:
    from ledger.log import StoredEntry

api = APIBlueprint(
    "reports",
    __name__,
    url_prefix="/v1/reports",
    abp_tags=[
        Tag(
            name="reports",
            description="Computed honestly? and Computed correctly? are answered apart.",
        )
    ],
    abp_security=[{"bearer": []}],
)


@api.get("/honesty", summary="Computed honestly?", responses={200: ReportAnswer})
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def honesty() -> Response:
    """The newest honesty report. It says nothing on whether a model was right."""
    return jsonify(_newest("honesty"))


@api.post("/honesty", summary="Issue an honesty report", responses={200: ReportAnswer})
@needs(Scope.AUDITOR, Scope.ADMIN)
def make_honesty() -> Response:
    """Export the log, check the export as an outside auditor would, record the report."""
    issue_honesty(assembly(), actor_id=caller().actor_id)
    return jsonify(_newest("honesty"))


@api.get("/correctness", summary="Computed correctly?", responses={200: ReportAnswer})
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def correctness() -> Response:
    """The newest correctness report. It says nothing on who computed what."""
    return jsonify(_newest("correctness"))


@api.post("/correctness", summary="Issue a correctness report", responses={200: ReportAnswer})
@needs(Scope.RISK, Scope.ADMIN)
def make_correctness() -> Response:
    """Evaluate every model in use on the outcomes recorded so far, record the report."""
    issue_correctness(assembly(), actor_id=caller().actor_id)
    return jsonify(_newest("correctness"))


@api.get("/honesty/<int:leaf_index>", summary="An older one", responses={200: ReportAnswer})
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def old_honesty(path: LeafPath) -> Response:
    """The honesty report recorded at a leaf."""
    return jsonify(_at("honesty", path.leaf_index))


@api.get("/correctness/<int:leaf_index>", summary="An older one", responses={200: ReportAnswer})
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def old_correctness(path: LeafPath) -> Response:
    """The correctness report recorded at a leaf, as it was issued."""
    return jsonify(_at("correctness", path.leaf_index))


def _newest(kind: str) -> dict[str, object]:
    for stored in assembly().ledger.entries(type="report", ref=kind, newest=True, limit=1):
        return _stored(stored, kind)
    raise Missing(f"no {kind} report was issued yet", f"issue one: POST /v1/reports/{kind}")


def _at(kind: str, leaf: int) -> dict[str, object]:
    found = assembly().ledger.entries(type="report", ref=kind, first=leaf, limit=1)
    for stored in found:
        if stored.index == leaf:
            return _stored(stored, kind)
    raise Missing(f"entry {leaf} is no {kind} report", f"the newest: GET /v1/reports/{kind}")


def _stored(stored: StoredEntry, kind: str) -> dict[str, object]:
    body = parse_entry(stored.entry).body
    try:
        report = assembly().blobs.get(body["data"]["report_digest"])
    except ModelError as error:
        detail = f"the bytes of the report at leaf {stored.index} are gone or changed; "
        detail += f"issue a new one: POST /v1/reports/{kind}"
        raise ServiceError(500, "report-lost", detail) from error
    return {
        "leaf_index": stored.index,
        "issued_at": body["event_time"],
        "report": json.loads(report),
    }
