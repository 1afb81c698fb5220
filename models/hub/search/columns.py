"""All cards side by side as arrays, so that a wish is answered for every card at once.

Concepts are postings (places of cards, weights). `subject` and `attribute` turn a wish into one
number per card, by the rules of `matching`, and remember it: a hub has a few hundred concepts and
is asked for the same ones again. A hundred thousand cards take about 150 MB.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from models.hub.search import matching
from models.hub.search.facets import pairs_of
from models.hub.search.meaning import DIMENSIONS
from models.hub.search.names import Names
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.hub.search.entry import Entry

REMEMBERED: Final = 96  # answers kept; 400 kB each at 100,000 cards
_NONE: Final = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


class Columns:
    """The entries of an index, arranged by concept."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries: Final = entries
        self.place: Final = {entry.name: place for place, entry in enumerate(entries)}
        self._has = _postings(entry.profile.has for entry in entries)
        self._denies = _postings(entry.profile.denies for entry in entries)
        self._answers: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._letters = np.concatenate([e.letters for e in entries] or [np.zeros(0, np.uint16)])
        self._starts = np.cumsum([0, *(len(entry.letters) for entry in entries)])
        groups = np.bincount(self._letters, minlength=1 << 16)
        self._rarity = np.log1p(len(entries) / np.maximum(groups, 1)).astype(np.float32) ** 2
        self.vectors: Final = _vectors(entries)
        self.facets: Final = [pairs_of(entry.facets) for entry in entries]
        self.names: Final = Names(entries)

    def __len__(self) -> int:
        return len(self.entries)

    def words_said(self) -> Counter[str]:
        """How many cards use each word where they say what they are about, for spelling."""
        return Counter(word for entry in self.entries for word in set(entry.said.split()))

    def stems_used(self) -> Counter[str]:
        """How many cards have each stem, for choosing the rarer ones of a query."""
        return Counter(
            word for entry in self.entries for word in set(" ".join(entry.words.values()).split())
        )

    def has(self, concept: str) -> NDArray[np.float32]:
        """The weight of a concept in every card."""
        return self._remember("has", concept)

    def denies(self, concept: str) -> NDArray[np.float32]:
        """How clearly every card says that it is not about a concept, or does without."""
        return self._remember("denies", concept)

    def met(self, concept: str) -> NDArray[np.float32]:
        """How well every card meets a wish for a concept."""
        return self._remember("met", concept)

    def letters(self, places: NDArray[np.int64], wanted: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Likeness in letters of some cards to a query: cosine of rarity-weighted groups."""
        rarity = self._rarity
        asked = np.zeros(1 << 16, dtype=np.float32)
        asked[wanted] = rarity[wanted]
        lengths = self._starts[places + 1] - self._starts[places]
        ends = np.cumsum(lengths)
        # Where each group of each card stands: its card's start, and its place in the card.
        at = np.repeat(self._starts[places] - (ends - lengths), lengths) + np.arange(lengths.sum())
        groups = self._letters[at]
        card = np.repeat(np.arange(len(places)), lengths)
        shared = np.bincount(card, weights=asked[groups], minlength=len(places))
        own = np.bincount(card, weights=rarity[groups], minlength=len(places))
        norm = np.sqrt(own * float(asked.sum()))
        found = np.zeros(len(places))
        found[norm > 0.0] = shared[norm > 0.0] / norm[norm > 0.0]
        return found

    def forget_answers(self) -> None:
        """Answer every wish afresh, for a benchmark that changes the rules."""
        self._answers.clear()

    def _remember(self, kind: str, concept: str) -> NDArray[np.float32]:
        known = self._answers.get((kind, concept))
        if known is None:
            if len(self._answers) >= REMEMBERED:
                self._answers.pop(next(iter(self._answers)))
            known = self._answers[kind, concept] = self._answer(kind, concept)
        return known

    def _answer(self, kind: str, concept: str) -> NDArray[np.float32]:
        if kind == "met":
            if load()[concept].axis in {"task", "product"}:
                return self._subject(concept)
            return self._attribute(concept)
        found = np.zeros(len(self), dtype=np.float32)
        places, weights = (self._has if kind == "has" else self._denies).get(concept, _NONE)
        found[places] = weights
        return found

    def _subject(self, concept: str) -> NDArray[np.float32]:
        """The concept itself, a sister by the wider concept, or a neighbour."""
        found = np.zeros(len(self), dtype=np.float32)
        for other, worth in matching.related(concept).items():
            places, weights = self._has.get(other, _NONE)
            found[places] = np.maximum(found[places], np.float32(worth) * weights)
        return found

    def _attribute(self, concept: str) -> NDArray[np.float32]:
        """The best step of a ladder that a card has; less where a card says nothing."""
        said = np.zeros(len(self), dtype=bool)
        best = np.zeros(len(self), dtype=np.float32)
        for other, worth in matching.ladder(concept).items():
            places, weights = self._has.get(other, _NONE)
            places = places[weights > matching.SAID]
            said[places] = True
            best[places] = np.maximum(best[places], np.float32(worth))
        silent = np.full(len(self), np.float32(matching.UNSAID))
        for other, worth in matching.when_silent(concept).items():
            places, weights = self._has.get(other, _NONE)
            silent[places[weights > matching.SAID]] = worth
        return np.where(said, best, silent)


def _postings(
    profiles: Iterable[object],
) -> dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]:
    places: dict[str, list[int]] = defaultdict(list)
    weights: dict[str, list[float]] = defaultdict(list)
    for place, profile in enumerate(profiles):
        for concept, weight in profile.items():  # type: ignore[attr-defined]
            places[concept].append(place)
            weights[concept].append(weight)
    return {
        concept: (np.array(found, np.int32), np.array(weights[concept], np.float32))
        for concept, found in places.items()
    }


def _vectors(entries: Sequence[Entry]) -> NDArray[np.float16] | None:
    """One row per card, or None when no entry has a vector."""
    if not any(entry.vector is not None for entry in entries):
        return None
    empty = np.zeros(DIMENSIONS, dtype=np.float16)
    return np.stack([empty if entry.vector is None else entry.vector for entry in entries])
