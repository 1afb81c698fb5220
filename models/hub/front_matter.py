"""YAML front matter as plain values, read from the parser's events: nothing is ever constructed.

A scalar stays the text it was written as, so `version: 1.10`, `language: no` and a date mean what
the author typed; only a bare null, true or false becomes one. Tags that name a type, merge keys
and a second document are refused. An alias repeats what its anchor holds, and repeats are counted
like what is written out, so a few lines cannot stand for millions of values.

PyYAML, wrapped here only. Quirks: its constructors run code for some tags (not used here); its C
parser may be absent, then the Python one reads the same events, slower; both report a deep nesting
in their own words, hence our own limit comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

from models.errors import CardRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = str | bool | None | list["Value"] | dict[str, "Value"]

FRONT_MAX: Final = 64 << 10  # bytes; a long model-index has a few KiB
DEPTH_MAX: Final = 24
VALUES_MAX: Final = 20_000  # values once aliases are written out
_PLAIN: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_CORE: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
)
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse_front_matter(text: str) -> dict[str, Value]:
    """The mapping of a front matter; empty for an empty one. Raises CardRefused, with the line."""
    size = len(text.encode("utf-8", "replace"))
    if size > FRONT_MAX:
        raise CardRefused("front matter", f"{size} bytes; at most {FRONT_MAX}")
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 2}: " if error.problem_mark else ""
        raise CardRefused("front matter", f"not YAML: {place}{error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CardRefused("front matter", f"not YAML ({type(error).__name__})") from error
    if builder.root is None:
        return {}
    if not isinstance(builder.root, dict):
        raise CardRefused("front matter", "expected `key: value` lines")
    return builder.root


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_LOADER)  # type: ignore[no-any-return]


@dataclass(slots=True)
class _Open:
    """A list or mapping being filled; `key` waits for its value. `size` counts what is inside."""

    value: list[Value] | dict[str, Value]
    anchor: str | None
    key: str | None = None
    size: int = 1


@dataclass(slots=True)
class _Builder:
    """Events in, one value out."""

    root: Value = None
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Value, int]] = field(default_factory=dict)
    _documents: int = 0
    _values: int = 0

    def take(self, event: yaml.Event) -> None:
        """The next event. Raises CardRefused."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _refused(event, "a second YAML document")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event)
            bare = event.implicit[0]  # written plain, without quotes or a tag
            value = _PLAIN.get(event.value, event.value) if bare else event.value
            self._add(event, value, 1, event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._check_tag(event)
            if len(self._open) >= DEPTH_MAX:
                raise _refused(event, f"nested deeper than {DEPTH_MAX}")
            fresh: list[Value] | dict[str, Value]
            fresh = [] if isinstance(event, yaml.SequenceStartEvent) else {}
            self._open.append(_Open(fresh, event.anchor))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            done = self._open.pop()
            self._add(event, done.value, done.size, done.anchor, counted=done.size - 1)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise _refused(event, f"*{event.anchor} stands for nothing that is complete above it")
        value, size = self._anchors[event.anchor]
        self._add(event, value, size, None)

    def _add(
        self, event: yaml.Event, value: Value, size: int, anchor: str | None, *, counted: int = 0
    ) -> None:
        self._values += size - counted
        if self._values > VALUES_MAX:
            raise _refused(event, f"more than {VALUES_MAX} values once aliases are written out")
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        top.size += size
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            top.key = self._key(event, value, top.value)
        else:
            top.value[top.key] = value
            top.key = None

    def _key(self, event: yaml.Event, value: Value, there: dict[str, Value]) -> str:
        if isinstance(value, list | dict):
            raise _refused(event, "a key is not text")
        key = "" if value is None else str(value)
        if key == "<<":
            raise _refused(event, "merge keys (<<) are not read; write the keys out")
        if key in there:
            raise _refused(event, f"{key[:60]!r} is there twice")
        return key

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!" and tag not in _CORE:
            raise _refused(event, f"the tag {tag[:80]} names a type to build; only data is read")


def _refused(event: yaml.Event, reason: str) -> CardRefused:
    return CardRefused("front matter", f"line {event.start_mark.line + 2}: {reason}")
