"""Canonical JSON of the hub's own documents: RFC 8785 for values without floats.

For objects with ASCII keys and no floats, the standard library's sorted output is the RFC's
(a test compares). Parsing accepts only what equals its own canonical form, so one document has
one digest and a parser's leniency decides nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

from models.errors import ManifestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

INTEGER_MAX: Final = 2**53 - 1  # past this, JSON readers disagree
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical_bytes(value: object, where: str = "document") -> bytes:
    """The one text of a value made of objects, lists, strings, booleans, null and integers."""
    _check(value, where)
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ManifestRefused(where, "holds half of a surrogate pair") from error


def parse_canonical(data: bytes, *, limit: int, where: str = "document") -> object:
    """The value of canonical bytes. Refuses anything longer than `limit` or written otherwise."""
    if len(data) > limit:
        raise ManifestRefused(where, f"{len(data)} bytes; at most {limit}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestRefused(where, f"not JSON ({type(error).__name__})") from error
    if canonical_bytes(value, where) != data:
        raise ManifestRefused(where, "not in canonical form (RFC 8785)")
    return value


def _check(value: object, where: str) -> None:
    waiting: list[tuple[str, object]] = [(where, value)]
    while waiting:
        place, item = waiting.pop()
        if item is None or isinstance(item, bool | str):
            continue
        if isinstance(item, int):
            if abs(item) > INTEGER_MAX:
                raise ManifestRefused(place, "integer beyond 2^53 - 1")
        elif isinstance(item, dict):
            waiting.extend((f"{place}.{_key(place, key)}", inner) for key, inner in item.items())
        elif isinstance(item, list | tuple):
            waiting.extend(_numbered(place, item))
        else:
            raise ManifestRefused(place, f"{type(item).__name__} has no canonical form here")


def _key(place: str, key: object) -> str:
    if not isinstance(key, str) or not key.isascii():
        raise ManifestRefused(place, "a key is not ASCII text")
    return key


def _numbered(place: str, items: Iterable[object]) -> Iterable[tuple[str, object]]:
    return ((f"{place}.{index}", inner) for index, inner in enumerate(items))
