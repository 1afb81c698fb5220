"""Markdown as words: its sections, and its text without the marks. For search and short displays.

No renderer: marks are taken away line by line, in time linear in the text, and whatever is left is
plain text, never HTML. Code blocks keep their words.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?=[ \t]|\Z)")
_FENCE: Final = re.compile(r" {0,3}(```+|~~~+)")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_RULE: Final = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*\Z")
_TABLE_RULE: Final = frozenset(" \t|:-")
_BULLET: Final = re.compile(
    r"[ \t]*(?:>[ \t]?)*(?:[-*+][ \t]+|[0-9]{1,9}[.)][ \t]+)?(?:\[[ xX]\][ \t])?"
)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>\n]{0,2000}>")
_LINK: Final = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\n]{0,2000}\)")
_REFERENCE: Final = re.compile(r"\[([^\[\]\n]{1,500})\]\[[^\[\]\n]{0,200}\]")
_EMPHASIS: Final = re.compile(r"(?<![\w*])[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?![\w*])|`+|~~")
_SPACES: Final = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the plain text until the next one. Text before any heading has level 0."""

    level: int
    title: str
    text: str


def plain_text(body: str) -> str:
    """The words of Markdown, headings included, a line each."""
    found = [part for s in sections_of(body) for part in (s.title, s.text) if part]
    return "\n".join(found)


def sections_of(body: str) -> tuple[Section, ...]:
    """The sections in order; empty ones without a title are left out."""
    found: list[tuple[int, str, list[str]]] = [(0, "", [])]
    fence: str | None = None
    for line in _COMMENT.sub(" ", body).split("\n"):
        mark = _FENCE.match(line)
        if fence is not None:
            if mark and mark[1].startswith(fence):
                fence = None
            else:
                found[-1][2].append(line)
            continue
        if mark:
            fence = mark[1]
            continue
        heading = _HEADING.match(line)
        if heading:
            title = line[heading.end() :].strip().rstrip("#").rstrip()
            found.append((len(heading[1]), _words(title), []))
        elif _UNDERLINE.match(line) and found[-1][2] and found[-1][2][-1]:
            title = found[-1][2].pop()
            found.append((1 if line.strip()[0] == "=" else 2, title, []))
        elif not _is_rule(line):
            found[-1][2].append(_words(line))
    sections = (Section(level, title, _joined(lines)) for level, title, lines in found)
    return tuple(section for section in sections if section.title or section.text)


def _is_rule(line: str) -> bool:
    """A line drawn: a thematic break, or the one under a table's head."""
    return bool(_RULE.match(line)) or ("---" in line and _TABLE_RULE.issuperset(line))


def _words(line: str) -> str:
    """One line without its marks."""
    line = line[_BULLET.match(line).end() :]  # type: ignore[union-attr]  # matches the empty text
    line = _TAG.sub(" ", line)
    line = _REFERENCE.sub(r"\1", _LINK.sub(r"\1", line))
    line = _EMPHASIS.sub("", line).replace("|", " ")
    return _SPACES.sub(" ", html.unescape(line)).strip()


def _joined(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
