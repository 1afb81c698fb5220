"""The API's description (OpenAPI 3.1) as a page: operations by tag, fields, a curl line each.

Reads what the service serves at /openapi.json and adds nothing to it. References are followed
inside the document only, and not past DEPTH_MAX, so a recursive schema ends.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METHODS: Final = ("get", "post", "put", "patch", "delete")
DEPTH_MAX: Final = 6  # deeper than any schema of ours; a cycle stops here
_BREAK: Final = re.compile(r"<br */?>")
_CONSTRAINTS: Final = (
    ("pattern", "matches {}"),
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request or an answer; `depth` indents it under its parent."""

    name: str
    kind: str
    required: bool
    depth: int
    description: str
    notes: tuple[str, ...]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with one status."""

    status: str
    description: str
    media: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    ident: str
    method: str
    path: str
    summary: str
    description: tuple[str, ...]
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    body_media: str
    answers: tuple[Answer, ...]
    curl: str
    open: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    name: str
    description: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """The whole description."""

    title: str
    version: str
    description: str
    groups: tuple[Group, ...]


def lay_out(document: Mapping[str, Any]) -> Api:
    """The description in the order it is written, operations without a tag last."""
    info = document.get("info") or {}
    told = {t["name"]: t.get("description") or "" for t in document.get("tags") or ()}
    by_tag: dict[str, list[Operation]] = {name: [] for name in told}
    for path, item in (document.get("paths") or {}).items():
        for method in METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags") or ()), "other")
                by_tag.setdefault(tag, []).append(_operation(document, path, method, item))
    return Api(
        title=str(info.get("title") or "API"),
        version=str(info.get("version") or ""),
        description=str(info.get("description") or ""),
        groups=tuple(
            Group(name, told.get(name, ""), tuple(found)) for name, found in by_tag.items() if found
        ),
    )


def _operation(
    document: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]
) -> Operation:
    told = item[method]
    given = [
        _follow(document, p)
        for p in (item.get("parameters") or []) + (told.get("parameters") or [])
    ]
    media, schema = _content(document, told.get("requestBody"))
    security = told.get("security", document.get("security"))
    return Operation(
        ident=re.sub(r"[^a-z0-9]+", "-", f"{method}-{path}".lower()).strip("-"),
        method=method.upper(),
        path=path,
        summary=str(told.get("summary") or path),
        description=_own_words(told),
        parameters=tuple(_parameter(document, p) for p in given),
        body=tuple(_fields(document, schema)),
        body_media=media,
        answers=tuple(
            _answer(document, status, _follow(document, a))
            for status, a in (told.get("responses") or {}).items()
        ),
        curl=_curl(
            document,
            method,
            path,
            parameters=given,
            media=media,
            schema=schema,
            signed=bool(security),
        ),
        open=not security,
    )


def _own_words(told: Mapping[str, Any]) -> tuple[str, ...]:
    """The description in paragraphs, without the summary that some generators put before it.

    flask-openapi3 writes a line's end as `<br/>`.
    """
    text = _BREAK.sub("\n", str(told.get("description") or "")).strip()
    summary = str(told.get("summary") or "")
    if text == summary or text.startswith(f"{summary}\n"):
        text = text.removeprefix(summary)
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def _parameter(document: Mapping[str, Any], given: Mapping[str, Any]) -> Field:
    schema = _follow(document, given.get("schema") or {})
    return Field(
        name=str(given.get("name", "")),
        kind=_kind(document, schema),
        required=bool(given.get("required")),
        depth=0,
        description=str(given.get("description") or schema.get("description") or ""),
        notes=_notes(document, schema),
        place=str(given.get("in", "")),
    )


def _answer(document: Mapping[str, Any], status: str, told: Mapping[str, Any]) -> Answer:
    media, schema = _content(document, told)
    fields = tuple(_fields(document, schema))
    return Answer(str(status), str(told.get("description") or ""), media, fields)


def _content(
    document: Mapping[str, Any], holder: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any]]:
    """The first media type with its schema; an example given beside the schema goes into it."""
    content = (_follow(document, holder or {})).get("content") or {}
    for media, told in content.items():
        schema = told.get("schema") or {}
        given = [told["example"]] if "example" in told else []
        given += [e["value"] for e in (told.get("examples") or {}).values() if "value" in e]
        return str(media), {**schema, "examples": given} if given else schema
    return "", {}


def _follow(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its reference resolved; what stands beside `$ref` wins."""
    for _ in range(DEPTH_MAX):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#/"):
            return schema
        here: Any = document
        for name in ref[2:].split("/"):
            here = here.get(name.replace("~1", "/").replace("~0", "~"), {})
        schema = {**here, **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def _plain(
    document: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[Mapping[str, Any], bool]:
    """A schema without its `or null`, and whether null was allowed."""
    schema = _follow(document, schema)
    options = schema.get("anyOf") or schema.get("oneOf") or ()
    kept = [o for o in (_follow(document, o) for o in options) if o.get("type") != "null"]
    if len(kept) != 1:
        return schema, len(kept) != len(options)
    outer = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "default")}
    return {**kept[0], **outer}, len(kept) != len(options)


def _fields(
    document: Mapping[str, Any],
    schema: Mapping[str, Any],
    depth: int = 0,
    above: tuple[str, ...] = (),
) -> Iterator[Field]:
    """Fields in the order written, those of a nested object under it; a cycle is named once."""
    above = (*above, *_refs(schema))
    schema, _ = _plain(document, schema)
    if schema.get("type") == "array":
        above = (*above, *_refs(schema.get("items") or {}))
        schema, _ = _plain(document, schema.get("items") or {})
    required = set(schema.get("required") or ())
    for name, told in (schema.get("properties") or {}).items():
        inner, nullable = _plain(document, told)
        kind = _kind(document, inner)
        yield Field(
            name=str(name),
            kind=f"{kind} or null" if nullable else kind,
            required=name in required,
            depth=depth,
            description=str(inner.get("description") or ""),
            notes=_notes(document, inner),
        )
        if depth < DEPTH_MAX and not set(_refs(told)) & set(above):
            yield from _fields(document, told, depth + 1, above)


def _refs(schema: Mapping[str, Any]) -> list[str]:
    """The references a schema stands for, its own or those of its alternatives."""
    options = [schema, *(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    options += [o["items"] for o in options if isinstance(o.get("items"), dict)]
    return [str(option["$ref"]) for option in options if "$ref" in option]


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    schema, nullable = _plain(document, schema)
    options = [
        o for o in schema.get("anyOf") or schema.get("oneOf") or () if o.get("type") != "null"
    ]
    if options:
        text = " or ".join(_kind(document, option) for option in options)
    elif schema.get("type") == "array":
        text = f"list of {_kind(document, schema.get('items') or {})}"
    elif isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        text = f"object of {_kind(document, schema['additionalProperties'])}"
    else:
        told = schema.get("type", "any")
        text = " or ".join(told) if isinstance(told, list) else str(told)
    return f"{text} or null" if nullable else text


def _notes(document: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, ...]:
    schema, _ = _plain(document, schema)
    notes = [form.format(schema[key]) for key, form in _CONSTRAINTS if key in schema]
    if schema.get("enum"):
        notes.append("one of " + ", ".join(str(v) for v in schema["enum"]))
    if schema.get("default") is not None:
        notes.append(f"default {json.dumps(schema['default'])}")
    if schema.get("examples"):
        notes.append("such as " + ", ".join(str(v) for v in schema["examples"]))
    return tuple(notes)


def _curl(
    document: Mapping[str, Any],
    method: str,
    path: str,
    *,
    parameters: list[Mapping[str, Any]],
    media: str,
    schema: Mapping[str, Any],
    signed: bool,
) -> str:
    """A line to paste: the required parts filled with the examples the description gives."""
    query = []
    for given in parameters:
        value = _sample(document, given.get("schema") or {}, str(given.get("name")))
        if given.get("in") == "path":
            for form in (f"{{{given['name']}}}", f"<{given['name']}>"):
                path = path.replace(form, quote(str(value), safe="@:"))
        elif given.get("in") == "query" and given.get("required"):
            query.append(f"{given['name']}={quote(str(value), safe='@:')}")
    address = path + ("?" + "&".join(query) if query else "")
    lines = [f'curl -sS{"" if method == "get" else f" -X {method.upper()}"} "$ASSAY_URL{address}"']
    if signed:
        lines.append('-H "Authorization: Bearer $ASSAY_KEY"')
    if media:
        lines.append(f"-H {shlex.quote(f'Content-Type: {media}')}")
        lines.append(f"-d {shlex.quote(json.dumps(_sample(document, schema, '')))}")
    return " \\\n  ".join(lines)


def _sample(
    document: Mapping[str, Any], schema: Mapping[str, Any], name: str, depth: int = 0
) -> Any:  # noqa: ANN401
    """A value as an example would show it: the given example, else the plainest of its type."""
    schema, _ = _plain(document, schema)
    for found in (schema.get("examples"), [schema["example"]] if "example" in schema else None):
        if found:
            return found[0]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" and schema.get("properties") and depth < DEPTH_MAX:
        wanted = schema.get("required") or []
        return {
            key: _sample(document, told, key, depth + 1)
            for key, told in schema["properties"].items()
            if key in wanted
        }
    if kind == "array":
        return (
            [_sample(document, schema.get("items") or {}, name, depth + 1)]
            if depth < DEPTH_MAX
            else []
        )
    plain: dict[str, Any] = {"integer": 17, "number": 1, "boolean": True, "object": {}}
    return plain.get(str(kind), f"<{name}>" if name else "...")
