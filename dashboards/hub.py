"""The hub page's view of a search: a question, facets to narrow by, hits with their reasons.

Nothing is ordered or counted here; the two reports' states are laid out apart, as elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from dashboards.words import standing, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE: Final = 20  # hits on a page
SHOWN: Final = 6  # values of a facet before the rest is folded away
FACETS: Final = (
    ("task", "Task"),
    ("asset_class", "Asset class"),
    ("framework", "Framework"),
    ("licence", "Licence"),
    ("transparency", "Transparency"),
    ("tier", "Tier"),
    ("verification", "Verification mode"),
    ("honesty", "Computed honestly"),
    ("correctness", "Computed correctly"),
    ("status", "Status"),
    ("region", "Region"),
)
SORTS: Final = (
    ("relevance", "Best match"),
    ("inferences", "Predictions in the log"),
    ("labels", "Matured labels"),
    ("metric", "Live metric, by its interval"),
    ("validated", "Validated last"),
    ("name", "Name"),
)
SIGNS: Final = {
    "met": ("+", "fits"),
    "named": ("+", "fits"),
    "close": ("~", "close"),
    "unsaid": ("?", "not said"),
    "unmet": ("\N{MINUS SIGN}", "does not fit"),
    "excluded": ("\N{MINUS SIGN}", "excluded"),
    "words": ("\N{MIDDLE DOT}", "words"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a facet: how many hits have it, and whether it is chosen."""

    value: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """A facet; `rest` is folded away."""

    name: str
    title: str
    values: tuple[Value, ...]
    rest: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says: the question, the order, the chosen values, the place in the list."""

    text: str
    sort: str
    chosen: Mapping[str, tuple[str, ...]]
    offset: int

    def query(self, *, offset: int | None = None) -> str:
        """The same question as part of an address."""
        pairs = [("q", self.text), ("sort", self.sort)]
        pairs += [(name, value) for name, values in self.chosen.items() for value in values]
        pairs.append(("offset", str(self.offset if offset is None else offset)))
        return urlencode([(name, value) for name, value in pairs if value not in {"", "0"}])


def asked(args: Any) -> Asked:  # noqa: ANN401 - werkzeug's MultiDict
    """Read an address; what is no number or no order of ours is left out."""
    sort = args.get("sort", "relevance")
    offset = args.get("offset", 0, type=int)
    return Asked(
        text=args.get("q", "").strip(),
        sort=sort if sort in {name for name, _ in SORTS} else "relevance",
        chosen={name: tuple(args.getlist(name)) for name, _ in FACETS if args.getlist(name)},
        offset=max(0, offset),
    )


def facets(found: Mapping[str, Any], question: Asked) -> list[Facet]:
    """The facets that have values, in our order; chosen values stay in sight."""
    shown = []
    for name, title in FACETS:
        chosen = set(question.chosen.get(name, ()))
        rows = [
            Value(str(row["value"]), int(row["count"]), row["value"] in chosen)
            for row in found["facets"].get(name) or ()
        ]
        known = {row.value for row in rows}
        rows = [Value(value, 0, chosen=True) for value in sorted(chosen - known)] + rows
        first = [row for place, row in enumerate(rows) if place < SHOWN or row.chosen]
        rest = [row for row in rows if row not in first]
        if rows:
            shown.append(Facet(name, title, tuple(first), tuple(rest)))
    return shown


@dataclass(frozen=True, slots=True)
class HitView:
    """One hit with its two states, each from its own report; None when the reader may see none."""

    body: Mapping[str, Any]
    reasons: Sequence[tuple[str, str, str]]
    honesty: tuple[str, str] | None
    correctness: tuple[str, str] | None


def hits(found: Mapping[str, Any]) -> list[HitView]:
    """The hits of a page."""
    return [_hit(body) for body in found["hits"]]


def _hit(body: Mapping[str, Any]) -> HitView:
    seen = "honesty" in body["facets"] or "correctness" in body["facets"]
    use = body.get("use") or {}
    return HitView(
        body=body,
        reasons=[
            (*SIGNS.get(reason["kind"], SIGNS["words"]), reason["text"])
            for reason in body["reasons"]
        ],
        honesty=verdict(body.get("honesty_verdict") or "NOT_CHECKED") if seen else None,
        correctness=(standing(use["standing"]) if use else ("unstruck", "Not evaluated"))
        if seen
        else None,
    )
