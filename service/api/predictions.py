"""POST a prediction, read one again, fetch its receipt."""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag

from ledger import cose
from service.api.access import assembly, caller, digest_of, needs
from service.api.answers import PredictionAnswer, ReceiptFile
from service.api.schemas import PredictionHeaders, PredictionPath, PredictionRequest
from service.auth import Scope
from service.errors import FieldRefused, ServiceError
from service.predict import Ask, predict, scoped_key
from service.views import answer_json, maker_of, parse_id, prediction_json

if TYPE_CHECKING:
    from service.assembly import Assembly
    from service.auth import Identity

FORMS = ["application/json", cose.MEDIA_TYPE]
ROUTE = "/v1/predictions"
READ_ALL = frozenset({Scope.AUDITOR, Scope.RISK})

api = APIBlueprint(
    "predictions",
    __name__,
    url_prefix=ROUTE,
    abp_tags=[Tag(name="predictions", description="Decisions, each with its receipt.")],
    abp_security=[{"bearer": []}],
)


@api.post("", summary="Ask for a prediction", responses={200: PredictionAnswer})
@needs(Scope.TRADER)
def create(header: PredictionHeaders, body: PredictionRequest) -> Response:
    """Run one model on one row or many; the answer carries the receipt.

    The answer is sent only after the record is durable. Send an Idempotency-Key: a retry then
    returns the first answer and decides nothing twice. With Assay-Deadline-Ms a decision that could
    not be recorded by then is not made (503); one already being recorded is answered late.
    """
    here = assembly()
    if body.rows is not None and len(body.rows) > here.settings.max_rows:
        raise FieldRefused("rows", f"{len(body.rows)} rows; at most {here.settings.max_rows}")
    return jsonify(
        answer_json(here, predict(here, ask_of(body, header, caller(), request.get_data())))
    )


def ask_of(body: PredictionRequest, header: PredictionHeaders, asker: Identity, data: bytes) -> Ask:
    """A request in the words of the use case; `data` is its body as it came."""
    key, patience = header.idempotency_key, header.deadline_ms
    return Ask(
        model=body.model,
        rows=body.all_rows(),
        caller=asker,
        idempotency_key=scoped_key(asker, key) if key else None,
        request_digest=digest_of("POST", ROUTE, data) if key else None,
        caller_reference=body.caller_reference,
        subject=body.subject,
        as_of=body.as_of,
        deadline=None if patience is None else time.monotonic() + patience / 1000,
    )


@api.get("/<prediction_id>", summary="Read a prediction", responses={200: PredictionAnswer})
@needs(Scope.TRADER, Scope.AUDITOR, Scope.RISK)
def read(path: PredictionPath) -> Response:
    """The recorded prediction, whole (leaf) or one row (leaf.row).

    Inputs are shown to the auditor's scope alone; a trader reads what it asked for itself.
    """
    here, reader = assembly(), caller()
    leaf, row = parse_id(path.prediction_id)
    with_inputs = Scope.AUDITOR in reader.scopes
    answer = prediction_json(here, leaf, row=row, with_inputs=with_inputs, reader=reader.actor_id)
    if not reader.may(READ_ALL) and maker_of(here, leaf) != reader.actor_id:
        raise ServiceError(403, "not-yours", f"another caller asked for prediction {leaf}")
    return jsonify(answer)


@api.get("/<prediction_id>/receipt", summary="Fetch a receipt", responses={200: ReceiptFile})
@needs()
def receipt(path: PredictionPath) -> Response:
    """The receipt under the newest witnessed checkpoint, else the newest of all.

    Check it with `assay verify-receipt`; `state` is `witnessed` or `published`. With
    `Accept: application/cose` the answer is a COSE receipt (RFC 9942) of the whole entry.
    """
    leaf, row = parse_id(path.prediction_id)
    here = assembly()
    if request.accept_mimetypes.best_match(FORMS) == cose.MEDIA_TYPE:
        return _cose_receipt(here, leaf)
    answer = prediction_json(here, leaf, row=row, with_inputs=False, reader=caller().actor_id)
    found: dict[str, object] = dict(answer["receipt"])
    if answer["row_proofs"]:
        found["row_proofs"] = answer["row_proofs"]
    response = jsonify(found)
    name = path.prediction_id.replace(".", "-")
    response.headers["Content-Disposition"] = f'inline; filename="receipt-{name}.json"'
    return response


def _cose_receipt(here: Assembly, leaf: int) -> Response:
    ledger = here.ledger
    data = cose.to_cose(ledger.receipt(leaf), key=here.signers.log, origin=ledger.origin)
    response = Response(data, content_type=cose.MEDIA_TYPE)
    response.headers["Content-Disposition"] = f'attachment; filename="receipt-{leaf}.cbor"'
    return response
