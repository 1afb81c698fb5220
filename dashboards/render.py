"""One Jinja environment, and the headers every page leaves with.

Jinja is strict (a name a template misspells is an error, not a gap) and escapes everything; only
`marks` and `charts` hand over markup, and they escape what enters it. The content security policy
allows this site's own files and nothing inline, so a name that slipped through could still not run.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards import bars, charts, words
from dashboards.marks import mark
from dashboards.proof import lay_out, steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.reading import Problem

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
ASSETS: Final = "/assets"
YEAR_S: Final = 31_536_000  # an address that names its content's digest never changes
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def guard(response: Response) -> Response:
    """Give a page its headers; a page is the reader's own, so nobody else keeps it."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def page(template: str, status: int = 200, **context: Any) -> Response:  # noqa: ANN401 - Jinja's own
    """Render a template of ours as a guarded answer."""
    path = request.path if request else "/"
    text = _environment().get_template(template).render(path=path, **context)
    return guard(Response(text, status, content_type="text/html; charset=utf-8"))


def render_sign_in(error: str | None, next_path: str) -> Response:
    """The page that asks for an API key; `next_path` is where the reader was going."""
    return page("sign_in.html", error=error, next_path=next_path)


def render_error(problem: Problem) -> Response:
    """A problem as a page, with its own status."""
    return page("error.html", problem.status, problem=problem)


def static_file(name: str) -> Response | None:
    """A file of `static/`, kept for a year if its digest is named; None when there is none."""
    if name not in _digests():
        return None
    kind = TYPES[Path(name).suffix]
    response = Response(_files()[name].read_bytes(), content_type=f"{kind}; charset=utf-8")
    named = request.args.get("v") == _digests()[name]
    response.headers["Cache-Control"] = (
        f"public, max-age={YEAR_S}, immutable" if named else "no-cache"
    )
    return guard(response)


@cache
def _files() -> dict[str, Path]:
    """Our own files and those of `vendor/`, by their names, which differ."""
    return {file.name: file for file in sorted(STATIC.rglob("*")) if file.suffix in TYPES}


@cache
def _digests() -> dict[str, str]:
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for name, file in _files().items()
    }


def asset(name: str) -> str:
    """The address of a static file, naming its content."""
    return f"{ASSETS}/{name}?v={_digests()[name]}"


def ident(text: object) -> str:
    """A text as an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-") or "x"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        asset=asset,
        bars=bars,
        charts=charts,
        lay_out=lay_out,
        mark=mark,
        steps=steps,
        NONE=words.NONE,
        ENTRY_TYPES=words.ENTRY_TYPES,
        KINDS=words.KINDS,
    )
    found.filters.update(
        dict_values=lambda mapping: list(mapping.values()),
        count=words.count,
        figure=words.figure,
        ident=ident,
        number=words.number,
        percent=words.percent,
        plural=words.plural,
        prose=words.prose,
        q16=words.q16,
        sentence=words.sentence,
        short=words.short,
        texts=words.texts,
        when=words.when,
        words=words.words,
    )
    return found
