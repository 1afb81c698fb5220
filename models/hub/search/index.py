"""The search of a hub: cards in, ranked and explained hits out.

`SearchIndex.sync` brings the derived tables up to the cards of the hub and arranges them in memory;
`search` answers from there. A thread that searches keeps the arrangement it began with, so a change
never shows half.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from models.hub.search.columns import Columns
from models.hub.search.entry import entry_of, stems_of
from models.hub.search.explain import Reason, reasons
from models.hub.search.facets import count_facets, pairs_of
from models.hub.search.fulltext import rarest
from models.hub.search.meaning import load_meaning
from models.hub.search.query import Query, parse_query
from models.hub.search.ranking import Ranked, rank
from models.hub.search.spelling import Spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from models.hub.card import Card
    from models.hub.search.entry import Entry
    from models.hub.search.fulltext import FullText

PAGE: Final = 20  # hits on a page
PAGE_MOST: Final = 100
TAIL: Final = 0.12  # a hit has at least this share of the best one's score
BATCH: Final = 500  # cards analysed per transaction


@dataclass(frozen=True, slots=True)
class Hit:
    """One card found. `score` orders the hits of one query and means nothing beside another's."""

    name: str
    title: str
    summary: str
    score: float
    facets: Mapping[str, tuple[str, ...]]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a query: a page of hits out of `total`, and what the whole list holds."""

    query: Query
    total: int
    hits: tuple[Hit, ...]
    facets: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a list is narrowed and ordered. `order` gives larger numbers to cards shown first."""

    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outside: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    order: Callable[[str], tuple[float, ...]] | None = None
    offset: int = 0
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class _State:
    columns: Columns
    spelling: Spelling
    stems: Mapping[str, int]


class SearchIndex:
    """Cards of a hub, searchable."""

    def __init__(self, text: FullText) -> None:
        self._text = text
        self._changing = threading.Lock()
        self._state = self._arrange()

    def __len__(self) -> int:
        return len(self._state.columns)

    def sync(self, cards: Mapping[str, Callable[[], Card]], digests: Mapping[str, str]) -> int:
        """Bring the index up to these cards, reading new or changed ones. Returns how many."""
        with self._changing:
            known = self._text.digests()
            gone = [name for name in known if name not in digests]
            new = [name for name, digest in digests.items() if known.get(name) != digest]
            if gone:
                self._text.drop(gone)
            for start in range(0, len(new), BATCH):
                batch = new[start : start + BATCH]
                self._text.put([entry_of(name, cards[name](), digests[name]) for name in batch])
            held = {entry.name: entry.digest for entry in self._state.columns.entries}
            if held != digests:  # changed here, or by another process
                self._state = self._arrange()
            return len(gone) + len(new)

    def search(self, text: str, wanted: Wanted | None = None) -> Found:
        """Find cards. An empty text finds all of them, by name."""
        wanted = wanted or Wanted()
        state = self._state
        query = parse_query(text, state.spelling)
        if not len(state.columns):
            return Found(query, 0, (), {})
        ranked = self._ranked(state, query) if text.strip() else None
        scored = _kept(ranked) if ranked else _everything(state)
        kept = [place for place in scored if _passes(state, place, wanted)]
        if wanted.order is not None:
            order = wanted.order
            kept.sort(key=lambda place: order(state.columns.entries[place].name), reverse=True)
        page = kept[wanted.offset : wanted.offset + min(wanted.limit, PAGE_MOST)]
        return Found(
            query=query,
            total=len(kept),
            hits=tuple(
                _hit(state, query, place, score=scored[place], wanted=wanted, ranked=ranked)
                for place in page
            ),
            facets=count_facets(_pairs(state, place, wanted) for place in kept),
        )

    def entries(self) -> Sequence[Entry]:
        """Every entry, by name."""
        return self._state.columns.entries

    def forget_answers(self) -> None:
        """Answer every wish afresh, for a benchmark that changes the rules."""
        self._state.columns.forget_answers()

    def _ranked(self, state: _State, query: Query) -> Ranked:
        stems = rarest(stems_of(" ".join(query.words)), state.stems)
        places = state.columns.place
        found = {places[n]: s for n, s in self._text.matching(stems).items() if n in places}
        return rank(query, state.columns, found)

    def _arrange(self) -> _State:
        columns = Columns(list(self._text.entries()))
        meaning = load_meaning()
        names = [entry.name.replace("-", " ") for entry in columns.entries]
        english = frozenset() if meaning is None else meaning.whole_words
        return _State(columns, Spelling(columns.words_said(), names, english), columns.stems_used())


def _kept(ranked: Ranked) -> dict[int, float]:
    """Place -> score, best first, down to the tail."""
    least = TAIL * float(ranked.scores[0]) if len(ranked.scores) else 0.0
    pairs = zip(ranked.places.tolist(), ranked.scores.tolist(), strict=True)
    return {place: score for place, score in pairs if score >= least and score > 0.0}


def _everything(state: _State) -> dict[int, float]:
    return dict.fromkeys(range(len(state.columns)), 0.0)


def _pairs(state: _State, place: int, wanted: Wanted) -> Iterable[tuple[str, str]]:
    """Every facet of a card with its values: the card's own and those given from outside."""
    own = state.columns.facets[place]
    if not wanted.outside:
        return own
    return own + pairs_of(wanted.outside.get(state.columns.entries[place].name, {}))


def _passes(state: _State, place: int, wanted: Wanted) -> bool:
    """One value of each filtered facet is enough; all filters must hold."""
    if not wanted.filters:
        return True
    have = set(_pairs(state, place, wanted))
    return all(
        any((key, value) in have for value in values) for key, values in wanted.filters.items()
    )


def _hit(
    state: _State,
    query: Query,
    place: int,
    *,
    score: float,
    wanted: Wanted,
    ranked: Ranked | None,
) -> Hit:
    entry = state.columns.entries[place]
    why: Iterable[Reason] = ()
    if ranked is not None:
        named = place in ranked.called
        why = reasons(query, entry, place, state.columns, topics=ranked.topics, named=named)
    return Hit(
        name=entry.name,
        title=entry.title,
        summary=entry.summary,
        score=round(score, 4),
        facets={**entry.facets, **wanted.outside.get(entry.name, {})},
        reasons=tuple(why),
    )
