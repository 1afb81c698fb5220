"""Full text behind one interface: SQLite's FTS5 or PostgreSQL's tsvector.

What is indexed are stems (`entry.stems_of`), so both engines compare plain words and neither needs
a language. The tables are derived: they carry the version of the analysis that filled them, and one
that differs is emptied. Nothing here decides the order that people see; a full-text score is one
part of it, and brings cards that no concept brings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from models.hub.search.entry import Entry

# What a word counts by field: name, title, tags, first sentences, the rest. For bm25() of FTS5; the
# weights A to D of a tsvector stand in the same order.
FIELD_WEIGHTS: Final = (2.0, 2.0, 2.0, 2.5, 1.0)
FOUND_MOST: Final = 400  # cards that full text may bring to a query
COMMON_MOST: Final = 2000  # cards with any of the words looked up; commoner words order nothing


class FullText(Protocol):
    """Where entries are kept and their words are found."""

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep entries; one with a name that is kept replaces it. One transaction."""

    def drop(self, names: Iterable[str]) -> None:
        """Forget entries by name. One transaction."""

    def digests(self) -> Mapping[str, str]:
        """Name -> digest of the card that was analysed."""

    def entries(self) -> Iterator[Entry]:
        """Every entry, by name."""

    def matching(self, stems: Sequence[str]) -> Mapping[str, float]:
        """Names of the best cards with any of these stems; higher scores are better."""


def rarest(stems: Iterable[str], cards_with: Mapping[str, int]) -> list[str]:
    """Stems worth looking up: the rarer ones, until they stand in `COMMON_MOST` cards together.

    At least one, so that a query of common words finds something.
    """
    found: list[str] = []
    total = 0
    for word in sorted(set(stems), key=lambda word: (cards_with.get(word, 0), word)):
        count = cards_with.get(word, 0)
        if count == 0:
            continue
        total += count
        if found and total > COMMON_MOST:
            break
        found.append(word)
    return found
