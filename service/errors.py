"""Every package's errors as problem+json (RFC 9457). No other module knows HTTP's error form.

A problem names what was wrong and, where a field of the request is at fault, the field. It never
carries inputs: they could be personal, and problems are logged by clients. For the same reason the
log gets an unforeseen error's type and place, and not its text.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from ledger import errors as ledger_errors
from models import errors as model_errors
from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask
    from pydantic import ValidationError

PROBLEM = "application/problem+json"
RETRY_AFTER_S = 1  # a full queue drains within one commit; a second is generous
FIELDS_SHOWN = 20  # of a body with more at fault; nobody repairs more at a time
NAME_SHOWN = 120  # characters of a field's name: the caller may have made it up
FRAMES_SHOWN = 8  # innermost places of an unforeseen error


@dataclass(eq=False)
class ServiceError(Exception):
    """Root of the service's own errors: a status, a stable code and a sentence."""

    status: int
    code: str
    detail: str
    fields: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, object] = field(default_factory=dict)  # more of RFC 9457, section 3.2

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class FieldRefused(ServiceError):
    """A field of the request cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(422, "field-refused", f"{name}: {reason}", ((name, reason),))


class Missing(ServiceError):
    """What was asked for is not here."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(404, "not-found", f"{what}{'. ' + hint if hint else ''}")


class NotInitialised(ServiceError):
    """The data directory holds no ledger; nothing is created on first use."""

    def __init__(self, data_dir: str) -> None:
        super().__init__(
            500,
            "not-initialised",
            f"no ledger in {data_dir}; create one with: assay init --data-dir {data_dir}",
        )


TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Request refused",
    429: "Too many requests",
    500: "Internal error",
    503: "Not answered: the record could not be confirmed or read",
}

# Most specific first: the first class that matches decides.
_TRANSLATIONS: tuple[tuple[type[Exception], int, str], ...] = (
    (ledger_errors.DuplicateKeyConflict, 409, "idempotency-conflict"),
    (ledger_errors.QueueFull, 503, "queue-full"),
    (ledger_errors.DeadlinePassed, 503, "deadline-passed"),
    (ledger_errors.LedgerUnavailable, 503, "ledger-unavailable"),
    (ledger_errors.LedgerInconsistent, 503, "ledger-inconsistent"),
    (ledger_errors.RolledBack, 503, "ledger-rolled-back"),
    (ledger_errors.AnchorRefused, 503, "ledger-anchor"),
    (ledger_errors.NotFound, 404, "not-found"),
    (ledger_errors.TileError, 404, "not-found"),
    (ledger_errors.RecordError, 422, "record-refused"),
    (ledger_errors.LedgerError, 503, "ledger-error"),
    (model_errors.UnknownModel, 404, "unknown-model"),
    (model_errors.NotApproved, 409, "model-not-approved"),
    (model_errors.Withdrawn, 409, "model-withdrawn"),
    (model_errors.DigestMismatch, 409, "model-digest-mismatch"),
    (model_errors.ModelError, 422, "model-refused"),
    (MonitoringError, 422, "evaluation-refused"),
)

# What a caller is told instead of the cause, which names files and tables; the log has the cause.
_NOT_COMMITTED = (
    "the log could not commit, so nothing is answered; ask again with the same idempotency key: "
    "an entry that was recorded all the same is found by it"
)
_INCONSISTENT = (
    "what the log has stored contradicts itself; it answers nothing until its operator has looked"
)
_ROLLED_BACK = (
    "the database is older than its anchor, or another log's: nothing is recorded or answered "
    "until its operator has brought back what is missing"
)
_ANCHOR = (
    "the anchor of the log is missing or cannot be used: nothing is recorded or answered until its "
    "operator has looked"
)
_FOR_CALLERS: tuple[tuple[type[Exception], str], ...] = (
    (ledger_errors.LedgerUnavailable, _NOT_COMMITTED),
    (ledger_errors.LedgerInconsistent, _INCONSISTENT),
    (ledger_errors.RolledBack, _ROLLED_BACK),
    (ledger_errors.AnchorRefused, _ANCHOR),
)


def translate(error: Exception) -> ServiceError | None:
    """The HTTP form of an error of any package; None for one nobody foresaw."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, model_errors.InputRefused):
        return ServiceError(422, "input-refused", str(error), ((error.field, error.reason),))
    if isinstance(error, ledger_errors.RecordError):
        return _record_refused(error)
    if isinstance(error, SQLAlchemyError | OSError):  # their texts hold values and names of files
        reason = getattr(error, "strerror", None) or "the database does not answer"
        detail = f"storage failed, so nothing is answered: {reason}"
        return ServiceError(503, "storage-unavailable", detail, headers=_retry(503))
    for kind, status, code in _TRANSLATIONS:
        if isinstance(error, kind):
            detail = next((text for k, text in _FOR_CALLERS if isinstance(error, k)), str(error))
            return ServiceError(status, code, detail, headers=_retry(status))
    return None


def _retry(status: int) -> dict[str, str]:
    late = status == HTTPStatus.SERVICE_UNAVAILABLE
    return {"Retry-After": str(RETRY_AFTER_S)} if late else {}


def _record_refused(error: ledger_errors.RecordError) -> ServiceError:
    """What the grammar of entries refused, by its field; the value it repeats is cut off."""
    reason = error.reason.partition(", got ")[0]
    detail = f"this cannot be recorded: {error.field}: {reason}"
    return ServiceError(422, "record-refused", detail, ((error.field, reason),))


def problem(error: ServiceError) -> Response:
    """An error as application/problem+json."""
    response = Response(problem_bytes(error, request.path), error.status, content_type=PROBLEM)
    response.headers.update(error.headers)
    return response


def problem_bytes(error: ServiceError, path: str) -> bytes:
    """The body of a problem; `path` is what was asked for."""
    body: dict[str, object] = {
        "type": f"urn:assay:problem:{error.code}",
        "title": TITLES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.detail,
        "instance": path,
    }
    body.update(error.members)
    if error.fields:
        body["errors"] = [
            {"field": name[:NAME_SHOWN], "message": text}
            for name, text in error.fields[:FIELDS_SHOWN]
        ]
    return (json.dumps(body, indent=2) + "\n").encode()


def from_validation(error: ValidationError) -> ServiceError:
    """What pydantic refused, with the dotted name of each field and without its value."""
    fields = tuple(
        (
            ".".join(str(part) for part in item["loc"]) or "body",
            item["msg"].removeprefix("Value error, "),
        )
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
    name, message = fields[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return ServiceError(422, "field-refused", f"{name[:NAME_SHOWN]}: {message}{more}", fields)


def install(app: Flask) -> None:
    """Make every error of `app` a problem, the unforeseen one included."""

    def handle_http(error: HTTPException) -> Response:
        status = error.code or 500
        if isinstance(error.response, Response):  # made by the validation callback
            return error.response
        code = (error.name or "error").lower().replace(" ", "-")
        kept = {k: v for k, v in error.get_headers() if k.lower() != "content-type"}  # Allow
        return problem(ServiceError(status, code, error.description or code, headers=kept))

    def handle_any(error: Exception) -> Response:
        if isinstance(error, ledger_errors.RecordError) and request.method == "GET":
            error = ledger_errors.LedgerInconsistent(f"stored entry: {error}")
        known = translate(error)
        if known is None:
            known = ServiceError(500, "internal", "an unforeseen error; nothing was answered")
            _log("unforeseen error", error, known.code)
        elif known.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log("not answered", error, known.code)
        return problem(known)

    app.register_error_handler(HTTPException, handle_http)
    app.register_error_handler(Exception, handle_any)


def log_facts(error: Exception) -> dict[str, object]:
    """What a log may hold of an error: its type, its places, its text if one of ours wrote it.

    Other texts repeat values: a statement's parameters, a number that could not be read.
    """
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_SHOWN:]
    ours = isinstance(error, ledger_errors.LedgerError | model_errors.ModelError | MonitoringError)
    return {
        "error": type(error).__name__,
        "cause": str(error) if ours or isinstance(error, ServiceError) else None,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _log(event: str, error: Exception, code: str) -> None:
    route = request.url_rule.rule if request.url_rule else "unknown"
    structlog.get_logger("http").error(event, route=route, code=code, **log_facts(error))
