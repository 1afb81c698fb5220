"""HTTP on an assembly: the Flask application, its routes, its pages, its limits.

The application answers no prediction that is not in the ledger; everything that could fail does so
before the answer is built (`predict.py`), and every error is a problem (`errors.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, jsonify
from flask_openapi3 import Info, OpenAPI

import dashboards
from service import errors, pages
from service.api import (
    access,
    admin,
    alarms,
    batch,
    comparisons,
    health,
    hub,
    hub_search,
    ledger,
    me,
    models,
    outcomes,
    policies,
    predictions,
    reports,
    uploads,
)
from service.api.answers import Problem
from service.api.describe import describe
from service.front import Front
from service.logs import configure, log_requests

if TYPE_CHECKING:
    from pydantic import ValidationError

    from service.assembly import Assembly

VERSION = "0.1.0"
DESCRIPTION = (
    "Verified inference for trading and risk models. Two questions are answered apart: was it "
    "computed honestly (the ledger and its proofs), and was it computed correctly (outcomes)."
)
BLUEPRINTS = (
    predictions,
    batch,
    outcomes,
    uploads,
    models,
    hub,
    hub_search,
    ledger,
    reports,
    alarms,
    policies,
    comparisons,
    admin,
    me,
    health,
)


def create_app(assembly: Assembly) -> OpenAPI:
    """Put HTTP on an assembly. Models are loaded here, so a listening process is a ready one."""
    configure()
    app = OpenAPI(
        "service",
        info=Info(title="Assay", version=VERSION, description=DESCRIPTION),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer"}},
        validation_error_status=422,
        validation_error_model=Problem,
        validation_error_callback=_validation_problem,
        doc_ui=False,
        static_folder=None,
    )
    app.extensions[access.EXTENSION] = assembly
    app.json = access.StrictJSON(app)
    app.config.update(
        MAX_CONTENT_LENGTH=assembly.settings.max_body_bytes,
        SECRET_KEY=assembly.signers.sessions,
        SESSION_COOKIE_NAME="assay",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    errors.install(app)
    log_requests(app)
    health.install(app, health.Metrics())
    pages.require_reader(app)
    pages.show_problems(app)
    access.install(app)
    for module in BLUEPRINTS:
        app.register_api(module.api)
    app.register_blueprint(pages.pages)
    app.register_blueprint(dashboards.blueprint(pages.read, pages.act))
    _serve_description(app)
    assembly.inventory.warm()
    return app


def create_front(assembly: Assembly) -> Front:
    """The same application behind the short way, for a server with an event loop."""
    app = create_app(assembly)
    metrics: health.Metrics = app.extensions[health.METRICS]
    return Front(app.wsgi_app, assembly, metrics)


def _serve_description(app: OpenAPI) -> None:
    """The OpenAPI 3.1 document; the page at /docs is rendered from it."""

    @access.public
    def description() -> Response:
        return jsonify(describe(app))

    app.add_url_rule("/openapi.json", "openapi", description)


def _validation_problem(error: ValidationError) -> Response:
    return errors.problem(errors.from_validation(error))
