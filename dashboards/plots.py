"""Charts of a report's tables, told by their columns: reliability, intervals, exceedances.

Each takes the table's own rows, so a drawing shows what the table beside it says. They are made
like the histories (`charts`): SVG from the server, for paper and for browsers without scripts; a
canvas on screens where it helps. A table with other columns stays a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from dashboards.axes import (
    FOOT,
    TOP,
    Scale,
    ends,
    framed,
    grid,
    labels,
    real,
    stretched,
    ticks,
    widened,
)
from dashboards.words import count, figure, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Roles = tuple[str, ...]
LINE: Final = 42  # px of one line of a forest: its name, and below it the interval
EDGE: Final = 2  # percent of a forest's width kept free at each side


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a table that has a figure."""

    row: int
    name: str
    x: float | None
    value: float
    low: float | None
    high: float | None
    line: float | None
    mark: bool
    n: str = ""

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out what is compared with."""
        other = self.line if self.line is not None else self.x
        if other is None or self.low is None or self.high is None:
            return False
        return not self.low <= other <= self.high


@dataclass(frozen=True, slots=True)
class Series:
    """Rows with a figure, in the order of the table, and how many rows there are."""

    points: tuple[Dot, ...]
    size: int

    @classmethod
    def of(cls, roles: Roles, rows: Sequence[Sequence[Any]]) -> Series:
        """Read the rows by the roles of their columns."""
        found = []
        for i, row in enumerate(rows):
            pairs = zip(roles, row, strict=False)
            cells = {role: cell for role, cell in reversed(list(pairs)) if role}
            value = real(cells.get("value"))
            if value is None:
                continue
            x = cells.get("x", row[0] if row else "")
            found.append(
                Dot(
                    i,
                    str(row[0]),
                    real(x),
                    value,
                    real(cells.get("low")),
                    real(cells.get("high")),
                    real(cells.get("line")),
                    bool(str(cells.get("mark") or "").strip()),
                    str(cells.get("n") or ""),
                )
            )
        return cls(tuple(found), len(rows))


@dataclass(frozen=True, slots=True)
class Plot:
    """A kind of chart: by which columns it is known, how it is told and drawn."""

    kind: str
    roles: Callable[[Sequence[str]], Roles | None]
    told: Callable[[Series], str]
    draw: Callable[[Series, str], Markup]
    key: tuple[tuple[str, str], ...]
    units: Mapping[str, str]


def reliability(series: Series, ident: str, height: int = 300) -> Markup:
    """Observed against expected, both from nought; on the diagonal they agree."""
    reach = [v for p in series.points for v in (p.x, p.value, p.high) if v is not None]
    marks = ticks(0.0, max([*reach, 0.01]))
    scale = Scale(0.0, marks[-1], height, 2)
    zero, full = scale.y(0.0), scale.y(marks[-1])
    body = [
        *grid(scale, marks),
        stretched([f'<line class="diagonal" x1="15" y1="{zero}" x2="985" y2="{full}"/>'], height),
    ]
    for p in series.points:
        if p.x is None:
            continue
        x = round(1.5 + 97 * p.x / marks[-1], 3)
        body += _whisker(scale, x, p)
        body.append(_shape(x, scale.y(p.value), p, off=p.apart))
    top = figure(f"{marks[-1]:.10g}")
    body += ends("0", f"{top} expected", height)
    drawn = framed(ident, scale, axis=labels(scale, marks), body=body)
    return Markup(drawn)  # noqa: S704 - numbers, and text escaped where it enters


def strip(series: Series, ident: str, height: int = 230) -> Markup:
    """Profit and loss day by day against the forecast; a loss beyond it is a square."""
    reach = [v for p in series.points for v in (p.value, p.line) if v is not None]
    marks = ticks(*widened(min(reach), max(reach)))
    scale = Scale(marks[0], marks[-1], height, series.size)
    line = " ".join(
        f"{scale.x(p.row) * 10:g},{scale.y(p.line)}" for p in series.points if p.line is not None
    )
    floor = scale.y(max(marks[0], 0.0))
    bars = [
        f'<line class="stem{" off" if p.mark else ""}" x1="{scale.x(p.row) * 10:g}" '
        f'x2="{scale.x(p.row) * 10:g}" y1="{floor}" y2="{scale.y(p.value)}"/>'
        for p in series.points
    ]
    lines = [*bars, f'<polyline class="second" points="{line}"/>']
    body = [*grid(scale, marks), stretched(lines, height)]
    body += [
        _shape(scale.x(p.row), scale.y(p.value), p, off=p.mark, radius=0.0) for p in series.points
    ]
    first, last = series.points[0].name, series.points[-1].name
    body += ends(first, last if series.size > 1 else None, height)
    drawn = framed(ident, scale, axis=labels(scale, marks), body=body)
    return Markup(drawn)  # noqa: S704 - numbers, and text escaped where it enters


def ratios(series: Series, ident: str) -> Markup:
    """A forest around 1, where what was seen is what was expected."""
    return forest(series, ident, around=1.0)


def forest(series: Series, ident: str, around: float | None = None) -> Markup:
    """One line for each row: its name, its figure, its interval. Drawn the same on every screen."""
    reach = [v for p in series.points for v in (p.value, p.low, p.high, p.line) if v is not None]
    reach += [around] if around is not None else []
    marks = ticks(*widened(min(reach), max(reach)))
    low, span, height = marks[0], marks[-1] - marks[0], TOP + FOOT + LINE * len(series.points)

    def x(value: float) -> float:
        return round(EDGE + (100 - 2 * EDGE) * min(1.0, max(0.0, (value - low) / span)), 3)

    body = [
        f'<line class="grid" x1="{x(t)}%" x2="{x(t)}%" y1="{TOP}" y2="{height - FOOT}"/>'
        for t in marks
    ]
    body += [
        f'<text class="date" x="{x(t)}%" y="{height - 7}" text-anchor="middle">'
        f"{figure(f'{t:.10g}')}</text>"
        for t in marks
    ]
    if around is not None:
        body.append(
            f'<line class="limit" x1="{x(around)}%" x2="{x(around)}%" y1="{TOP}" '
            f'y2="{height - FOOT}"/>'
        )
    for place, p in enumerate(series.points):
        y = TOP + LINE * place + LINE - 12
        body.append(f'<text class="name" x="0" y="{y - 12:g}">{escape(p.name)}</text>')
        if p.n:
            text = escape(count(p.n))
            body.append(
                f'<text class="count" x="100%" y="{y - 12:g}" text-anchor="end">{text}</text>'
            )
        if p.low is not None and p.high is not None:
            body.append(
                f'<line class="whisker" x1="{x(p.low)}%" x2="{x(p.high)}%" y1="{y:g}" y2="{y:g}"/>'
            )
        if p.line is not None:
            body.append(
                f'<line class="tick" x1="{x(p.line)}%" x2="{x(p.line)}%" y1="{y - 7:g}" '
                f'y2="{y + 7:g}"/>'
            )
        body.append(_shape(x(p.value), y, p, off=p.mark or (p.line is not None and p.apart)))
    return Markup(  # noqa: S704 - numbers, and text escaped where it enters
        f'<div class="chart one"><svg class="plot" id="{ident}-plot" width="100%" '
        f'height="{height}" aria-hidden="true">{"".join(body)}</svg></div>'
    )


def _whisker(scale: Scale, x: float, p: Dot) -> list[str]:
    if p.low is None or p.high is None:
        return []
    return [
        f'<line class="whisker" x1="{x}%" x2="{x}%" y1="{scale.y(p.low)}" y2="{scale.y(p.high)}"/>'
    ]


def _shape(x: float, y: float, p: Dot, *, off: bool, radius: float = 3.6) -> str:
    if off:
        return (
            f'<svg class="pt" x="{x}%" y="0" overflow="visible" data-x="{x}%" data-i="{p.row}">'
            f'<rect class="off" x="-4" y="{y - 4:g}" width="8" height="8"/></svg>'
        )
    return (
        f'<circle class="pt dot" cx="{x}%" cy="{y:g}" r="{radius}" data-x="{x}%" data-i="{p.row}"/>'
    )


def _find(names: Sequence[str], *starts: str) -> int | None:
    for i, name in enumerate(names):
        if name.lower().startswith(starts):
            return i
    return None


def _reliability_roles(names: Sequence[str]) -> Roles | None:
    if not names[0].lower().startswith(("predicted", "tenth", "band")):
        return None  # groups that are not ordered by what was predicted are no curve
    wanted = {
        "x": _find(names, "mean pd", "expected rate", "mean forecast"),
        "value": _find(names, "default rate", "observed rate"),
        "low": _find(names, "low"),
        "high": _find(names, "high"),
    }
    return _as_roles(names, wanted)


def _strip_roles(names: Sequence[str]) -> Roles | None:
    wanted = {
        "value": _find(names, "p&l", "profit", "actual p&l"),
        "line": _find(names, "var", "99% var", "forecast"),
        "mark": _find(names, "exceed", "beyond"),
    }
    return _as_roles(names, wanted)


def _ratio_roles(names: Sequence[str]) -> Roles | None:
    return _as_roles(names, {"value": _find(names, "seen over expected")})


def _forest_roles(names: Sequence[str]) -> Roles | None:
    low, high = _find(names[1:], "low"), _find(names[1:], "high")
    if low is None or high is None or low < 1:
        return None
    wanted: dict[str, int | None] = {"value": low, "low": low + 1, "high": high + 1}
    rest = _find(names, "mean pd", "rest", "overall", "whole")
    if rest is not None:
        wanted["line"] = rest
    mark = _find(names, "worst", "flag", "alarm", "beyond")
    if mark not in (None, 0):
        wanted["mark"] = mark
    return _as_roles(names, wanted)


COUNTS: Final = ("rows", "labelled", "n", "defaults", "count", "days", "customers", "bad")


def _as_roles(names: Sequence[str], wanted: Mapping[str, int | None]) -> Roles | None:
    if any(place is None for place in wanted.values()):
        return None
    roles = ["n" if name.lower() in COUNTS else "" for name in names]
    for role, place in wanted.items():
        roles[place or 0] = role
    return tuple(roles)


def _told_reliability(series: Series) -> str:
    apart = [p for p in series.points if p.apart]
    text = f"Observed against expected rate in {plural(len(series.points), 'band')}"
    if not apart:
        return f"{text}. In each the expected rate lies within the interval of the observed."
    first = apart[0]
    text += f". In {plural(len(apart), 'band')} the expected rate lies outside the interval"
    return (
        f"{text}, first in {first.name}: {figure(f'{first.value:.6g}')} observed, "
        f"{figure(f'{first.x:.6g}')} expected."
    )


def _told_strip(series: Series) -> str:
    marked = [p for p in series.points if p.mark]
    text = f"{plural(len(series.points), 'day')} from {series.points[0].name} to "
    text += f"{series.points[-1].name}"
    if not marked:
        return f"{text}. No loss went beyond the forecast."
    return f"{text}. The loss went beyond the forecast on {len(marked)}, last on {marked[-1].name}."


def _told_ratios(series: Series) -> str:
    worst = max(series.points, key=lambda p: abs(math.log(p.value)) if p.value > 0 else math.inf)
    rows = f", in {plural(worst.n, 'row')}" if worst.n else ""
    return (
        f"{plural(len(series.points), 'slice')}; furthest from what was expected is "
        f"{worst.name}: {figure(f'{worst.value:.6g}')} of it{rows}."
    )


def _told_forest(series: Series) -> str:
    apart = [p for p in series.points if p.line is not None and p.apart]
    spread = sorted(series.points, key=lambda p: p.value)
    text = (
        f"{plural(len(series.points), 'line')}, from {figure(f'{spread[0].value:.6g}')} "
        f"({spread[0].name}) to {figure(f'{spread[-1].value:.6g}')} ({spread[-1].name})"
    )
    if apart:
        text += f"; {plural(len(apart), 'interval')} without the value it is compared with"
    return f"{text}."


KNOWN: Final = (
    Plot(
        "reliability",
        _reliability_roles,
        _told_reliability,
        reliability,
        (
            ("key-dot", "observed"),
            ("key-whisker", "95% interval"),
            ("key-diagonal", "as expected"),
            ("key-off", "expected rate outside the interval"),
        ),
        {},
    ),
    Plot(
        "days",
        _strip_roles,
        _told_strip,
        strip,
        (("key-stem", "profit or loss"), ("key-second", "forecast"), ("key-off", "beyond it")),
        {"value": "percent", "line": "percent"},
    ),
    Plot(
        "forest",
        _forest_roles,
        _told_forest,
        forest,
        (("key-dot", "figure"), ("key-whisker", "interval"), ("key-tick", "expected, where given")),
        {},
    ),
    Plot(
        "ratios",
        _ratio_roles,
        _told_ratios,
        ratios,
        (("key-dot", "seen over expected"), ("key-limit", "as expected")),
        {},
    ),
)
