"""Misspelt words of a query, corrected towards words that somebody here uses.

A word is known when the thesaurus or two cards have it. Others become the nearest known word
within one edit (two, from nine letters on), transposed letters counting once (Damerau 1964), but
not a longer or shorter form of themselves; or they are split where both halves are known
("antimoney", German compounds). Of several candidates the one wins that makes a term with its
neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from models.hub.search.text import is_stop, stem, tokens
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHORTEST: Final = 4  # letters; shorter words have too many neighbours
TWO_EDITS: Final = 9  # letters from which two edits are allowed
CANDIDATES: Final = 6
TWICE: Final = 2  # cards that must use a word, for it not to be one card's slip
HALF: Final = 3  # letters of the shorter half of a split word


class Spelling:
    """The words that are known, with how many cards use each."""

    def __init__(
        self,
        cards_with: Mapping[str, int],
        names: Iterable[str] = (),
        english: frozenset[str] = frozenset(),
    ) -> None:
        words = load().words
        self._uses = dict.fromkeys(words, 1) | {
            word: count + 1 for word, count in cards_with.items() if count >= TWICE or word in words
        }
        self._names = {word for name in names for word in tokens(name)}
        self._english = english | {stem(word) for word in english}
        self._stems = {stem(word) for word in self._uses}
        self._by_length: dict[int, list[str]] = {}
        for word in self._uses:
            if len(word) > HALF and word.isalpha() and not is_stop(word):
                self._by_length.setdefault(len(word), []).append(word)

    def correct(self, words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The words with unknown ones replaced, and what was replaced by what."""
        found = list(words)
        changed: dict[str, str] = {}
        for place, word in enumerate(words):
            if self._known(word):
                continue
            best = self._best(found, place, self._near(word))
            if best is not None:
                found[place] = best
                changed[word] = best
        split: list[str] = []
        for word in found:
            halves = () if self._known(word) else self._halves(word)
            split += halves or (word,)
            if halves:
                changed[word] = " ".join(halves)
        return split, changed

    def _known(self, word: str) -> bool:
        return (
            len(word) < SHORTEST
            or not word.isalpha()
            or word in self._uses
            or word in self._names
            or word in self._english
            or stem(word) in self._english
            or is_stop(word)
            or stem(word) in self._stems
        )

    def _near(self, word: str) -> list[tuple[str, float]]:
        most = 1 if len(word) < TWO_EDITS else 2
        pool = [
            known
            for length in range(len(word) - most, len(word) + most + 1)
            for known in self._by_length.get(length, ())
        ]
        found = process.extract(
            word, pool, scorer=OSA.distance, score_cutoff=most, limit=4 * CANDIDATES
        )
        start = {word[0], word[1]} if len(word) > SHORTEST else {word[0]}
        return [
            (known, float(distance))
            for known, distance, _ in found
            if known[0] in start and not known.startswith(word) and not word.startswith(known)
        ][:CANDIDATES]

    def _best(
        self, words: Sequence[str], place: int, near: Sequence[tuple[str, float]]
    ) -> str | None:
        """The candidate that makes the longest term here; then the nearest, then the commonest."""
        scored = []
        for known, distance in near:
            trial = [*words[:place], known, *words[place + 1 :]]
            spans = load().find(trial)
            length = sum(s.end - s.start for s in spans if s.start <= place < s.end)
            scored.append((length > 1, -distance, length, self._uses[known], known))
        return max(scored)[-1] if scored else None

    def _halves(self, word: str) -> tuple[str, ...]:
        """Two known words that make this one, the longer half as long as possible."""
        for cut in range(len(word) - HALF, HALF - 1, -1):
            left, right = word[:cut], word[cut:]
            if left in self._uses and (right in self._uses or stem(right) in self._stems):
                return left, right
            if left in self._uses and right[0] == "s" and right[1:] in self._uses:
                return left, right[1:]
        return ()
