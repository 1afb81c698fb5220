"""What words mean: concepts of finance and of models, with their terms in five languages.

The data are the TOML files in `thesaurus/`, written to be read and corrected by people who know the
field. A concept has an axis (task, product, region, method, licence, ...), perhaps a wider concept
(`parent`), products it is always about (`about`) and neighbours (`near`). `find` returns the
longest terms in a text, each stretch of words once, as `Span`s with the concepts they may mean.

A term counts whole words by their stems. Words such as "of" may differ; "not" and "no" may not.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from models.hub.search.text import LANGUAGES, STOP, WORDS, fold, is_stop, stem, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FILES: Final = (
    "tasks_credit",
    "tasks_crime",
    "tasks_markets",
    "tasks_operations",
    "products",
    "attributes",
    "regions",
    "languages",
)
_AXIS: Final = {"products": "product", "regions": "region", "languages": "language"}
NEAR: Final = 1.0  # weight of a neighbour; 0.5 when marked "~"
WEAK: Final = 0.35  # a term marked "~": a word that means this among much else
NEGATORS: Final = WORDS["negators"]


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing a model may be for, be about, or be like."""

    id: str
    axis: str
    label: str
    parent: str | None
    about: tuple[str, ...]
    near: Mapping[str, float]
    terms: Mapping[str, tuple[str, ...]]
    hints: tuple[str, ...]  # everyday words that go with it; for guessing alone


@dataclass(frozen=True, slots=True)
class Span:
    """Words `start` to `end` (not included) of a text, and what they may mean, with weights."""

    start: int
    end: int
    meanings: Mapping[str, float]


@dataclass(slots=True)
class _Node:
    """A place in the tree of terms of one language."""

    next: dict[str, _Node] = field(default_factory=dict)
    meanings: dict[str, float] = field(default_factory=dict)


class Thesaurus:
    """Every concept, and the terms arranged for finding."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self.concepts: Final = {concept.id: concept for concept in concepts}
        self._plain = {language: _Node() for language in LANGUAGES}  # words such as "of" left out
        self._whole = {language: _Node() for language in LANGUAGES}  # every word counts
        self._bags: dict[str, list[tuple[frozenset[str], str, float]]] = defaultdict(list)
        self.words: set[str] = set()
        for concept in self.concepts.values():
            for language, terms in concept.terms.items():
                for term in terms:
                    self._add(concept.id, term, language)

    def __getitem__(self, concept: str) -> Concept:
        return self.concepts[concept]

    def find(self, words: Sequence[str], languages: Iterable[str] = LANGUAGES) -> list[Span]:
        """The terms in a text of folded words, longest first come, none overlapping."""
        found: dict[tuple[int, int], dict[str, float]] = {}
        for language in languages:
            stems = [stem(word, language) for word in words]
            kept = [i for i, word in enumerate(words) if not _droppable(word, language)]
            _walk(self._plain[language], [stems[i] for i in kept], kept, found)
            _walk(self._whole[language], stems, range(len(words)), found)
        return _longest(found)

    def find_scattered(self, words: Sequence[str]) -> dict[str, tuple[float, frozenset[str]]]:
        """Concepts with a term of several words that all occur, in any order: for queries.

        Returns the weight of the longest such term and its stems.
        """
        stems = {stem(word, language) for word in words for language in ("en",)}
        found: dict[str, tuple[float, frozenset[str]]] = {}
        for token in stems:
            for bag, concept, weight in self._bags.get(token, ()):
                if bag <= stems and len(bag) > len(found.get(concept, (0.0, frozenset()))[1]):
                    found[concept] = (weight, bag)
        return found

    def ancestors(self, concept: str) -> Iterator[str]:
        """The wider concepts, nearest first."""
        parent = self.concepts[concept].parent
        while parent is not None:
            yield parent
            parent = self.concepts[parent].parent

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The narrower concepts of each concept."""
        found: dict[str, list[str]] = defaultdict(list)
        for concept in self.concepts.values():
            if concept.parent is not None:
                found[concept.parent].append(concept.id)
        return {parent: tuple(ids) for parent, ids in found.items()}

    @cached_property
    def composites(self) -> Mapping[tuple[str, str], str]:
        """(wider task, product) -> the narrower task that is always about that product."""
        found: dict[tuple[str, str], str] = {}
        for concept in self.concepts.values():
            if concept.axis == "task" and concept.about and concept.parent is not None:
                for product in concept.about:
                    found[concept.parent, product] = concept.id
        return found

    def _add(self, concept: str, term: str, language: str) -> None:
        weight = WEAK if term.startswith("~") else 1.0
        words = tokens(term)
        self.words.update(words)
        kept = [word for word in words if not _droppable(word, language)]
        plain = len(kept) >= min(2, len(words)) and bool(kept)
        node = (self._plain if plain else self._whole)[language]
        path = [stem(word, language) for word in (kept if plain else words)]
        for part in path:
            node = node.next.setdefault(part, _Node())
        node.meanings[concept] = max(weight, node.meanings.get(concept, 0.0))
        if plain and language == "en" and len(path) > 1 and NEGATORS.isdisjoint(path):
            bag = frozenset(path)
            self._bags[min(bag, key=lambda part: (-len(part), part))].append((bag, concept, weight))


def _droppable(word: str, language: str) -> bool:
    return word not in NEGATORS and (word in STOP["en"] or word in STOP[language])


def _walk(
    root: _Node,
    stems: Sequence[str],
    places: Sequence[int],
    found: dict[tuple[int, int], dict[str, float]],
) -> None:
    """Every term from every place."""
    step = root.next
    for first in range(len(stems)):
        node = step.get(stems[first])
        last = first
        while node is not None:
            if node.meanings:
                at = found.setdefault((places[first], places[last] + 1), {})
                for concept, weight in node.meanings.items():
                    at[concept] = max(weight, at.get(concept, 0.0))
            last += 1
            node = node.next.get(stems[last]) if last < len(stems) else None


def _longest(found: Mapping[tuple[int, int], Mapping[str, float]]) -> list[Span]:
    """Spans that are inside no other; the longer wins, then the earlier."""
    taken: set[int] = set()
    spans: list[Span] = []
    for start, end in sorted(found, key=lambda at: (at[0] - at[1], at[0])):
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            spans.append(Span(start, end, found[start, end]))
    return sorted(spans, key=lambda span: span.start)


@cache
def load() -> Thesaurus:
    """The thesaurus that comes with the package."""
    return Thesaurus(_read_all())


def _read_all() -> Iterator[Concept]:
    folder = files("models.hub.search") / "thesaurus"
    hints = tomllib.loads((folder / "hints.toml").read_text(encoding="utf-8"))
    for name in FILES:
        table = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
        for concept, entry in table.items():
            hinted = tuple(tokens(hints.get(concept, "")))
            yield _read(concept, entry, axis=_AXIS.get(name, "task"), hints=hinted)


def _read(concept: str, entry: Mapping[str, Any], *, axis: str, hints: tuple[str, ...]) -> Concept:
    near = [part.strip() for part in str(entry.get("near", "")).split(",") if part.strip()]
    return Concept(
        id=concept,
        axis=str(entry.get("axis", axis)),
        label=str(entry["label"]),
        parent=entry.get("parent"),
        about=tuple(p.strip() for p in str(entry.get("about", "")).split(",") if p.strip()),
        near={part.lstrip("~"): NEAR / 2 if part[0] == "~" else NEAR for part in near},
        terms={
            language: tuple(term.strip() for term in str(entry[language]).split(","))
            for language in LANGUAGES
            if language in entry
        },
        hints=hints,
    )


__all__ = ["Concept", "Span", "Thesaurus", "fold", "is_stop", "load"]
