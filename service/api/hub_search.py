"""GET the models of the hub that answer a question, narrowed by facets, ordered by use."""

from __future__ import annotations

import threading
from typing import Annotated, Final

from flask import Response, current_app, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from models.hub.search.query import QUERY_MAX
from service.api.access import assembly, caller, needs
from service.api.answers import HubSearchAnswer
from service.auth import Scope
from service.hub_search import SORTS, Ask, HubSearch

EXTENSION: Final = "assay.search"
VALUES_MOST: Final = 20  # values of one facet in one question
PAGE_MOST: Final = 100
_OPENING = threading.Lock()

api = APIBlueprint(
    "hub_search",
    __name__,
    url_prefix="/v1/hub",
    abp_tags=[Tag(name="hub", description="Models as files, their register, who relied on them.")],
    abp_security=[{"bearer": []}],
)

Values = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    Field(default_factory=list, max_length=VALUES_MOST, description="any of these"),
]


class SearchQuery(BaseModel):
    """A question in plain words, and how to narrow and order the list."""

    model_config = ConfigDict(extra="forbid")
    q: str = Field(default="", max_length=QUERY_MAX, description="words; empty lists every model")
    task: Values
    asset_class: Values
    framework: Values
    licence: Values
    transparency: Values
    region: Values
    tier: Values
    status: Values
    verification: Values
    honesty: Values
    correctness: Values
    sort: str = Field(default="relevance", pattern=f"^({'|'.join(SORTS)})$")
    offset: int = Field(default=0, ge=0, le=10_000)
    limit: int = Field(default=20, ge=1, le=PAGE_MOST)


FACETS: Final = tuple(
    name for name in SearchQuery.model_fields if name not in {"q", "sort", "offset", "limit"}
)


@api.get("/search", summary="Search the models", responses={200: HubSearchAnswer})
@needs()
def search(query: SearchQuery) -> Response:
    """Models by what their cards say, each with why it stands where it stands.

    Facets of the two reports, and use, are answered to keys that may read the reports.
    """
    filters = {name: frozenset(getattr(query, name)) for name in FACETS if getattr(query, name)}
    ask = Ask(
        text=query.q,
        filters=filters,
        sort=query.sort,
        offset=query.offset,
        limit=query.limit,
        reports=bool(caller().scopes & {Scope.AUDITOR, Scope.RISK, Scope.ADMIN}),
    )
    return jsonify(_search().search(ask))


def _search() -> HubSearch:
    """The application's search, opened by the first question."""
    found: HubSearch | None = current_app.extensions.get(EXTENSION)
    if found is None:
        with _OPENING:
            found = current_app.extensions.get(EXTENSION)
            if found is None:
                found = current_app.extensions[EXTENSION] = HubSearch(assembly())
    return found
