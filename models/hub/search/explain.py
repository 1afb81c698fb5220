"""Why a card stands where it stands, in words that its reader can check against the card.

One reason per wish of the query: met, partly met, not met, or not said by the card; then
exclusions, the name, and words shared. Reasons say what was found in the text of the card, not that
it is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.hub.search import matching
from models.hub.search.entry import stems_of
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.hub.search.columns import Columns
    from models.hub.search.entry import Entry
    from models.hub.search.query import Query, Wish

MET: Final = 0.75  # a wish met this well counts as met
PARTLY: Final = 0.15
WORDS_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """`kind`: met, close, unsaid, unmet, excluded, named or words. `text` is a short sentence."""

    kind: str
    text: str


def reasons(
    query: Query, entry: Entry, place: int, columns: Columns, *, topics: Iterable[str], named: bool
) -> Iterator[Reason]:
    """The reasons for one hit, the most telling first. `topics` are what the query may mean."""
    if named:
        yield Reason("named", "is called so")
    for wish in query.wishes:
        yield _of_wish(wish, entry, place, columns)
    if not any(wish.axis == "task" for wish in query.wishes):
        yield from _of_topics(topics, place, columns)
    for wish in query.excluded:
        yield _of_exclusion(wish, entry)
    own = set(" ".join(entry.words.values()).split())
    shared = [w for w in dict.fromkeys(query.words) if not own.isdisjoint(stems_of(w))]
    if shared:
        yield Reason("words", "has the words " + ", ".join(shared[:WORDS_MOST]))


def _of_wish(wish: Wish, entry: Entry, place: int, columns: Columns) -> Reason:
    thesaurus = load()
    concept = max(wish.meanings, key=lambda c: wish.meanings[c] * float(columns.met(c)[place]))
    label = thesaurus[concept].label
    worth = float(columns.met(concept)[place])
    if wish.axis in {"task", "product"}:
        verb = "is for" if wish.axis == "task" else "is about"
        if worth >= MET:
            return Reason("met", f"{verb} {label}")
        found = _closest(concept, entry)
        if worth >= PARTLY and found:
            return Reason("close", f"{verb} {thesaurus[found].label}, close to {label}")
        return Reason("unmet", f"does not say {label}")
    said = [c for c in matching.ladder(concept) if entry.profile.has.get(c, 0.0) > matching.SAID]
    if not said:
        return Reason("unsaid", f"does not say whether: {label}")
    if worth >= MET:
        return Reason("met", f"says: {thesaurus[said[0]].label}")
    best = max(said, key=lambda c: matching.ladder(concept)[c])
    kind = "close" if worth >= PARTLY else "unmet"
    return Reason(kind, f"says: {thesaurus[best].label}; asked: {label}")


def _closest(concept: str, entry: Entry) -> str | None:
    """What the card is about that made it count for a wish."""
    near = matching.related(concept)
    own = {c: w * near[c] for c, w in entry.profile.has.items() if c in near}
    return max(own, key=lambda c: own[c]) if own else None


def _of_topics(topics: Iterable[str], place: int, columns: Columns) -> Iterator[Reason]:
    """The likeliest reading of a query that uses no term, if the card is about it."""
    for task in topics:
        if float(columns.has(task)[place]) >= MET:
            yield Reason("met", f"is for {load()[task].label}, a likely meaning of the query")
            return


def _of_exclusion(wish: Wish, entry: Entry) -> Reason:
    thesaurus = load()
    for concept in wish.meanings:
        label = thesaurus[concept].label
        if entry.profile.denies.get(concept, 0.0) > entry.profile.has.get(concept, 0.0):
            return Reason("met", f"says that it is without: {label}")
        if entry.profile.has.get(concept, 0.0) > matching.SAID:
            return Reason("excluded", f"says: {label}, which was excluded")
    return Reason("met", f"does not mention {thesaurus[next(iter(wish.meanings))].label}, excluded")
