"""Which figure and which table stands under which tab of a model's page.

Tabs are addresses of their own, so each can be linked, printed and read without scripts. Nothing
of a report is left out: what is not known here by name stands under the first tab of figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.correctness import Estimate, Evaluated


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab: the end of its address, its word, the kinds of model that have it (all if none)."""

    slug: str
    word: str
    kinds: tuple[str, ...] = ()
    says: str = ""


TABS: Final = (
    Tab("", "Summary"),
    Tab("performance", "Performance", ("credit", "signal", "other")),
    Tab(
        "calibration",
        "Calibration",
        ("credit",),
        "Whether probabilities mean what they say: of those given 5%, one in 20 should default.",
    ),
    Tab(
        "backtest",
        "Backtest",
        ("value_at_risk",),
        "Losses against the forecast made before them.",
    ),
    Tab("slices", "Slices", (), "Where the model does worst, with the number of rows behind it."),
    Tab(
        "labels",
        "Labels",
        (),
        "Which predictions have an outcome yet. What is unlabelled is never counted as good.",
    ),
    Tab("alarms", "Alarms"),
    Tab(
        "challenger",
        "Challenger",
        (),
        "Both models answered the same requests; the difference is taken pair by pair.",
    ),
    Tab("drift", "Drift"),
    Tab(
        "limits",
        "Limits",
        (),
        "A limit is signed before the data it judges; another person agrees to every change.",
    ),
    Tab("versions", "Versions"),
)
FIGURES: Final = ("performance", "calibration", "backtest", "slices", "labels")
_METRICS: Final = (
    (
        "calibration",
        ("brier", "excess", "ece", "calib", "hosmer", "jeffreys", "expected_cal", "pd_"),
    ),
    ("slices", ("slice", "fairness", "worst")),
)
_TABLES: Final = (
    ("slices", ("slice", "fairness", "worst", "groups by")),
    ("labels", ("labels", "label ", "default rate, whatever", "outcomes", "revis", "maturity")),
    ("calibration", ("reliab", "pd by", "grade", "hosmer", "calibration", "band")),
)
_CAVEATS: Final = "to keep in mind"


def tabs_of(kind: str) -> list[Tab]:
    """The tabs a model of this kind has."""
    known = kind if kind in {"credit", "value_at_risk", "signal"} else "other"
    return [tab for tab in TABS if not tab.kinds or known in tab.kinds]


def main_tab(kind: str) -> str:
    """Where figures stand that belong to no tab of their own."""
    return "backtest" if kind == "value_at_risk" else "performance"


def estimates_under(found: Evaluated, slug: str) -> list[Estimate]:
    """The estimates of one tab, in the report's order."""
    return [e for e in found.estimates if _place(found.kind, e.metric, _METRICS) == slug]


def tables_under(found: Evaluated, slug: str) -> list[Mapping[str, Any]]:
    """The tables of one tab; caveats are none of them."""
    return [
        t
        for t in found.tables
        if not str(t["title"]).lower().startswith(_CAVEATS)
        and _place(found.kind, str(t["title"]), _TABLES) == slug
    ]


def caveats(found: Evaluated) -> list[str]:
    """What the report asks its reader to keep in mind."""
    told = [
        str(row[0])
        for t in found.tables
        if str(t["title"]).lower().startswith(_CAVEATS)
        for row in t["rows"]
    ]
    return [*found.caveats, *told]


def _place(kind: str, name: str, rules: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    has = {tab.slug for tab in tabs_of(kind)}
    text = name.lower()
    for slug, starts in rules:
        if slug in has and (text.startswith(starts) or f" {slug}" in f" {text}"):
            return slug
    return main_tab(kind)
