"""The page where models are found: `/hub`, which reads `/v1/hub/search` with the same question.

A form with GET, so a question is an address: it works without scripts, can be sent and kept.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import Response, request

from dashboards import hub
from dashboards.reading import Problem, ReadError
from dashboards.render import page

if TYPE_CHECKING:
    from flask import Blueprint

    from dashboards.reading import Read


def add_pages(pages: Blueprint, read: Read) -> None:
    """Mount the page."""
    pages.add_url_rule("/hub", "hub", partial(_search, read))


def _search(read: Read) -> Response:
    question = hub.asked(request.args)
    query = question.query()
    try:
        found = read(f"/v1/hub/search?limit={hub.PAGE}" + (f"&{query}" if query else ""))
    except ReadError as error:
        if error.status in (401, 403):
            raise
        return page(
            "hub.html", 422, asked=question, sorts=hub.SORTS, problem=Problem.of(error), found=None
        )
    last = question.offset + len(found["hits"])
    return page(
        "hub.html",
        asked=question,
        sorts=hub.SORTS,
        problem=None,
        found=found,
        facets=hub.facets(found, question),
        hits=hub.hits(found),
        first=question.offset + 1 if found["hits"] else 0,
        last=last,
        before=question.query(offset=max(0, question.offset - hub.PAGE))
        if question.offset
        else None,
        after=question.query(offset=last) if last < found["total"] else None,
    )
