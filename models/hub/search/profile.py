"""What a card is about, as weights of concepts: the evidence that ranking and facets use.

Each sentence is searched for terms of the thesaurus; where a mention stands decides what it counts
(`parts`). A negated mention counts the other way: "no bureau file is needed" says that the model
works without one. Then what follows: a wider task of each task, the products a task is always
about, and the narrower task of a task and a product ("probability of default" and "mortgage").
Weights are from 0 to 1; the strongest task of a card is 1, so that a passing remark stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.hub.search.constraints import attributes_of
from models.hub.search.parts import WEIGHTS, parts_of
from models.hub.search.text import LANGUAGES, WORDS, languages_of, tokens
from models.hub.search.thesaurus import NEGATORS, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.hub.card import Card
    from models.hub.search.parts import Line
    from models.hub.search.thesaurus import Span, Thesaurus

SUBJECT: Final = frozenset({"task", "product"})  # where the place of a mention matters
FOCUS: Final = 1.5  # how fast weaker tasks of a card fall away
ATTRIBUTE: Final = 0.9  # a mention of an attribute counts this much wherever it stands
MENTION: Final = 0.85  # a mention of a subject where it counts fully
ELSEWHERE: Final = 0.1  # parts without a weight of their own
LEAST: Final = 0.02  # weights below this are dropped
FADE: Final = 0.03  # of a mention's weight lost per word before it in its sentence
FADED: Final = 0.5  # of it, however late
IN_NOTES: Final = 0.0  # and this much in governance and annexes
_AFTER: Final = WORDS["after_mention"]
_CLAUSE: Final = WORDS["clause_breaks"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Concepts a card speaks of, and those it says it is not about or does without."""

    has: Mapping[str, float]
    denies: Mapping[str, float]


def profile_of(name: str, card: Card) -> Profile:
    """Read a card."""
    thesaurus = load()
    lines = parts_of(name, card)
    spoken = languages_of([word for line in lines for word in tokens(line.text)])
    stated = {language[:2].lower() for language in card.languages}
    languages = [own for own in LANGUAGES if own in spoken or own in stated]
    missing: dict[str, float] = {}
    denied: dict[str, float] = {}
    for line in lines:
        words = tokens(line.text)
        for span in thesaurus.find(words, languages):
            negated = line.part == "against" or _negated(words, span)
            for concept, strength in span.meanings.items():
                weight = strength * _weight(thesaurus, concept, line)
                if thesaurus[concept].axis in SUBJECT:
                    weight *= max(FADED, 1.0 - FADE * span.start)
                side = denied if negated else missing
                side[concept] = side.get(concept, 1.0) * (1.0 - weight)
    has = {concept: 1.0 - left for concept, left in missing.items()}
    denies = {concept: 1.0 - left for concept, left in denied.items()}
    _follow(thesaurus, has, denies)
    has.update(attributes_of(card, lines, has, denies))
    return Profile(
        has={c: round(w, 3) for c, w in has.items() if w >= LEAST},
        denies={c: round(w, 3) for c, w in denies.items() if w >= LEAST},
    )


def _weight(thesaurus: Thesaurus, concept: str, line: Line) -> float:
    if thesaurus[concept].axis not in SUBJECT:
        return IN_NOTES if line.part == "notes" else ATTRIBUTE
    return MENTION * WEIGHTS.get(line.part, ELSEWHERE)


def _negated(words: Sequence[str], span: Span) -> bool:
    """True when the mention stands after a negator in its clause, or before "is not used"."""
    for place in range(span.start - 1, max(-1, span.start - 9), -1):
        if words[place] in _CLAUSE:
            break
        if words[place] in NEGATORS:
            return True
    after = words[span.end : span.end + 4]
    return any(word in NEGATORS for word in after) and any(word in _AFTER for word in after)


def _follow(thesaurus: Thesaurus, has: dict[str, float], denies: Mapping[str, float]) -> None:
    """Add what the evidence implies, then let weaker tasks fall away."""
    for (parent, product), child in thesaurus.composites.items():
        both = min(has.get(parent, 0.0), has.get(product, 0.0))
        if both > has.get(child, 0.0):
            has[child] = 0.9 * both
    for concept, weight in denies.items():
        if concept in has:
            has[concept] *= 1.0 - 0.8 * weight
    tasks = [c for c in has if thesaurus[c].axis == "task"]
    top = max((has[c] for c in tasks), default=1.0) or 1.0
    for concept in tasks:
        has[concept] = (has[concept] / top) ** FOCUS
    for concept in tasks:
        for product in thesaurus[concept].about:
            has[product] = max(has.get(product, 0.0), has[concept])
    for concept in list(has):
        for wider in thesaurus.ancestors(concept):
            has[wider] = max(has.get(wider, 0.0), has[concept])
