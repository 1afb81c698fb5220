"""Two reports, two resources, two schemas. Nothing here reads one to make the other."""

from __future__ import annotations

import json

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from ledger.record import parse_entry
from models.errors import ModelError
from service.api.access import assembly, caller, needs
from service.api.answers import ReportAnswer
from service.auth import Scope
from service.correctness import issue_correctness
from service.errors import Missing, ServiceError
from service.honesty import issue_honesty

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


def _newest(kind: str) -> dict[str, object]:
    here = assembly()
    for stored in here.ledger.entries(type="report", ref=kind, newest=True, limit=1):
        body = parse_entry(stored.entry).body
        try:
            report = here.blobs.get(body["data"]["report_digest"])
        except ModelError as error:
            detail = f"the bytes of the report at leaf {stored.index} are gone or changed; "
            detail += f"issue a new one: POST /v1/reports/{kind}"
            raise ServiceError(500, "report-lost", detail) from error
        return {
            "leaf_index": stored.index,
            "issued_at": body["event_time"],
            "report": json.loads(report),
        }
    raise Missing(f"no {kind} report was issued yet", f"issue one: POST /v1/reports/{kind}")
