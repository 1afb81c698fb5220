"""Signing in to the pages, and the two callables they read and send forms through.

A page is rendered from what the public routes answer to the reader's own key, so a page cannot
show what the API would refuse, and cannot disagree with it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, redirect, request, session, url_for
from werkzeug.test import Client, EnvironBuilder

import dashboards
from service.api.access import API, INTERNAL, assembly, public
from service.auth import Identity
from service.errors import PROBLEM, ServiceError

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as WerkzeugResponse

pages = Blueprint("pages", __name__)


def read(path: str) -> dict[str, Any]:
    """GET `path` from this application as the reader of the page. Raises dashboards.ReadError."""
    # The identity goes in the environ's base: the client rebuilds an environ it is handed.
    base = {INTERNAL: g.get("identity") or _nobody()}
    builder = EnvironBuilder(path=path, method="GET", environ_base=base)
    application = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    answer = Client(application).open(builder)
    body = answer.get_json(silent=True)
    if answer.status_code != HTTPStatus.OK or not isinstance(body, dict):
        raise dashboards.ReadError(answer.status_code, body or {"detail": "no JSON came back"})
    return body


def act(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST `body` to `path` as the reader of the page who sent a form. Raises dashboards.ReadError.

    The cookie alone opens nothing but reading under /v1; a form opens what its reader's key does,
    once it is known to come from a page of this site.
    """
    _refuse_other_sites()
    base = {INTERNAL: g.get("identity") or _nobody()}
    builder = EnvironBuilder(path=path, method="POST", json=body, environ_base=base)
    application = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    answer = Client(application).open(builder)
    told = answer.get_json(silent=True)
    if answer.status_code != HTTPStatus.OK or not isinstance(told, dict):
        raise dashboards.ReadError(answer.status_code, told or {"detail": "no JSON came back"})
    return told


def _nobody() -> Identity:
    return Identity(key_id="", actor_id="nobody", scopes=frozenset())


@pages.get("/sign-in")
@public
def sign_in_form() -> Response | WerkzeugResponse:
    """The form; or, with a one-time token, straight in."""
    token = request.args.get("token")
    target = _safe(request.args.get("next"))
    if token:
        identity = assembly().callers.use_link(token)
        if identity is not None:
            session["key_id"] = identity.key_id
            return redirect(target)
        return _form("This link was used already or is too old. Sign in with an API key.", target)
    return _form(None, target)


@pages.post("/sign-in")
@public
def sign_in() -> Response | WerkzeugResponse:
    """Recognise a key and remember its id in a signed cookie; the key itself is not kept."""
    _refuse_other_sites()
    target = _safe(request.form.get("next"))
    try:
        identity = assembly().callers.recognise(request.form.get("api_key", "").strip())
    except ServiceError:
        return _form("That key is not known here, or was revoked.", target, status=401)
    session["key_id"] = identity.key_id
    return redirect(target)


@pages.post("/sign-out")
@public
def sign_out() -> WerkzeugResponse:
    """Forget the reader."""
    _refuse_other_sites()
    session.clear()
    return redirect(url_for("pages.sign_in_form"))


def require_reader(app: Flask) -> None:
    """Send whoever is not signed in to the form before any page is rendered."""

    @app.before_request
    def check() -> WerkzeugResponse | None:
        if request.blueprint != "dashboards" or request.endpoint == "dashboards.static":
            return None
        key_id = session.get("key_id")
        identity = assembly().callers.identity(key_id) if key_id else None
        if identity is None:
            return redirect(url_for("pages.sign_in_form", next=request.full_path.rstrip("?")))
        g.identity = identity
        return None


def show_problems(app: Flask) -> None:
    """Show a problem as a page to whoever asked for a page, and outside /v1 alone."""

    @app.after_request
    def show(response: Response) -> Response:
        accepted = request.accept_mimetypes
        reader = accepted["text/html"] > accepted[PROBLEM]
        if response.mimetype != PROBLEM or request.path.startswith(API) or not reader:
            return response
        told = response.get_json()
        page: Response = dashboards.render_error(
            dashboards.Problem(told["status"], told["title"], told["detail"])
        )
        return page


def _form(error: str | None, target: str, status: int = 200) -> Response:
    page: Response = current_app.make_response(
        dashboards.render_sign_in(error=error, next_path=target)
    )
    page.status_code = status
    return page


def _safe(target: str | None) -> str:
    """A path on this site, never another site's address."""
    try:
        parts = urlsplit(target or "/")
    except ValueError:
        return "/"
    local = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    if not local or "\\" in (target or "") or (target or "").startswith("//"):
        return "/"
    return target or "/"


def _refuse_other_sites() -> None:
    """403 for a form that another site sent: nobody is signed in, or out, from elsewhere.

    The cookie is SameSite=Strict, so such a form has no reader; the browser is asked too.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise ServiceError(403, "cross-site", "this form is sent from its own page only")
