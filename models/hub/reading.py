"""A strict reader of JSON objects: each key is taken once, with its type, and none is left over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from models.errors import ManifestRefused
from models.hub.canonical import DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEXT_MAX: Final = 4000  # characters of any one text: a paragraph, not a document
LIST_MAX: Final = 1024  # items of any one list
_PATTERN: Final = re.compile(r"[0-9a-f]{8}")


class Reader:
    """One JSON object being read. Each `take` removes a key; `done` refuses what is left."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ManifestRefused(where, "expected an object")
        self._left = dict(value)
        self._where = where

    def take(self, key: str) -> object:
        """Any value; it must be there."""
        if key not in self._left:
            raise ManifestRefused(self.name(key), "missing")
        return self._left.pop(key)

    def text(self, key: str, *, pattern: str | None = None) -> str:
        """Text of at least one character, matching `pattern` whole when one is given."""
        value = self.take(key)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
            raise ManifestRefused(self.name(key), f"expected text of 1 to {TEXT_MAX} characters")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise ManifestRefused(self.name(key), f"must match {pattern}")
        return value

    def text_or_none(self, key: str, *, pattern: str) -> str | None:
        """Text matching `pattern` whole, or null."""
        if self._left.get(key, "") is None:
            del self._left[key]
            return None
        return self.text(key, pattern=pattern)

    def choice(self, key: str, allowed: Mapping[str, object] | tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.take(key)
        if not isinstance(value, str) or value not in allowed:
            raise ManifestRefused(self.name(key), f"must be one of {', '.join(allowed)}")
        return value

    def digest(self, key: str) -> str:
        """`sha256:` and 64 hex digits."""
        value = self.take(key)
        if not isinstance(value, str) or not DIGEST.fullmatch(value):
            raise ManifestRefused(self.name(key), "expected sha256: and 64 hex digits")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer within bounds, both included; true and false are not integers."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ManifestRefused(self.name(key), f"expected an integer from {low} to {high}")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise ManifestRefused(self.name(key), "expected true or false")
        return value

    def inner(self, key: str) -> Reader:
        """An object."""
        return Reader(self.take(key), self.name(key))

    def inner_or_none(self, key: str) -> Reader | None:
        """An object or null."""
        value = self.take(key)
        return None if value is None else Reader(value, self.name(key))

    def items(self, key: str, *, most: int = LIST_MAX) -> list[object]:
        """A list of at least one item."""
        value = self.take(key)
        if not isinstance(value, list) or not 0 < len(value) <= most:
            raise ManifestRefused(self.name(key), f"expected a list of 1 to {most} items")
        return value

    def readers(self, key: str, *, most: int = LIST_MAX) -> Iterator[Reader]:
        """A list of objects."""
        for index, item in enumerate(self.items(key, most=most)):
            yield Reader(item, f"{self.name(key)}.{index}")

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are all text: notes for people, never read by code."""
        inner = self.inner(key)
        found = {name: inner.text(name) for name in inner.left()}
        inner.done()
        return found

    def patterns(self, key: str, count: int) -> tuple[str, ...]:
        """`count` float32 bit patterns of 8 hex digits."""
        value = self.items(key)
        if len(value) != count:
            raise ManifestRefused(self.name(key), f"{len(value)} patterns for {count} features")
        for item in value:
            if not isinstance(item, str) or not _PATTERN.fullmatch(item):
                raise ManifestRefused(self.name(key), "expected patterns of 8 hex digits")
        return tuple(str(item) for item in value)

    def left(self) -> list[str]:
        """Keys not taken yet, in order."""
        return sorted(self._left)

    def done(self) -> None:
        """Refuse any key nobody took."""
        if self._left:
            raise ManifestRefused(self.name(min(self._left)), "is not a key of this object")

    def name(self, key: str) -> str:
        """The dotted place of a key."""
        return f"{self._where}.{key}" if self._where else key
