"""POST a batch: many rows by columns for one model, in Arrow or JSON; one entry, one receipt."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import pyarrow as pa
from flask import Response, current_app, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ledger.record import unsigned_body
from service.api.access import assembly, caller, needs, streams
from service.api.answers import BatchAnswered
from service.api.schemas import FEATURES_MAX, PredictionHeaders, Strict, Time
from service.auth import Scope
from service.batch import BatchAnswer, BatchAsk, score
from service.batch_body import ARROW, Body, columns_of, read_arrow, read_json
from service.batch_rows import show
from service.errors import FieldRefused, ServiceError, from_validation
from service.predict import scoped_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.runtime.encoding import Column

JSON: Final = "application/json"
METADATA: Final = b"assay.answer"  # of an Arrow answer's schema: what JSON has beside `rows`

api = APIBlueprint(
    "batch",
    __name__,
    url_prefix="/v1",
    abp_tags=[Tag(name="predictions", description="Decisions, each with its receipt.")],
    abp_security=[{"bearer": []}],
)

Model = Annotated[
    str, Field(max_length=200, description="name, name@alias or sha256 digest", min_length=1)
]
Subject = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="pseudonym that all rows are kept under; erasure works by it",
    ),
]


class _Described(BaseModel):
    """Its JSON schema is made once: flask-openapi3 asks for it in every request (2 ms)."""

    @classmethod
    @cache
    def model_json_schema(  # type: ignore[override] # the same, cached
        cls,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """As pydantic makes it."""
        return super().model_json_schema(*args, **kwargs)


class BatchHeaders(_Described, PredictionHeaders):
    """Optional headers of a POST that decides."""


class BatchQuery(_Described):
    """Beside an Arrow body; in JSON these stand in the body."""

    model_config = ConfigDict(extra="forbid")

    model: Model | None = None
    as_of: Time | None = Field(default=None, description="the instant the features describe")
    subject: Subject | None = None


class BatchRequest(Strict):
    """Rows by columns: for each feature one value per row, null where it is missing."""

    model: Model
    columns: Annotated[dict[str, list[Any]], Field(max_length=FEATURES_MAX)]
    as_of: Time | None = None
    subject: Subject | None = None


@api.post(
    "/predictions:batch",
    summary="Ask for many predictions",
    responses={200: BatchAnswered},
    openapi_extensions={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": BatchRequest.model_json_schema()},
                ARROW: {"schema": {"type": "string", "contentMediaType": ARROW}},
            },
        }
    },
)
@needs(Scope.TRADER)
@streams
def create(header: BatchHeaders, query: BatchQuery) -> Response:
    """Run one model on many rows, given by columns; one entry, one receipt, rows once.

    Send an Arrow IPC stream (uncompressed, plain number columns, one for each feature; model, as_of
    and subject in the query) or JSON. The answer comes in the same form: for Arrow, a stream whose
    schema metadata `assay.answer` is everything beside the rows. Each row has a salt: with its
    inputs, outputs and decision it makes the leaf that leads to the entry's `rows_root`
    (docs/formats/batch.md). A row's own receipt, here of row 3 of batch 17, and reasons of its
    decision: GET /v1/predictions/17.3/receipt and GET /v1/predictions/17.3.
    """
    began, here, who = time.monotonic(), assembly(), caller()
    settings = here.settings
    request.max_content_length = settings.max_batch_bytes + 1
    if request.content_encoding:
        raise ServiceError(415, "media-type", "send the body without a content encoding")
    key, patience = header.idempotency_key, header.deadline_ms
    digest_of = _place() if key else None  # which names a request to its retries
    body = Body(request.stream, most=settings.max_batch_bytes, digest_of=digest_of)
    rows_max = settings.max_batch_rows
    columns: Mapping[str, Column]
    asked: BatchQuery | BatchRequest
    if request.mimetype == ARROW:
        if query.model is None:
            raise FieldRefused("model", "is required in the query beside an Arrow body")
        asked, columns = query, read_arrow(body, rows_max=rows_max)
    elif request.mimetype == JSON:
        asked = _read_json(body)
        columns = columns_of(asked.columns, rows_max=rows_max)
    else:
        told = f"send {ARROW} or {JSON}, not {request.mimetype or 'no media type'}"
        raise ServiceError(415, "media-type", told)
    body.read()  # what follows the end of the stream is part of the request
    ask = BatchAsk(
        model=asked.model or "",
        columns=columns,
        caller=who,
        idempotency_key=scoped_key(who, key) if key else None,
        request_digest=body.digest(),
        subject=asked.subject,
        as_of=asked.as_of,
        deadline=None if patience is None else began + patience / 1000,
    )
    answer = score(here, ask)
    return _arrow(answer) if request.mimetype == ARROW else _json(answer)


def _place() -> bytes:
    """What two equal requests have in common beside their body."""
    return f"{request.method} {request.path}?{request.query_string.decode('latin-1')}\n".encode()


def _read_json(body: Body) -> BatchRequest:
    try:
        return BatchRequest.model_validate(read_json(body, current_app.json.loads))
    except ValidationError as error:
        raise from_validation(error) from error


def _beside(answer: BatchAnswer) -> dict[str, Any]:
    """Everything but the rows."""
    receipt = answer.appended.receipt
    entry = unsigned_body(receipt.entry)
    data = entry["data"]
    return {
        "prediction_id": str(answer.appended.index),
        "leaf_index": answer.appended.index,
        "event_time": entry["event_time"],
        "as_of": data["as_of"],
        "model": {"name": data["model_name"], "model_digest": data["model_digest"]},
        "verification_mode": data["verification_mode"],
        "row_count": data["row_count"],
        "rows_root": data["rows_root"],
        "receipt": receipt.to_json(),
    }


def _json(answer: BatchAnswer) -> Response:
    found = _beside(answer)
    return jsonify(found | {"rows": show(answer.columns, answer.table)})


def _arrow(answer: BatchAnswer) -> Response:
    table, columns = answer.table, answer.columns
    names = pa.array(columns.decisions, pa.string())
    numbers = pa.array(table.decisions.astype("int8"))
    salts = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(table), [None, pa.py_buffer(table.salts.tobytes())]
    )
    arrays = [
        pa.DictionaryArray.from_arrays(numbers, names),
        *(pa.array(table.outputs[:, place].copy()) for place in range(len(columns.outputs))),
        salts,
    ]
    beside = json.dumps(_beside(answer), separators=(",", ":")).encode()
    batch = pa.record_batch(arrays, names=["decision", *columns.outputs, "salt"])
    schema = batch.schema.with_metadata({METADATA: beside})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(batch.replace_schema_metadata({METADATA: beside}))
    return Response(sink.getvalue().to_pybytes(), content_type=ARROW)
