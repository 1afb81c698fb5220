"""The register of models, which prints, and who relied on one model.

|page|reads|
|---|---|
|`/register`, `/register?overdue=1`|`/v1/hub/register`|
|`/register/<digest>`, `?since=N`|`/v1/hub/models/<digest>/reliance`|
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from flask import Response, abort, request

from dashboards.render import page

if TYPE_CHECKING:
    from flask import Blueprint

    from dashboards.reading import Read

RELIANCE_SHOWN: Final = 50  # predictions on one page: two screens
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def add_pages(pages: Blueprint, read: Read) -> None:
    """Mount both pages."""
    pages.add_url_rule("/register", "register", partial(_register, read))
    pages.add_url_rule("/register/<digest>", "reliance", partial(_reliance, read))


def _register(read: Read) -> Response:
    found = read("/v1/hub/register")
    only = request.args.get("overdue") == "1"
    lines = [line for line in found["models"] if line["overdue"] or not only]
    return page(
        "register.html",
        lines=lines,
        overdue=found["overdue"],
        as_of=found["as_of"],
        total=len(found["models"]),
        only=only,
    )


def _reliance(read: Read, digest: str) -> Response:
    if not _DIGEST.fullmatch(digest):
        abort(404)
    since = request.args.get("since", default=0, type=int)
    query = f"?since={max(since, 0)}&limit={RELIANCE_SHOWN}"
    return page("reliance.html", found=read(f"/v1/hub/models/{digest}/reliance{query}"))
