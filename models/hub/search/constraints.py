"""What a card says of its licence, answer time, transparency, country, library and maturity.

Silence is not a yes: an attribute is 1 only where the text or the front matter says so. Answer
times are read from figures ("4 ms", "25 minutes") as well as words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from models.hub.search.matching import SAID
from models.hub.search.text import fold
from models.hub.search.thesaurus import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.hub.card import Card
    from models.hub.search.parts import Line

_LICENCES: Final = (
    (re.compile(r"^mit$|^isc$"), "mit"),
    (re.compile(r"^apache"), "apache"),
    (re.compile(r"^bsd"), "bsd"),
    (re.compile(r"cc0|unlicense|^pddl"), "public-domain"),
    (re.compile(r"gpl"), "copyleft"),
    (re.compile(r"-nc\b|-nc-|noncommercial|non-commercial"), "non-commercial"),
    (re.compile(r"^cc-by"), "permissive"),
    (re.compile(r"^other$|proprietary|commercial"), "proprietary"),
)
_CLASSES: Final = ("permissive", "copyleft", "non-commercial", "proprietary")
_TIME: Final = re.compile(
    r"([0-9]+(?:[.,][0-9]+)?)\s*(nanoseconds?|ns|microseconds?|us|µs|μs|milliseconds?|"
    r"millisekunden|millisecondes|milisegundos|ms|seconds?|s|minutes?)\b"
)
_SECONDS: Final = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "s": 1.0}
# Upper limits in seconds. 50 ms: a person does not notice; a payment has time for little more.
_FAST, _QUICK, _SOON = 1e-3, 0.05, 1.5
_FIGURES: Final = frozenset({"lead", "body", "operations", "results", "method", "title"})


def attributes_of(
    card: Card, lines: Sequence[Line], has: Mapping[str, float], denies: Mapping[str, float]
) -> dict[str, float]:
    """Attributes read from front matter and figures, to lay over those found as words."""
    found = _licence(card, has)
    found.update(_speed(lines, has))
    found.update(_library(card))
    if max(denies.get("post-hoc", 0.0), denies.get("white-box", 0.0)) > SAID:
        found["black-box"] = 1.0
    if has.get("black-box", 0.0) > SAID or found.get("black-box", 0.0) > SAID:
        found["post-hoc"] = 0.0
        found["white-box"] = 0.0
    return found


def _licence(card: Card, has: Mapping[str, float]) -> dict[str, float]:
    """One class of licence: the front matter's, unless it says "other" and the text says more."""
    stated = fold(card.licence or "")
    name = next((kind for pattern, kind in _LICENCES if pattern.search(stated)), None)
    if name in {None, "proprietary"}:
        for kind in ("mit", "apache", "bsd", "public-domain", "copyleft", "non-commercial"):
            if has.get(kind, 0.0) > SAID:
                name = kind
                break
        else:
            if has.get("proprietary", 0.0) > SAID:
                name = "proprietary"
    found = dict.fromkeys(
        ("mit", "apache", "bsd", "public-domain", "open-source", "commercial-use", *_CLASSES), 0.0
    )
    if name is None:
        if has.get("permissive", 0.0) > SAID:
            found["permissive"] = 1.0
        return found
    found[name] = 1.0
    if name in {"mit", "apache", "bsd", "public-domain"}:
        found["permissive"] = 1.0
    return found


def _speed(lines: Sequence[Line], has: Mapping[str, float]) -> dict[str, float]:
    """The fastest answer time that a figure or a word gives."""
    best: float | None = None
    for line in lines:
        if line.part in _FIGURES:
            for number, unit in _TIME.findall(fold(line.text)):
                seconds = float(number.replace(",", ".")) * _unit(unit)
                best = seconds if best is None else min(best, seconds)
    words = {c: has.get(c, 0.0) for c in ("microseconds", "real-time", "interactive", "batch")}
    if best is None:
        return {c: w for c, w in words.items() if w > SAID}
    found = dict.fromkeys(words, 0.0)
    if best <= _SOON:
        kind = "microseconds" if best <= _FAST else "real-time" if best <= _QUICK else "interactive"
        found[kind] = 1.0
        if kind == "microseconds":
            found["real-time"] = 1.0
    else:
        found["batch"] = 1.0
    return found


def _unit(unit: str) -> float:
    if unit.startswith(("milli", "mili", "ms")):
        return 1e-3
    if unit.startswith("micro"):
        return 1e-6
    if unit.startswith("minute"):
        return 60.0
    return _SECONDS[unit[0]]


def _library(card: Card) -> dict[str, float]:
    """The front matter names one library; words in the text add others."""
    if not card.library:
        return {}
    known = load()
    wanted = fold(card.library)
    if wanted == "r":
        return {"lib-r": 1.0}
    return {
        concept.id: 1.0
        for concept in known.concepts.values()
        if concept.axis == "library" and wanted in concept.terms.get("en", ())
    } | ({"lib-python": 1.0} if wanted == "python" else {})
