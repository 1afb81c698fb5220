"""Which tasks a query is probably about, when it uses no term as written.

Every task is a small document: its terms in all languages, and hints. The query is ranked against
these by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.5),
and, where word vectors are installed, by its likeness to the nearest single term. The weights of
the best few say how far each is behind the best one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from models.hub.search.meaning import load_meaning
from models.hub.search.text import LANGUAGES, is_stop, stem, tokens
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.hub.search.thesaurus import Concept

KEEP: Final = 6  # tasks kept
LEAST: Final = 1e-3
SHARPNESS: Final = 4.0  # a task with half the evidence of the best weighs 1/16
NEAREST_TERM: Final = 6.0  # what full likeness to a term is worth, in units of BM25
HINT: Final = 0.7  # an everyday word that goes with a task, against a word of a term
_K1: Final = 1.5
_B: Final = 0.4
_LABEL: Final = 2.0  # words of a task's name count this often
_DOUBT: Final = 0.4  # a word that is weak evidence


class Topics:
    """The tasks of the thesaurus as documents."""

    def __init__(self, concepts: Sequence[Concept]) -> None:
        self._ids = [concept.id for concept in concepts]
        self._postings: dict[str, dict[int, float]] = defaultdict(dict)
        lengths = []
        for place, concept in enumerate(concepts):
            words = _words(concept)
            lengths.append(sum(words.values()))
            for word, count in words.items():
                self._postings[word][place] = count
        average = sum(lengths) / len(lengths)
        self._length = [1 - _B + _B * length / average for length in lengths]
        self._terms, self._starts = _term_vectors(concepts)

    def of(self, words: Sequence[str]) -> Mapping[str, float]:
        """Task -> weight; the best is 1. Empty when nothing speaks for any task."""
        kept = [word for word in words if not is_stop(word)]
        score = self._by_words({stem(word, language) for word in kept for language in LANGUAGES})
        meaning = load_meaning()
        if meaning is not None and kept:
            likeness = self._terms @ meaning.vectors([" ".join(words)])[0]
            best = np.maximum.reduceat(likeness, self._starts)
            score += NEAREST_TERM * np.maximum(best, 0.0)
        top = float(score.max())
        if top <= 0.0:
            return {}
        weight = (score / top) ** SHARPNESS
        order = np.argsort(-weight, kind="stable")[:KEEP]
        return {self._ids[i]: float(weight[i]) for i in order if weight[i] >= LEAST}

    def _by_words(self, stems: set[str]) -> NDArray[np.float64]:
        score = np.zeros(len(self._ids))
        for word in sorted(stems):
            posting = self._postings.get(word, {})
            rarity = math.log(1 + (len(self._ids) - len(posting) + 0.5) / (len(posting) + 0.5))
            for place, count in posting.items():
                score[place] += rarity * count * (_K1 + 1) / (count + _K1 * self._length[place])
        return score


@cache
def load_topics() -> Topics:
    """The topics of the thesaurus that comes with the package."""
    return Topics([c for c in load().concepts.values() if c.axis == "task"])


def _words(concept: Concept) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for language, terms in concept.terms.items():
        for term in terms:
            weight = _DOUBT if term[0] == "~" else 1.0
            kept = {stem(w, language) for w in tokens(term) if not is_stop(w, (language,))}
            for word in kept:
                found[word] += weight
    for word in tokens(concept.label):
        if not is_stop(word, ("en",)):
            found[stem(word)] += _LABEL
    for word in set(concept.hints):
        found[stem(word)] += HINT
    return found


def _term_vectors(
    concepts: Sequence[Concept],
) -> tuple[
    np.ndarray[tuple[int, int], np.dtype[np.float32]], np.ndarray[tuple[int], np.dtype[np.int64]]
]:
    """One vector per English term, and where the terms of each task begin."""
    meaning = load_meaning()
    if meaning is None:
        return np.zeros((0, 1), dtype=np.float32), np.zeros(0, dtype=np.int64)
    texts: list[str] = []
    starts: list[int] = []
    for concept in concepts:
        own = [term for term in concept.terms.get("en", ()) if term[0] != "~"]
        starts.append(len(texts))
        texts += [concept.label, *own]
    return meaning.vectors(texts), np.array(starts)
