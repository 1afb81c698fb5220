"""What the pages of a model take from one correctness report: estimates, charts, tables, by tab.

A page may be pinned to the report at a leaf (`?report=N`), so an address that was sent to somebody
goes on showing what it showed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards import correctness, tabs
from dashboards.figures import Figure, of_estimate, of_table
from dashboards.reading import Part, Problem, part, segment
from dashboards.render import ident

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.correctness import CorrectnessView, Estimate, Evaluated
    from dashboards.reading import Body, Read

CORRECTNESS: Final = "/v1/reports/correctness"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a figure stands, for its links."""

    model: str
    page: str
    leaf: int
    pinned: bool

    @property
    def query(self) -> str:
        """What keeps a link at the report it is about."""
        return f"?report={self.leaf}" if self.pinned else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """An estimate with its chart."""

    estimate: Estimate
    figure: Figure


@dataclass(frozen=True, slots=True)
class Group:
    """What one tab shows of a report."""

    tab: tabs.Tab
    estimates: tuple[Shown, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Mapping[str, Any], ...]

    @property
    def judged(self) -> tuple[Shown, ...]:
        """Estimates that a signed limit judges."""
        return tuple(s for s in self.estimates if s.estimate.limit is not None)

    @property
    def others(self) -> tuple[Shown, ...]:
        """Estimates that are shown and judged by nothing."""
        return tuple(s for s in self.estimates if s.estimate.limit is None)

    @property
    def drawn(self) -> tuple[Figure, ...]:
        """Every chart of the tab."""
        return (*(shown.figure for shown in self.estimates), *self.figures)

    @property
    def empty(self) -> bool:
        """Whether there is nothing under the tab."""
        return not (self.estimates or self.figures or self.tables)


def report_at(read: Read, leaf: int | None) -> Part:
    """The correctness report at a leaf, or the newest; never another one than was asked for."""
    if leaf is None:
        return part(read, CORRECTNESS)
    found = part(read, f"{CORRECTNESS}/{leaf}")
    if found.body and found.body.get("leaf_index") != leaf:
        told = f"The API answered with the report at leaf {found.body.get('leaf_index')}."
        return Part(None, Problem(404, f"No correctness report at leaf {leaf}", told))
    return found


def group(found: Evaluated | None, tab: tabs.Tab) -> Group:
    """The estimates, charts and tables of a tab."""
    if found is None:
        return Group(tab, (), (), ())
    names = _idents(found)
    shown = tuple(
        Shown(e, of_estimate(e, names[id(e)])) for e in tabs.estimates_under(found, tab.slug)
    )
    drawn, plain = [], []
    for table in tabs.tables_under(found, tab.slug):
        figure = of_table(table, name_of(str(table["title"])))
        if figure is None:
            plain.append(table)
        else:
            drawn.append(figure)
    return Group(tab, shown, tuple(drawn), tuple(plain))


def name_of(title: str) -> str:
    """A table's chart as an address: its title without the figures, which change by the day."""
    head = re.split(r"[,:;(]", title, maxsplit=1)[0]
    return ident(re.sub(r"\b[0-9]+(\.[0-9]+)?\b(?!%)", "", head))


def _idents(found: Evaluated) -> dict[int, str]:
    """An id for each estimate: its metric, with the limit's leaf where several judge one metric."""
    names: dict[int, str] = {}
    for e in found.estimates:
        name = ident(e.metric)
        if name in names.values():
            name = f"{name}-{ident(e.limit_leaf)}"
        while name in names.values():
            name += "-x"
        names[id(e)] = name
    return names


def figure_of(read: Read, name: str, digest: str, limit_leaf: object) -> dict[str, Any]:
    """The chart of the figure that a limit judges, from the newest report, and where it stands."""
    reported = part(read, CORRECTNESS) if name and limit_leaf is not None else Part(None)
    view = correctness.read_report(reported.body) if reported.body else None
    found = view.of([digest]) if view else None
    for e in found.estimates if found else ():
        if e.limit_leaf == limit_leaf and view and found:
            address = f"/models/{segment(name)}"
            at = Place(address, address, view.leaf, pinned=False)
            return {"figure": of_estimate(e, _idents(found)[id(e)]), "at": at}
    return {"figure": None, "at": None}


def digests_of(model: Body) -> list[str]:
    """A model's versions, the one in use first, then the newest."""
    found = [model["aliases"][a] for a in sorted(model["aliases"], key=lambda a: a != "champion")]
    return found + [v["model_digest"] for v in reversed(model["versions"])]


def place(
    view: CorrectnessView | None, address: str, tab: tabs.Tab, *, pinned: bool
) -> Place | None:
    """Where the figures of a tab stand; None without a report."""
    if view is None:
        return None
    return Place(address, f"{address}/{tab.slug}" if tab.slug else address, view.leaf, pinned)


def headline(found: Evaluated | None) -> Shown | None:
    """The estimate a summary shows, with its chart."""
    if found is None or found.headline is None:
        return None
    return Shown(found.headline, of_estimate(found.headline, _idents(found)[id(found.headline)]))


def tab_of(found: Evaluated, estimate: Estimate) -> str:
    """Where an estimate stands, as the end of an address."""
    for slug in tabs.FIGURES:
        if estimate in tabs.estimates_under(found, slug):
            return f"{slug}#{_idents(found)[id(estimate)]}"
    return ""
