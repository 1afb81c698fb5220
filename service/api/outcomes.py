"""POST what happened, by prediction id."""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from service.api.access import assembly, caller, needs, request_digest
from service.api.answers import OutcomesAnswer
from service.api.schemas import IdempotencyHeader, OutcomesRequest
from service.auth import Scope
from service.outcomes import Observed, record_outcomes
from service.predict import scoped_key

api = APIBlueprint(
    "outcomes",
    __name__,
    url_prefix="/v1/outcomes",
    abp_tags=[Tag(name="outcomes", description="What happened afterwards, appended for ever.")],
    abp_security=[{"bearer": []}],
)


@api.post("", summary="Report outcomes", responses={200: OutcomesAnswer})
@needs(Scope.OUTCOMES)
def create(header: IdempotencyHeader, body: OutcomesRequest) -> Response:
    """Record one outcome or many, all or none, signed by the outcome source's key.

    A correction names the entry it revises and a reason; nothing is overwritten.
    """
    key = header.idempotency_key
    appended = record_outcomes(
        assembly(),
        [Observed(**item.model_dump()) for item in body.outcomes],
        caller=caller(),
        idempotency_key=scoped_key(caller(), key) if key else None,
        request_digest=request_digest() if key else None,
    )
    answers = [
        {
            "prediction_id": item.prediction_id,
            "leaf_index": done.index,
            "receipt": done.receipt.to_json(),
        }
        for item, done in zip(body.outcomes, appended, strict=True)
    ]
    return jsonify({"outcomes": answers})
