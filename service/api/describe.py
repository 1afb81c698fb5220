"""The OpenAPI 3.1 document of the application, with what flask-openapi3 says wrongly put right.

Its quirks: answers given to the application reach no blueprint; what validation refuses becomes a
list of JSON objects, where ours is one problem; the end of a line becomes `<br/>`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from service.errors import PROBLEM

if TYPE_CHECKING:
    from flask_openapi3 import OpenAPI

_SCHEMA: Final = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
REFUSED: Final = {"description": "Refused; the problem says why", **_SCHEMA}
NOT_NOW: Final = {"description": "Not answered; ask again after Retry-After seconds", **_SCHEMA}


def describe(app: OpenAPI) -> dict[str, Any]:
    """The document; computed anew, since routes may have been added."""
    document: dict[str, Any] = copy.deepcopy(app.api_doc)
    for item in document["paths"].values():
        for operation in item.values():
            operation["description"] = operation["description"].replace("<br/>", "\n")
            answers = operation["responses"]
            answers.pop("422", None)
            answers |= {"4XX": REFUSED, "503": NOT_NOW}
    _drop_null_defaults(document)
    return document


def _drop_null_defaults(value: object) -> None:
    """Leave out `"default": null`: generators take a field with a default for one always there."""
    if isinstance(value, dict):
        if value.get("default", ...) is None:
            del value["default"]
        for inner in value.values():
            _drop_null_defaults(inner)
    elif isinstance(value, list):
        for inner in value:
            _drop_null_defaults(inner)


def text(media: str, description: str) -> dict[str, Any]:
    """Describe an answer that is no JSON."""
    return {"description": description, "content": {media: {"schema": {"type": "string"}}}}


def binary(media: str, description: str) -> dict[str, Any]:
    """Describe an answer of bytes."""
    return {
        "description": description,
        "content": {media: {"schema": {"type": "string", "contentMediaType": media}}},
    }
