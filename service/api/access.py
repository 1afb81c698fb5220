"""What every request passes before its route: caller, scope, form of query and body.

A route is open only to the scopes `needs` names. A route without the mark answers 403 to everyone,
and a test walks the URL map for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app, g, request, session
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import RequestEntityTooLarge

from service.auth import ANY, Identity, Scope, refuse_scope
from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from service.assembly import Assembly

F = TypeVar("F", bound="Callable[..., Any]")
EXTENSION = "assay"
REFUSED = "assay.refused"  # what was raised before the application was asked, to be worded by it
INTERNAL = "assay.identity"  # a WSGI key no HTTP header can set: the pages' own reads
PUBLIC = frozenset[Scope]()
PAGES = "dashboards"
API = "/v1/"


def assembly() -> Assembly:
    """The assembly of the running application."""
    found: Assembly = current_app.extensions[EXTENSION]
    return found


def caller() -> Identity:
    """Who is asking; set before any route that needs a scope."""
    identity: Identity = g.identity
    return identity


def needs(*scopes: Scope) -> Callable[[F], F]:
    """Open a route to these scopes; to any known caller when none is named."""

    def mark(view: F) -> F:
        view.__assay_scopes__ = frozenset(scopes) or ANY  # type: ignore[attr-defined]
        return view

    return mark


def public(view: F) -> F:
    """Open a route to everyone: health, documentation, the sign-in page."""
    view.__assay_scopes__ = PUBLIC  # type: ignore[attr-defined]
    return view


def streams(view: F) -> F:
    """Leave the body to the route, which reads it in pieces and under limits of its own."""
    view.__assay_streams__ = True  # type: ignore[attr-defined]
    return view


class StrictJSON(DefaultJSONProvider):
    """JSON that means one thing: no duplicate names, no NaN or Infinity."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:  # noqa: ANN401 - the base's type
        """Parse, refusing what two parsers could read differently."""
        return strict_json(s, **kwargs)


def strict_json(data: str | bytes, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Parse JSON; raises ValueError for a repeated name, NaN or Infinity."""
    return json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant, **kwargs)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            message = f"the name {name!r} appears twice in one object"
            raise ValueError(message)
        found[name] = value
    return found


def _no_constant(text: str) -> object:
    message = f"{text} is not JSON"
    raise ValueError(message)


def request_digest() -> str:
    """SHA-256 of method, path and body: what makes two requests the same."""
    return digest_of(request.method, request.path, request.get_data())


def digest_of(method: str, path: str, body: bytes) -> str:
    """SHA-256 of a request's method, path and body, in hex."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()


def install(app: Flask) -> None:
    """Check every request of `app` before its route."""

    @app.before_request
    def check() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is None or request.blueprint == PAGES:
            return  # 404 and 405 are werkzeug's; pages ask for a reader (pages.require_reader)
        _check_scopes(view)
        if REFUSED in request.environ:
            raise request.environ[REFUSED]
        if request.path.startswith(API):
            _check_query()
            if request.method == "POST" and not getattr(view, "__assay_streams__", False):
                _check_body()

    @app.after_request
    def keep_private(response: Response) -> Response:
        """Answers under /v1 are one caller's: no cache between may keep them for another."""
        if request.path.startswith(API):
            response.headers.setdefault("Cache-Control", "private, no-store")
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _check_scopes(view: object) -> None:
    scopes: frozenset[Scope] | None = getattr(view, "__assay_scopes__", None)
    if scopes is None:
        raise ServiceError(403, "route-shut", "no scope opens this route")
    if scopes:
        g.identity = _identify()
        if not g.identity.may(scopes):
            raise refuse_scope(g.identity, scopes)


def internal() -> bool:
    """Whether a page asks on behalf of its reader, within a request that is counted already."""
    return isinstance(request.environ.get(INTERNAL), Identity)


def _identify() -> Identity:
    callers = assembly().callers
    if internal():
        identity: Identity = request.environ[INTERNAL]
        return identity
    header = request.headers.get("Authorization")
    if header is not None:  # whoever sends one means it: a bad one never falls back to a cookie
        scheme, _, key = header.partition(" ")
        return callers.recognise(key.strip() if scheme.lower() == "bearer" else "")
    key_id = session.get("key_id")
    if key_id and request.method == "GET":  # a page's cookie never changes anything under /v1
        known = callers.identity(key_id)
        if known is not None:
            return known
    return callers.recognise("")  # the one place that words the refusal


def _check_query() -> None:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise FieldRefused(name, "is given twice")


def _check_body() -> None:
    data = request.get_data()
    if not data:
        return
    if request.content_length is None and len(data) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge  # sent in chunks: what was read may be cut off at the limit
    if request.mimetype != "application/json":
        raise ServiceError(
            415, "media-type", f"send application/json, not {request.mimetype or 'no media type'}"
        )
    try:
        parsed = strict_json(data)
    except (ValueError, RecursionError) as error:
        raise ServiceError(400, "malformed-json", f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ServiceError(422, "field-refused", "the body must be a JSON object")
