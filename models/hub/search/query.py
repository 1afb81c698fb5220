"""A query as wishes: what is wanted, what is not, and the words that are left.

Words are corrected when nobody knows them, compounds are split, terms are found in five languages.
"not", "without", "other than" and their like exclude the next term of their clause, unless they
belong to a term ("no credit history") or to a verb ("does not pay").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.hub.search.matching import SAID
from models.hub.search.text import WORDS, is_stop, stem, tokens
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.hub.search.spelling import Spelling
    from models.hub.search.thesaurus import Span, Thesaurus

QUERY_MAX: Final = 400  # characters; a page of text is no query
SCATTERED: Final = 0.8  # a term whose words stand apart, against one found as written
TASK_LIKE: Final = frozenset({"task", "product"})

OPPOSITES: Final = {
    "black-box": ("explain", "post-hoc"),
    "batch": ("speed", "real-time"),
    "non-commercial": ("licence", "commercial-use"),
    "research": ("maturity", "production"),
}

_CLAUSE: Final = re.compile(r"[,;:.!?()\n]+(?=\s|$)|\s[-–—]\s")  # noqa: RUF001
_STRONG: Final = WORDS["excluders"]
_OTHER: Final = frozenset(
    {("other", "than"), ("rather", "than"), ("instead", "of"), ("but", "not")}
)
_NOT: Final = WORDS["plain_nots"]
_AUXILIARY: Final = WORDS["auxiliaries"]
_AFTER_NOT: Final = WORDS["after_not"]
_STOPPERS: Final = WORDS["stoppers"]
_JOINERS: Final = WORDS["joiners"]
_REFUSED: Final = WORDS["refused"]


@dataclass(frozen=True, slots=True)
class Wish:
    """One stretch of the query: the words, and the concepts they may mean with weights."""

    words: str
    axis: str
    meanings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asked for.

    `words` are corrected and without exclusions; `subject` are those that state no constraint.
    """

    text: str
    words: tuple[str, ...]
    subject: tuple[str, ...]
    wishes: tuple[Wish, ...]
    excluded: tuple[Wish, ...]
    unknown: tuple[str, ...]
    corrected: Mapping[str, str]
    covered: float  # share of the words about the subject that are terms, found as written


def parse_query(text: str, spelling: Spelling) -> Query:
    """Read a query."""
    thesaurus = load()
    words, clauses, corrected = _split(text[:QUERY_MAX], spelling)
    spans = thesaurus.find(words)
    out = _negated(words, clauses, spans)
    wanted = [span for span in spans if not out.intersection(range(span.start, span.end))]
    unwanted = [span for span in spans if out.intersection(range(span.start, span.end))]
    kept = [word for place, word in enumerate(words) if place not in out]
    wishes = _wishes(thesaurus, words, wanted) + _opposites(words, unwanted)
    wishes = _compose(thesaurus, _merge(thesaurus, wishes + _scattered(thesaurus, kept, wishes)))
    stated = {
        place
        for span in wanted
        if not any(thesaurus[c].axis in TASK_LIKE for c in span.meanings)
        for place in range(span.start, span.end)
    }
    inside = {place for span in spans for place in range(span.start, span.end)}
    return Query(
        text=text,
        words=tuple(kept),
        subject=tuple(words[p] for p in range(len(words)) if p not in out | stated),
        wishes=tuple(wishes),
        excluded=tuple(_wishes(thesaurus, words, unwanted)),
        unknown=tuple(
            word
            for place, word in enumerate(words)
            if place not in inside and place not in out and not is_stop(word)
        ),
        corrected=corrected,
        covered=_covered(kept, wishes),
    )


def _covered(words: Sequence[str], wishes: Sequence[Wish]) -> float:
    """Words in terms for tasks, out of all but those in other terms and those that say little."""
    tasks = {stem(w) for wish in wishes if wish.axis == "task" for w in tokens(wish.words)}
    others = {stem(w) for wish in wishes if wish.axis != "task" for w in tokens(wish.words)}
    left = [stem(word) for word in words if not is_stop(word)]
    left = [word for word in left if word in tasks or word not in others]
    return sum(word in tasks for word in left) / len(left) if left else 1.0


def _split(text: str, spelling: Spelling) -> tuple[list[str], list[int], dict[str, str]]:
    """Corrected words, for each the number of its clause, and what was corrected."""
    words: list[str] = []
    clauses: list[int] = []
    corrected: dict[str, str] = {}
    for number, clause in enumerate(_CLAUSE.split(text)):
        found, changed = spelling.correct(tokens(clause))
        words += found
        clauses += [number] * len(found)
        corrected |= changed
    return words, clauses, corrected


def _negated(words: Sequence[str], clauses: Sequence[int], spans: Sequence[Span]) -> set[int]:
    """Places of excluded words: a negator and the term it is about, where it is about one."""
    at = {place: span for span in spans for place in range(span.start, span.end)}
    out: set[int] = set()
    for place in range(len(words)):
        if place in at:
            continue
        if words[place] in _NOT and words[place + 1 : place + 2] and words[place + 1] in _REFUSED:
            out.update(_before(place, clauses, at), (place, place + 1))
            continue
        length = _negator(words, place)
        end = _reach(words, clauses, at, place + length) if length else place
        if any(max(at[p].meanings.values()) > SAID for p in range(place, end) if p in at):
            out.update(range(place, end))
    return out


def _reach(words: Sequence[str], clauses: Sequence[int], at: Mapping[int, Span], start: int) -> int:
    """Where an exclusion ends: after its first term and those joined by "or", with its clause."""
    end, joined = start, True
    while end < len(words) and clauses[end] == clauses[start - 1]:
        if words[end] in _STOPPERS and end > start:
            break
        if end in at:
            if not joined:
                break
            end, joined = at[end].end, False
            continue
        joined = joined or words[end] in _JOINERS
        end += 1
    return end


def _before(place: int, clauses: Sequence[int], at: Mapping[int, Span]) -> range:
    """The places of the last term of a clause before a place: of "GPL is not ok" the first word."""
    for earlier in range(place - 1, -1, -1):
        if clauses[earlier] != clauses[place]:
            break
        if earlier in at:
            return range(at[earlier].start, place)
    return range(0)


def _negator(words: Sequence[str], place: int) -> int:
    """The length of a negator at a place, or 0."""
    if tuple(words[place : place + 2]) in _OTHER:
        return 2
    word = words[place]
    if word in _STRONG:
        return 1
    if word not in _NOT:
        return 0
    if place and words[place - 1] in _AUXILIARY:
        return 1 if words[place + 1 : place + 2] and words[place + 1] in _AFTER_NOT else 0
    return 1


def _wishes(thesaurus: Thesaurus, words: Sequence[str], spans: Sequence[Span]) -> list[Wish]:
    """One wish per span and axis; tasks and products that one stretch may mean stay together."""
    found = []
    for span in spans:
        by_axis: dict[str, dict[str, float]] = {}
        for concept, weight in span.meanings.items():
            by_axis.setdefault(thesaurus[concept].axis, {})[concept] = weight
        if "task" in by_axis and "product" in by_axis:
            # "card" may mean a product; when a task was meant the product follows from it.
            strong = max(by_axis["task"].values()) >= max(by_axis["product"].values())
            by_axis.pop("product" if strong else "task")
        found += [Wish(_text(words, span), axis, meanings) for axis, meanings in by_axis.items()]
    return found


def _opposites(words: Sequence[str], unwanted: Sequence[Span]) -> list[Wish]:
    """Who does not want a black box wants reasons: a wish for the other end of the ladder."""
    return [
        Wish(f"not {_text(words, span)}", OPPOSITES[concept][0], {OPPOSITES[concept][1]: 1.0})
        for span in unwanted
        for concept in span.meanings
        if concept in OPPOSITES
    ]


def _text(words: Sequence[str], span: Span) -> str:
    return " ".join(words[span.start : span.end])


def _scattered(thesaurus: Thesaurus, words: Sequence[str], have: Sequence[Wish]) -> list[Wish]:
    """Tasks named by words that stand apart, when they say more than what was found together."""
    known = {concept for wish in have for concept in wish.meanings}
    found = []
    for concept, (weight, stems) in thesaurus.find_scattered(words).items():
        if concept in known or thesaurus[concept].axis not in TASK_LIKE or len(stems) == 1:
            continue
        found.append(
            Wish(" ".join(sorted(stems)), thesaurus[concept].axis, {concept: weight * SCATTERED})
        )
    return found


def _merge(thesaurus: Thesaurus, wishes: Sequence[Wish]) -> list[Wish]:
    """One wish per set of concepts; a wider concept goes when a narrower one is wished for."""
    narrow = {concept for wish in wishes for concept, w in wish.meanings.items() if w > SCATTERED}
    wider = {parent for concept in narrow for parent in thesaurus.ancestors(concept)}
    merged: dict[tuple[str, frozenset[str]], Wish] = {}
    for wish in wishes:
        left = {c: w for c, w in wish.meanings.items() if c not in wider}
        if not left:
            continue
        key = (wish.axis, frozenset(left))
        old = merged.get(key)
        words = wish.words if old is None else f"{old.words}, {wish.words}"
        best = left if old is None else {c: max(w, old.meanings[c]) for c, w in left.items()}
        merged[key] = Wish(words, wish.axis, best)
    strong = any(w.axis == "task" and max(w.meanings.values()) > SAID for w in merged.values())
    return [
        wish
        for wish in merged.values()
        if not (strong and wish.axis == "task" and max(wish.meanings.values()) < SAID)
    ]


def _compose(thesaurus: Thesaurus, wishes: Sequence[Wish]) -> list[Wish]:
    """A task and a product that together name a narrower task mean that one too."""
    products = {c for wish in wishes if wish.axis == "product" for c in wish.meanings}
    found = []
    for wish in wishes:
        extra = {}
        if wish.axis == "task":
            for concept, weight in wish.meanings.items():
                for product in products:
                    child = thesaurus.composites.get((concept, product))
                    if child is not None:
                        extra[child] = weight
        found.append(Wish(wish.words, wish.axis, {**wish.meanings, **extra}) if extra else wish)
    return found
