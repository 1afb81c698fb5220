"""Facets of a card: task, asset class, framework, licence and what else one narrows a list by.

These come from the card. Others (tier, verification modes, state of honesty, state of correctness,
use) are not in a card: who composes the hub gives them by name of card when searching.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Final

from models.hub.search.matching import SAID
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.hub.card import Card
    from models.hub.search.profile import Profile

CARD_FACETS: Final = ("task", "asset_class", "framework", "licence", "transparency", "region")
STRONG: Final = 0.6  # a task that weak mentions point to is no facet
_LICENCES: Final = ("permissive", "copyleft", "non-commercial", "proprietary")
_TRANSPARENCY: Final = ("white-box", "post-hoc", "black-box")


def facets_of(card: Card, profile: Profile) -> dict[str, tuple[str, ...]]:
    """Values of each facet, labels in plain words."""
    thesaurus = load()
    has = profile.has
    strong = {c for c, w in has.items() if w >= STRONG}
    licence = [c for c in _LICENCES if has.get(c, 0.0) > SAID]
    return {
        "task": _narrowest(strong, "task"),
        "asset_class": _narrowest(strong, "product"),
        "framework": (card.library.lower(),) if card.library else _narrowest(strong, "library"),
        "licence": tuple(thesaurus[c].label for c in licence) or ("not stated",),
        "transparency": tuple(thesaurus[c].label for c in _TRANSPARENCY if has.get(c, 0.0) > SAID)
        or ("not stated",),
        "region": _narrowest(strong, "region"),
    }


def _narrowest(strong: Iterable[str], axis: str) -> tuple[str, ...]:
    """Labels of concepts of an axis that have no narrower one in the set, strongest kinds first."""
    thesaurus = load()
    own = {c for c in strong if thesaurus[c].axis == axis}
    wider = {parent for c in own for parent in thesaurus.ancestors(c)}
    return tuple(sorted(thesaurus[c].label for c in own - wider))


def pairs_of(facets: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    """Each facet with each of its values."""
    return tuple((key, value) for key, values in facets.items() for value in values)


def count_facets(cards: Iterable[Iterable[tuple[str, str]]]) -> dict[str, dict[str, int]]:
    """How many of these cards have each value, most frequent first."""
    found: dict[str, dict[str, int]] = {}
    counts = Counter(chain.from_iterable(cards))
    for (key, value), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        found.setdefault(key, {})[value] = count
    return found
