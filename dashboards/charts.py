"""A metric's history as SVG, made on the server: no script, no inline style, sharp at every width.

It stands on paper, in a browser without scripts and where colours are forced; elsewhere
`static/charts.js` draws the same figures on a canvas, read from the table beside it.

A point beyond the limit is a square, others are dots: the shape says it, colour only helps. The
band is the reported interval. Hatching lies on the far side of the limit. What a chart shows stands
in a table beside it (`templates/_parts.html`), from the same points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from dashboards.axes import (
    FOOT,
    LABEL,
    TOP,
    Scale,
    beyond,
    ends,
    framed,
    grid,
    labels,
    real,
    runs,
    stretched,
    ticks,
    widened,
)
from dashboards.words import figure, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.correctness import Estimate, Point

DOTS_MAX: Final = 60  # past this many points only those beyond the limit get a shape
SPARK: Final = (132, 34)  # px of a history in a line of the register


def history(estimate: Estimate, *, ident: str, height: int = 210) -> Markup:
    """A metric's history with its limit and interval; empty Markup when there is no figure."""
    points = estimate.history
    values = [real(p.value) for p in points]
    if not any(v is not None for v in values):
        return Markup()
    limit = real(estimate.limit)
    marks = ticks(*_extent(points, values, limit))
    scale = Scale(marks[0], marks[-1], height, len(points))
    off = [beyond(v, limit, estimate.limit_side) for v in values]
    body = [
        _defs(ident),
        *grid(scale, marks),
        *_limit(scale, limit, estimate.limit_side, ident),
        *_limit_label(scale, limit, estimate, values),
        _lines(scale, points, values),
        *_dots(scale, values, off),
        *ends(start(points[0].window), end(points[-1].window) if points[1:] else None, height),
    ]
    drawn = framed(ident, scale, axis=labels(scale, marks), body=body)
    return Markup(drawn)  # noqa: S704 - numbers, and text escaped where it enters


def spark(estimate: Estimate) -> Markup:
    """A history without axes for a line of a table; decoration beside figures in words."""
    values = [real(p.value) for p in estimate.history]
    seen = [v for v in values if v is not None]
    if len(seen) < 2:  # noqa: PLR2004 - one point is no line
        return Markup()
    limit = real(estimate.limit)
    core = [*seen, limit] if limit is not None else seen
    low, high = widened(min(core), max(core))
    wide, tall = SPARK

    def place(i: int, v: float) -> str:
        across = 3 + (wide - 6) * i / (len(values) - 1)
        return f"{across:.1f},{3 + (tall - 6) * (high - v) / (high - low):.1f}"

    shapes = [
        f'<polyline class="line" points="{" ".join(place(i, v) for i, v in run)}"/>'
        for run in runs(values)
    ]
    if limit is not None:
        y = place(0, limit).split(",")[1]
        shapes.insert(0, f'<line class="limit" x1="0" x2="{wide}" y1="{y}" y2="{y}"/>')
    last = max(i for i, v in enumerate(values) if v is not None)
    x, y = place(last, values[last] or 0.0).split(",")
    if beyond(values[last], limit, estimate.limit_side):
        shapes.append(f'<rect class="off" x="{float(x) - 3:.1f}" y="{float(y) - 3:.1f}" '
                      'width="6" height="6"/>')  # fmt: skip
    else:
        shapes.append(f'<circle class="dot" cx="{x}" cy="{y}" r="2.6"/>')
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="spark" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}" '
        f'aria-hidden="true">{"".join(shapes)}</svg>'
    )


def stray(estimate: Estimate) -> bool:
    """Whether a window of the history lies beyond a limit that raised no alarm."""
    return estimate.standing != "alarm" and crossed(estimate) > 0


def crossed(estimate: Estimate) -> int:
    """In how many windows of the history the limit was crossed."""
    limit = real(estimate.limit)
    return sum(beyond(real(p.value), limit, estimate.limit_side) for p in estimate.history)


def told(estimate: Estimate) -> str:
    """The chart in words: latest value, trend, limit."""
    unit = estimate.unit
    seen = [p for p in estimate.history if real(p.value) is not None]
    if not seen:
        return f"{estimate.title}: no closed window yet."
    first, last = seen[0], seen[-1]
    text = f"{estimate.title}: {figure(last.value, unit)} in the newest window"
    text += f" (to {end(last.window)})"
    if len(seen) > 1:
        a, b = figure(first.value, unit), figure(last.value, unit)
        way = "up from" if (real(last.value) or 0) > (real(first.value) or 0) else "down from"
        text += f", {'as in' if a == b else way + ' ' + a + ' in'} the first of {len(seen)}"
    if real(estimate.limit) is None:
        return f"{text}. No limit was signed for it."
    side = {"max": "at most", "min": "at least"}.get(estimate.limit_side, "at")
    text += f". The signed limit is {side} {figure(estimate.limit, unit)}"
    n = crossed(estimate)
    return f"{text}: crossed in {plural(n, 'window') if n else 'no window'}."


def start(window: str) -> str:
    """The first day, or prediction, of a window."""
    return window.split(" to ", 1)[0]


def end(window: str) -> str:
    """The last day, or prediction, of a window."""
    return window.rsplit(" to ", 1)[-1]


def _extent(
    points: Sequence[Point], values: Sequence[float | None], limit: float | None
) -> tuple[float, float]:
    """What the axis must hold; a very wide interval is cut to three spans of the values."""
    core = [v for v in [*values, limit] if v is not None]
    low, high = min(core), max(core)
    room = 3 * (high - low) or abs(high) or 1.0
    edges = [e for p in points for e in (real(p.low), real(p.high)) if e is not None]
    if edges:
        low, high = min(low, max(min(edges), low - room)), max(high, min(max(edges), high + room))
    if limit is not None and limit == low and limit != 0:
        low -= (high - low) / 8  # room for the hatching on the far side of the limit
    if limit is not None and limit == high:
        high += (high - low) / 8
    return widened(low, high)


def _defs(ident: str) -> str:
    return (
        f'<defs><pattern id="{ident}-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path class="hatch" d="M-1 7L7-1M-1 1L1-1M5 7L7 5"/></pattern></defs>'
    )


def _limit(scale: Scale, limit: float | None, side: str, ident: str) -> list[str]:
    if limit is None:
        return []
    y, top, floor = scale.y(limit), TOP, scale.height - FOOT
    area = {"max": (top, y - top), "min": (y, floor - y)}.get(side)
    hatched = ""
    if area and area[1] > 0:
        hatched = (
            f'<rect class="beyond-limit" x="0" y="{area[0]:g}" width="100%" '
            f'height="{area[1]:g}" fill="url(#{ident}-hatch)"/>'
        )
    return [hatched, f'<line class="limit" x1="0" x2="100%" y1="{y}" y2="{y}"/>']


def _limit_label(
    scale: Scale, limit: float | None, estimate: Estimate, values: Sequence[float | None]
) -> list[str]:
    """The limit in words, at that end and side of its line where the data stay farthest off."""
    if limit is None:
        return []
    y, quarter = scale.y(limit), max(1, len(values) // 4)
    sides = (("99%", "end", values[-quarter:]), ("1%", "start", values[:quarter]))
    places = [y - 5] * (y > TOP + LABEL) + [y + 14] * (y < scale.height - FOOT - LABEL)

    def room(place: float, part: Sequence[float | None]) -> float:
        middle = place - 4
        return min((abs(scale.y(v) - middle) for v in part if v is not None), default=scale.height)

    place, (x, anchor, _) = max(
        ((place, side) for place in places or [y - 5] for side in sides),
        key=lambda option: min(2 * LABEL, room(option[0], option[1][2])),
    )
    word = {"max": "at most", "min": "at least"}.get(estimate.limit_side, "limit")
    text = escape(f"{word} {figure(estimate.limit, estimate.unit)}")
    return [f'<text class="limit-label" x="{x}" y="{place:g}" text-anchor="{anchor}">{text}</text>']


def _lines(scale: Scale, points: Sequence[Point], values: Sequence[float | None]) -> str:
    """Band and line, gaps where no figure was given; a lone point gets a whisker."""
    shapes, single = [], []
    for run in runs(values):
        line = " ".join(f"{scale.x(i) * 10:g},{scale.y(v)}" for i, v in run)
        edges = [(i, real(points[i].low), real(points[i].high)) for i, _ in run]
        full = [(i, a, b) for i, a, b in edges if a is not None and b is not None]
        if len(run) > 1 and len(full) == len(run):
            upper = [f"{scale.x(i) * 10:g},{scale.y(b)}" for i, _, b in full]
            lower = [f"{scale.x(i) * 10:g},{scale.y(a)}" for i, a, _ in full]
            shapes.append(f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>')
        elif len(run) == 1:
            single += [
                f'<line class="whisker" x1="{scale.x(i)}%" x2="{scale.x(i)}%" '
                f'y1="{scale.y(a)}" y2="{scale.y(b)}"/>'
                for i, a, b in full
            ]
        shapes.append(f'<polyline class="line" points="{line}"/>')
    return stretched(shapes, scale.height) + "".join(single)


def _dots(scale: Scale, values: Sequence[float | None], off: Sequence[bool]) -> list[str]:
    """One shape a point, telling the script which line of the table is its own."""
    shapes = []
    for i, value in enumerate(values):
        if value is None:
            continue
        x, y = scale.x(i), scale.y(value)
        plain = len(values) > DOTS_MAX and i != len(values) - 1
        if off[i]:
            shapes.append(
                f'<svg class="pt" x="{x}%" y="0" overflow="visible" data-x="{x}%" data-i="{i}">'
                f'<rect class="off" x="-4" y="{y - 4:g}" width="8" height="8"/></svg>'
            )
        else:
            shapes.append(
                f'<circle class="pt dot" cx="{x}%" cy="{y}" r="{0 if plain else 3.2}" '
                f'data-x="{x}%" data-i="{i}"/>'
            )
    return shapes
