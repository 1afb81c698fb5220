"""What a card's concept is worth to somebody who asked for another: the rules of ranking.

A task or product is met by itself, less by a sister (the same wider task) and least by a neighbour.
Transparency, licence and answer time are ladders: a scorecard is explainable too, a permissive
licence is open source, five milliseconds are fast. A card that says nothing is worth `UNSAID`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Mapping

SISTER: Final = 0.42  # the same wider task
COUSIN: Final = 0.2  # the same task two steps up, or more
NEIGHBOUR: Final = 0.3
UNSAID: Final = 0.3
SAID: Final = 0.5  # a weight above this is a statement
SIMPLE: Final = 0.45  # a method known to be readable, where nothing is said of explanations
OTHER_KIND: Final = 0.1  # another library, method or horizon than the one asked for

_NOT_FREE: Final = {"non-commercial": 0.0, "proprietary": 0.0}
_SOME_LICENCE: Final = {"permissive": 0.5, "copyleft": 0.1, **_NOT_FREE}
_LADDERS: Final[Mapping[str, Mapping[str, float]]] = {
    "white-box": {"white-box": 1.0, "post-hoc": 0.55, "black-box": 0.0},
    "post-hoc": {"white-box": 1.0, "post-hoc": 1.0, "black-box": 0.0},
    "black-box": {"black-box": 1.0, "post-hoc": 0.2, "white-box": 0.0},
    "permissive": {"permissive": 1.0, "copyleft": 0.35, **_NOT_FREE},
    "open-source": {"permissive": 1.0, "copyleft": 1.0, "non-commercial": 0.1, "proprietary": 0.0},
    "commercial-use": {
        "permissive": 1.0,
        "copyleft": 0.5,
        "proprietary": 0.3,
        "non-commercial": 0.0,
    },
    "mit": {"mit": 1.0, **_SOME_LICENCE},
    "apache": {"apache": 1.0, **_SOME_LICENCE},
    "bsd": {"bsd": 1.0, **_SOME_LICENCE},
    "public-domain": {"public-domain": 1.0, **_SOME_LICENCE},
    "copyleft": {"copyleft": 1.0, "permissive": 0.2, **_NOT_FREE},
    "non-commercial": {
        "non-commercial": 1.0,
        "permissive": 0.4,
        "copyleft": 0.3,
        "proprietary": 0.0,
    },
    "proprietary": {"proprietary": 1.0, "permissive": 0.1, "copyleft": 0.0, "non-commercial": 0.0},
    "real-time": {"microseconds": 1.0, "real-time": 1.0, "interactive": 0.45, "batch": 0.0},
    "microseconds": {"microseconds": 1.0, "real-time": 0.5, "interactive": 0.1, "batch": 0.0},
    "interactive": {"microseconds": 1.0, "real-time": 1.0, "interactive": 1.0, "batch": 0.1},
    "batch": {"batch": 1.0, "interactive": 0.4, "real-time": 0.3, "microseconds": 0.3},
    "production": {"production": 1.0, "pilot": 0.4, "research": 0.1, "retired": 0.0},
    "pilot": {"pilot": 1.0, "production": 0.5, "research": 0.3, "retired": 0.0},
    "research": {"research": 1.0, "pilot": 0.3, "production": 0.2},
}
_READABLE: Final = frozenset({"linear", "additive", "rules", "survival", "bayesian", "time-series"})


@cache
def related(concept: str) -> Mapping[str, float]:
    """Concepts that meet a wish for a task or product, with what each is worth."""
    thesaurus = load()
    found = {concept: 1.0}
    for step, wider in enumerate(thesaurus.ancestors(concept)):
        found[wider] = SISTER if step == 0 else COUSIN
    for other in thesaurus.concepts.values():
        near = max(other.near.get(concept, 0.0), thesaurus[concept].near.get(other.id, 0.0))
        if near:
            found[other.id] = max(found.get(other.id, 0.0), NEIGHBOUR * near)
    return found


@cache
def ladder(concept: str) -> Mapping[str, float]:
    """Concepts that answer a wish for an attribute, with what each is worth; the best counts."""
    thesaurus = load()
    if concept in _LADDERS:
        return _LADDERS[concept]
    axis = thesaurus[concept].axis
    if axis == "region":
        return _regions(concept)
    if axis in {"library", "method", "horizon"}:
        same = {c.id: OTHER_KIND for c in thesaurus.concepts.values() if c.axis == axis}
        return {**same, concept: 1.0}
    return {concept: 1.0}


@cache
def when_silent(concept: str) -> Mapping[str, float]:
    """What a card is worth that says nothing, by other things it does say."""
    if load()[concept].axis == "explain" and concept != "black-box":
        return dict.fromkeys(_READABLE, SIMPLE)
    return {}


def _regions(concept: str) -> Mapping[str, float]:
    """The region itself; less for several countries, for the wider region, for another country.

    A card for one country has the wider region too, so "wider" counts as little as a sister does.
    """
    thesaurus = load()
    found = {c.id: 0.0 for c in thesaurus.concepts.values() if c.axis == "region"}
    found["global"] = 0.45
    for wider in thesaurus.ancestors(concept):
        found[wider] = 0.25
    found[concept] = 1.0
    return found
