"""From a query to an order of cards, with the reasons kept.

The subject (tasks and products) is scored for every card; so are stated constraints and
exclusions. Likeness of words, letters and meaning then orders the best few hundred. The numbers
below and in `matching` and `topics` are few and flat: docs/search.md says what halving and doubling
each does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.hub.search.entry import letters_of
from models.hub.search.matching import SAID
from models.hub.search.meaning import load_meaning
from models.hub.search.text import is_stop
from models.hub.search.topics import load_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.hub.search.columns import Columns
    from models.hub.search.query import Query, Wish

    Scores = NDArray[np.float64]

PRODUCT: Final = 0.45  # a product against a task
TRUST: Final = 0.7  # in terms found as written, when they cover the whole query
CONSTRAINTS: Final = 0.5  # of the subject's score that constraints can take
WORDS: Final = 0.1  # likeness of words, of letters, of meaning: each the best card's share
LETTERS: Final = 0.125
MEANING: Final = 0.125
EXCLUDED: Final = 0.85  # of the score that an excluded subject takes
NAMED: Final = 1.5  # for a card called by its name
GUESS: Final = 0.85  # for the subject, when no term was found as written
UNSURE: Final = 0.5  # trust in terms that are weak evidence or name a product only
SILENT: Final = 0.6  # a card that does not say it has what is not wanted
SHORTLIST: Final = 300  # cards compared word by word


@dataclass(frozen=True, slots=True)
class Ranked:
    """Cards in order, with what each part gave. `places` index the columns."""

    places: NDArray[np.int64]
    scores: Scores
    subject: Scores
    words: Scores
    letters: Scores
    meaning: Scores
    called: Mapping[int, float]
    topics: Mapping[str, float]


def rank(query: Query, columns: Columns, text: Mapping[int, float]) -> Ranked:
    """Order the cards. `text` holds the full-text score of cards that share a rarer word."""
    topics = load_topics().of(query.subject)
    subject = _subject(query, columns, topics)
    base = subject * _constraints(query, columns)
    named = columns.names.called(query.text)
    places = _shortlist(base, text, named)
    words = _best_is_one(np.array([text.get(int(place), 0.0) for place in places]))
    letters, meaning = _likeness(query, columns, places)
    scores = base[places] + WORDS * words + LETTERS * letters + MEANING * meaning
    for wish in query.excluded:
        if wish.axis in {"task", "product"}:
            scores = scores * (1.0 - EXCLUDED * _unwanted(wish, columns)[places])
    calls = np.array([named.get(int(place), 0.0) for place in places])
    scores = scores + NAMED * calls
    order = np.lexsort((places, -scores))
    return Ranked(
        places=places[order],
        scores=scores[order],
        subject=subject[places][order],
        words=words[order],
        letters=letters[order],
        meaning=meaning[order],
        called=named,
        topics=topics,
    )


def met(wish: Wish, columns: Columns) -> Scores:
    """How well every card meets a wish: its best meaning counts."""
    found = np.zeros(len(columns))
    for concept, weight in wish.meanings.items():
        found = np.maximum(found, weight * columns.met(concept))
    return found


def _subject(query: Query, columns: Columns, topics: Mapping[str, float]) -> Scores:
    """Terms as written and likely topics, trusted by how much of the query the terms cover."""
    guess = np.zeros(len(columns))
    for task, weight in topics.items():
        guess += weight * columns.met(task)
    guess /= sum(topics.values()) or 1.0
    weights = {"task": 1.0, "product": PRODUCT}
    wishes = [wish for wish in query.wishes if wish.axis in weights]
    if not wishes:
        return GUESS * guess
    total = sum(weights[wish.axis] for wish in wishes)
    direct = sum(weights[wish.axis] * met(wish, columns) for wish in wishes) / total
    clear = any(w.axis == "task" and max(w.meanings.values()) > SAID for w in wishes)
    trust = TRUST * query.covered if clear else UNSURE
    return np.asarray(trust * direct + (1.0 - trust) * guess)


def _constraints(query: Query, columns: Columns) -> Scores:
    """A factor per card: 1 when every constraint is met, less for each that is not."""
    parts = [met(w, columns) for w in query.wishes if w.axis not in {"task", "product"}]
    parts += [_without(w, columns) for w in query.excluded if w.axis not in {"task", "product"}]
    if not parts:
        return np.ones(len(columns))
    mean = np.mean(np.stack(parts), axis=0)
    return np.asarray(1.0 - CONSTRAINTS + CONSTRAINTS * mean)


def _unwanted(wish: Wish, columns: Columns) -> Scores:
    """How much of an excluded subject every card has; a card that denies it has none."""
    found = np.zeros(len(columns))
    for concept, weight in wish.meanings.items():
        has, denies = columns.has(concept), columns.denies(concept)
        found = np.maximum(found, np.where(denies >= np.maximum(has, 0.01), 0.0, weight * has))
    return found


def _without(wish: Wish, columns: Columns) -> Scores:
    """How well every card does without an attribute: 1 when it says so, less when silent."""
    found = np.full(len(columns), SILENT)
    for concept in wish.meanings:
        found = np.where(columns.has(concept) > SAID, 0.0, found)
        found = np.where(columns.denies(concept) > columns.has(concept), 1.0, found)
    return found


def _shortlist(
    base: Scores, text: Mapping[int, float], named: Mapping[int, float]
) -> NDArray[np.int64]:
    """The best by subject, and every card that full text or a name brings."""
    count = min(SHORTLIST, len(base))
    best = np.argpartition(-base, count - 1)[:count] if count else np.zeros(0, np.int64)
    extra = np.array([*text, *named], dtype=np.int64)
    return np.unique(np.concatenate([best.astype(np.int64), extra]))


def _likeness(query: Query, columns: Columns, places: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """Likeness in letters and in meaning, each a share of the best card's."""
    kept = [word for word in query.words if not is_stop(word)]
    letters = columns.letters(places, letters_of(kept))
    meaning = np.zeros(len(places))
    vectors = load_meaning()
    if vectors is not None and columns.vectors is not None and kept:
        asked = vectors.vectors([" ".join(query.subject)])[0]
        meaning = np.maximum(columns.vectors[places].astype(np.float32) @ asked, 0.0)
    return _best_is_one(letters), _best_is_one(meaning)


def _best_is_one(scores: Scores) -> Scores:
    top = float(scores.max()) if len(scores) else 0.0
    return scores / top if top > 0.0 else scores
