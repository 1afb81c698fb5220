"""What search keeps of one card: derived from its text alone, so it can be thrown away and remade.

`words` are stems by field, for full text; `said` are the words of name, title, tags and first
sentences, for spelling. `letters` are groups of three letters of the name, title,
tags and first sentences, hashed to 16 bits, for words that nobody spells the same way. `vector` is
the meaning of the same text, where word vectors are installed.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.hub.search.facets import facets_of
from models.hub.search.meaning import load_meaning
from models.hub.search.parts import parts_of
from models.hub.search.profile import Profile, profile_of
from models.hub.search.text import is_stop, sentences, stem, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from models.hub.card import Card

VERSION: Final = 1  # of the analysis; entries of another version are made again
FIELDS: Final = ("name", "title", "tags", "lead", "body")
_FIELD_OF: Final = {
    "name": "name",
    "title": "title",
    "tags": "tags",
    "first": "lead",
    "lead": "lead",
}
SUMMARY: Final = 280  # characters shown below a title


@dataclass(frozen=True, slots=True)
class Entry:
    """One card as search sees it."""

    name: str
    title: str
    summary: str
    digest: str
    said: str
    words: Mapping[str, str]
    profile: Profile
    letters: NDArray[np.uint16]
    vector: NDArray[np.float16] | None
    facets: Mapping[str, tuple[str, ...]]

    def to_json(self) -> str:
        """Everything but letters and vector, for a row of a table."""
        return json.dumps(
            {
                "title": self.title,
                "summary": self.summary,
                "said": self.said,
                "words": dict(self.words),
                "has": dict(self.profile.has),
                "denies": dict(self.profile.denies),
                "facets": {key: list(values) for key, values in self.facets.items()},
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_row(
        cls, name: str, digest: str, text: str, letters: bytes, vector: bytes | None
    ) -> Entry:
        """The entry of a row that `to_json` and the arrays' bytes went into."""
        kept: dict[str, Any] = json.loads(text)
        return cls(
            name=name,
            title=kept["title"],
            summary=kept["summary"],
            digest=digest,
            said=kept["said"],
            words=kept["words"],
            profile=Profile(has=kept["has"], denies=kept["denies"]),
            letters=np.frombuffer(letters, dtype=np.uint16),
            vector=None if vector is None else np.frombuffer(vector, dtype=np.float16),
            facets={key: tuple(values) for key, values in kept["facets"].items()},
        )


def entry_of(name: str, card: Card, digest: str | None = None) -> Entry:
    """Analyse a card. `digest` names what it was made of, when that is more than the card."""
    lines = parts_of(name, card)
    profile = profile_of(name, card)
    words: dict[str, list[str]] = {field: [] for field in FIELDS}
    for line in lines:
        words[_FIELD_OF.get(line.part, "body")] += stems_of(line.text)
    front = " ".join(line.text for line in lines if line.part in _FIELD_OF)
    said = " ".join(line.text for line in lines if line.part in _FIELD_OF and line.part != "name")
    meaning = load_meaning()
    return Entry(
        name=name,
        title=card.title or name,
        summary=_summary(card),
        digest=digest or card.digest,
        said=" ".join(tokens(front)),
        words={field: " ".join(kept) for field, kept in words.items()},
        profile=profile,
        letters=letters_of(tokens(front)),
        vector=None if meaning is None else meaning.vectors([said])[0].astype(np.float16),
        facets=facets_of(card, profile),
    )


def stems_of(text: str) -> list[str]:
    """English stems of the words that say something."""
    return [stem(word) for word in tokens(text) if not is_stop(word, ("en",))]


def letters_of(words: Iterable[str]) -> NDArray[np.uint16]:
    """Groups of three letters, each once, as sorted 16-bit hashes."""
    groups = {
        f" {word} "[i : i + 3] for word in words if not is_stop(word) for i in range(len(word))
    }
    hashes = {zlib.crc32(group.encode()) & 0xFFFF for group in groups}
    return np.array(sorted(hashes), dtype=np.uint16)


def _summary(card: Card) -> str:
    """The first sentences, cut at a word."""
    text = " ".join(sentence for section in card.sections for sentence in sentences(section.text))
    if len(text) <= SUMMARY:
        return text
    return text[:SUMMARY].rsplit(" ", 1)[0] + " ..."
