"""Names that people cannot mistake for one another: which a new model may have.

A name is plain ASCII (`manifest.NAME`). A new one is refused when it looks like an existing one
(Unicode Technical Standard 39: 1 and l, 0 and o, rn and m), differs from it by hyphens alone, or by
one letter typed wrong; digits may differ, for pd-2024 and pd-2025 are two models.

confusable-homoglyphs, wrapped here only. Quirks: its table maps single characters, upper case among
them, and some of its entries are wrapped in direction marks, which are stripped.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from confusable_homoglyphs import confusables

from models.errors import NameRefused
from models.hub.manifest import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT: Final = 6  # letters; below, one letter more or less makes another word


def check_name(name: str, existing: Iterable[str]) -> None:
    """Refuse a new name that is none, or too like one of `existing`. An equal one is no news."""
    foreign = next((c for c in name if not c.isascii()), None)
    if foreign is not None:
        raise NameRefused(name, _foreign(foreign))
    if not re.fullmatch(NAME, name):
        raise NameRefused(name, "use 1 to 64 of a-z, 0-9 and hyphens, a letter first")
    looks = skeleton(name)
    for other in existing:
        if other == name:
            continue
        if skeleton(other) == looks:
            raise NameRefused(name, f"looks like the model {other!r}; choose another name")
        if _one_slip(name.replace("-", ""), other.replace("-", "")):
            raise NameRefused(name, f"is one letter from the model {other!r}; choose another name")


def skeleton(name: str) -> str:
    """What a name looks like: equal for names that are easily taken for each other."""
    plain = "".join(_look(c) for c in name.replace("-", ""))
    return plain.replace("vv", "w")


def _look(character: str) -> str:
    for other in confusables.confusables_data.get(character, ()):
        text = other["c"].strip("\u200e").lower()
        if (text.isascii() and text.isalpha() and character.isdigit()) or len(text) > 1:
            return str(text)
    return character


def _foreign(character: str) -> str:
    known = unicodedata.name(character, f"U+{ord(character):04X}")
    like = next(
        (
            glyph["c"]
            for found in confusables.is_confusable(character, preferred_aliases=["latin"]) or ()
            for glyph in found["homoglyphs"]
            if glyph["c"].isascii()
        ),
        None,
    )
    looks = f", which looks like {like!r}" if like else ""
    return f"holds {known}{looks}; names are plain ASCII"


def _one_slip(one: str, other: str) -> bool:
    """One letter more, less or other, or two neighbours swapped; digits do not count."""
    short, long = sorted((one, other), key=len)
    if len(short) < SHORT or len(long) - len(short) > 1 or short == long:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if start is None:
        return not long[-1].isdigit()
    if len(long) > len(short):
        return long[start + 1 :] == short[start:] and not long[start].isdigit()
    swapped = short[start : start + 2] == long[start : start + 2][::-1]
    if swapped and short[start + 2 :] == long[start + 2 :]:
        return not short[start : start + 2].isdigit()
    replaced = short[start + 1 :] == long[start + 1 :]
    return replaced and not (short[start].isdigit() and long[start].isdigit())
