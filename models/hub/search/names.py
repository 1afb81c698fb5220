"""Cards called by their name: exactly, by its first letters, with a slip, or by words of it.

Somebody who types a name wants that card first, whatever else the words may mean. Words of a name
count only when few names have them: "card" in a name is no call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from models.hub.search.text import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.hub.search.entry import Entry

EXACT: Final = 1.0
WORDS_OF: Final = 0.9  # the query's words are words of the name
FIRST: Final = 0.7  # the name begins with the query
SLIP: Final = 0.6  # one edit away
FEW: Final = 3  # names that may share a word that calls one
SHORTEST: Final = 6  # letters of a beginning that calls a name


class Names:
    """The names of an index, by their letters and by their words."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._joined: dict[str, list[int]] = {}
        self._words: dict[str, list[int]] = {}
        self._own: list[frozenset[str]] = []
        for place, entry in enumerate(entries):
            own = tokens(entry.name.rsplit("--", 1)[-1].replace("_", " "))
            self._joined.setdefault("".join(own), []).append(place)
            self._joined.setdefault("".join(tokens(entry.name.replace("_", " "))), []).append(place)
            self._own.append(frozenset(own))
            for word in frozenset(own):
                self._words.setdefault(word, []).append(place)
        self._sorted = sorted(self._joined)
        self._by_length: dict[int, list[str]] = {}
        for name in self._sorted:
            self._by_length.setdefault(len(name), []).append(name)

    def called(self, text: str) -> dict[int, float]:
        """Places of cards that a query calls by name, with how clearly."""
        asked = tokens(text.replace("_", " "))
        joined = "".join(asked)
        found: dict[int, float] = {}
        if not joined:
            return found
        for place in self._joined.get(joined, ()):
            found[place] = EXACT
        if not found:
            self._by_words(asked, found)
        if len(joined) >= SHORTEST and len(asked) <= FEW:
            self._by_letters(joined, found)
        return found

    def _by_words(self, asked: Sequence[str], found: dict[int, float]) -> None:
        """Every word is in the name, and one of them is in few names."""
        known = [self._words.get(word, []) for word in asked]
        if not all(known) or min(len(places) for places in known) > FEW:
            return
        places = Counter(place for row in known for place in set(row))
        letters = sum(map(len, asked))
        for place, count in places.items():
            if count == len(asked) and 2 * letters >= sum(map(len, self._own[place])):
                found[place] = WORDS_OF

    def _by_letters(self, joined: str, found: dict[int, float]) -> None:
        """A beginning of a name, or one slip."""
        first = bisect_left(self._sorted, joined)
        last = bisect_left(self._sorted, joined + "\uffff", lo=first)
        beginning = dict.fromkeys(self._sorted[first : min(last, first + FEW + 1)], FIRST)
        lengths = range(len(joined) - 1, len(joined) + 2)
        pool = [name for length in lengths for name in self._by_length.get(length, ())]
        slips = process.extract(joined, pool, scorer=OSA.distance, score_cutoff=1, limit=FEW)
        for name, worth in {**{slip[0]: SLIP for slip in slips}, **beginning}.items():
            if len(self._joined[name]) <= FEW and len(beginning) <= FEW:
                for place in self._joined[name]:
                    found.setdefault(place, worth)
