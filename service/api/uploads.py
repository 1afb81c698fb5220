"""POST a file of outcomes, CSV or Parquet."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from service.api.access import assembly, caller, needs, streams
from service.auth import Scope
from service.errors import ServiceError
from service.outcomes_upload import UploadRefused, upload

if TYPE_CHECKING:
    from typing import IO

CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
CHUNK: Final = 1 << 18  # bytes of the body read at a time
REFUSED_SHOWN: Final = 1000  # rows in the answer; the command line writes all of them to a file

api = APIBlueprint(
    "uploads",
    __name__,
    url_prefix="/v1",
    abp_tags=[Tag(name="outcomes", description="What happened afterwards, appended for ever.")],
    abp_security=[{"bearer": []}],
)


class UploadAnswer(BaseModel):
    """What became of the file."""

    rows: int
    recorded: int = Field(description="entries that were appended")
    repeated: int = Field(description="rows that the log held already, word for word")
    first_leaf: int | None
    last_leaf: int | None


@api.post(
    "/outcomes:upload",
    summary="Upload a file of outcomes",
    responses={200: UploadAnswer},
    openapi_extensions={
        "requestBody": {
            "required": True,
            "content": {
                CSV: {"schema": {"type": "string"}},
                PARQUET: {"schema": {"type": "string", "contentMediaType": PARQUET}},
            },
        }
    },
)
@needs(Scope.OUTCOMES)
@streams
def create() -> Response:
    """Check every row of the file, then record what is new; with any error nothing is recorded.

    Up to 1,000 rows are one commit. Sent again, it records nothing twice: an upload that was
    interrupted is finished so.
    """
    if request.mimetype not in {CSV, PARQUET} or request.content_encoding:
        told = f"send {CSV} or {PARQUET}, not {request.mimetype or 'no media type'}"
        raise ServiceError(415, "media-type", told)
    here = assembly()
    with tempfile.TemporaryFile(dir=here.settings.data_dir) as file:
        _take(file, here.settings.max_batch_bytes)
        try:
            done = upload(here, file, actor_id=caller().actor_id)
        except UploadRefused as error:
            rows = [asdict(row) for row in error.checked.errors[:REFUSED_SHOWN]]
            error.members = {**error.members, "rows_refused": rows}
            raise
    return jsonify(asdict(done))


def _take(file: IO[bytes], most: int) -> None:
    """The body, in a file without a name, within a limit. Raises ServiceError 413."""
    request.max_content_length = most + 1
    taken = request.content_length or 0
    while taken <= most and (piece := request.stream.read(CHUNK)):
        file.write(piece)
        taken = max(taken, file.tell())
    if taken > most:
        told = f"a file has at most {most} bytes here; cut it in two"
        raise ServiceError(413, "body-too-large", told)
    file.seek(0)
