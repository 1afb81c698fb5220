"""Every package's errors as problem+json (RFC 9457). No other module knows HTTP's error form.

A problem names what was wrong and, where a field of the request is at fault, the field. It never
carries inputs: they could be personal, and problems are logged by clients.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, current_app, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from ledger import errors as ledger_errors
from models import errors as model_errors
from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask
    from pydantic import ValidationError

RETRY_AFTER_S = 1  # a full queue drains within one commit; a second is generous


@dataclass(eq=False)
class ServiceError(Exception):
    """Root of the service's own errors: a status, a stable code and a sentence."""

    status: int
    code: str
    detail: str
    fields: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

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
    503: "Not recorded, so not answered",
}

# Most specific first: the first class that matches decides.
_TRANSLATIONS: tuple[tuple[type[Exception], int, str], ...] = (
    (ledger_errors.DuplicateKeyConflict, 409, "idempotency-conflict"),
    (ledger_errors.QueueFull, 503, "queue-full"),
    (ledger_errors.LedgerUnavailable, 503, "ledger-unavailable"),
    (ledger_errors.LedgerInconsistent, 503, "ledger-inconsistent"),
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


def translate(error: Exception) -> ServiceError | None:
    """The HTTP form of an error of any package; None for one nobody foresaw."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, model_errors.InputRefused):
        return ServiceError(422, "input-refused", str(error), ((error.field, error.reason),))
    if isinstance(error, SQLAlchemyError):  # its text holds statements and values
        return ServiceError(
            503,
            "storage-unavailable",
            "the database does not answer; nothing was answered",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    for kind, status, code in _TRANSLATIONS:
        if isinstance(error, kind):
            headers = (
                {"Retry-After": str(RETRY_AFTER_S)}
                if status == HTTPStatus.SERVICE_UNAVAILABLE
                else {}
            )
            return ServiceError(status, code, str(error), headers=headers)
    return None


def problem(error: ServiceError) -> Response:
    """An error as application/problem+json."""
    body: dict[str, object] = {
        "type": f"urn:assay:problem:{error.code}",
        "title": TITLES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.detail,
        "instance": request.path,
    }
    if error.fields:
        body["errors"] = [{"field": name, "message": text} for name, text in error.fields]
    response = Response(
        json.dumps(body, indent=2) + "\n",
        status=error.status,
        content_type="application/problem+json",
    )
    response.headers.update(error.headers)
    return response


def from_validation(error: ValidationError) -> ServiceError:
    """What pydantic refused, with the dotted name of each field and without its value."""
    fields = tuple(
        (".".join(str(part) for part in item["loc"]) or "body", item["msg"])
        for item in error.errors(include_url=False, include_input=False)
    )
    name, message = fields[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return ServiceError(422, "field-refused", f"{name}: {message}{more}", fields)


def install(app: Flask) -> None:
    """Make every error of `app` a problem, the unforeseen one included."""

    def handle_http(error: HTTPException) -> Response:
        status = error.code or 500
        if isinstance(error.response, Response):  # made by the validation callback
            return error.response
        code = (error.name or "error").lower().replace(" ", "-")
        return problem(ServiceError(status, code, error.description or code))

    def handle_any(error: Exception) -> Response:
        known = translate(error)
        if known is None:
            current_app.logger.error("unforeseen error on %s", request.path, exc_info=error)
            known = ServiceError(500, "internal", "an unforeseen error; nothing was answered")
        return problem(known)

    app.register_error_handler(HTTPException, handle_http)
    app.register_error_handler(Exception, handle_any)
