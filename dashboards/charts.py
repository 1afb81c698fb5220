"""Charts as SVG, made on the server: no script, no inline style, sharp at every width.

A chart is two SVGs in a grid: a fixed column of axis labels and a plot as wide as its cell. In the
plot, places are percentages across and pixels down, so text and dots keep their size at 360 and at
1600 pixels; lines lie in an inner SVG that is stretched, their strokes are not.

A point beyond the limit is a square, others are dots: the shape says it, colour only helps. The
band is the reported interval. Hatching lies on the far side of the limit. What a chart shows stands
in a table beside it (`templates/_parts.html`), from the same points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from dashboards.words import count, figure, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dashboards.correctness import Estimate, Point

TOP, FOOT, SIDE = 14, 26, 1.5  # px above, px below for the dates, percent kept free at each side
DOTS_MAX: Final = 60  # past this many points only those beyond the limit get a shape
AMBER, RED, LIGHT_CELLS = (
    5,
    10,
    16,
)  # first counts of the zones (Basel MAR32); 15 and more share one
GUTTER: Final = 52  # px for axis labels
LABEL: Final = 18  # px that a line of text needs


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    height: int
    n: int

    def y(self, value: float) -> float:
        span = self.height - TOP - FOOT
        share = (value - self.low) / (self.high - self.low)
        return round(TOP + span * (1 - min(1.0, max(0.0, share))), 2)

    def x(self, index: int) -> float:
        if self.n == 1:
            return 50.0
        return round(SIDE + (100 - 2 * SIDE) * index / (self.n - 1), 3)


def history(estimate: Estimate, *, ident: str, height: int = 190) -> Markup:
    """A metric's history with its limit and interval; empty Markup when there is no figure."""
    points = estimate.history
    values = [_float(p.value) for p in points]
    if not any(v is not None for v in values):
        return Markup()
    limit = _float(estimate.limit)
    ticks = _ticks(_extent(points, values, limit))
    scale = _Scale(ticks[0], ticks[-1], height, len(points))
    beyond = [_is_beyond(v, limit, estimate.limit_side) for v in values]
    body = [
        _defs(ident),
        *_grid(scale, ticks),
        *_limit(scale, limit, estimate.limit_side, ident),
        *_limit_label(scale, limit, estimate, values),
        _lines(scale, points, values),
        *_dots(scale, points, values, beyond, estimate.unit),
        *_dates(points, height),
        f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{height - FOOT}" hidden="hidden"/>',
    ]
    labels = "".join(
        f'<text x="{GUTTER - 8}" y="{scale.y(t) + 4:g}" text-anchor="end">'
        f"{figure(f'{t:.10g}')}</text>"
        for t in ticks
    )
    return Markup(  # noqa: S704 - numbers, and text escaped where it enters
        f'<div class="chart"><svg class="axis" width="{GUTTER}" height="{height}" '
        f'aria-hidden="true">{labels}</svg>'
        f'<svg class="plot" id="{ident}" width="100%" height="{height}" role="img" '
        f'aria-label="{escape(_told(estimate))}">{"".join(body)}</svg></div>'
    )


def stray(estimate: Estimate) -> bool:
    """Whether a window of the history lies beyond a limit that raised no alarm."""
    limit = _float(estimate.limit)
    return estimate.standing != "alarm" and any(
        _is_beyond(_float(p.value), limit, estimate.limit_side) for p in estimate.history
    )


def _told(estimate: Estimate) -> str:
    """The chart in one sentence for whoever does not see it."""
    seen = [p for p in estimate.history if number(p.value) is not None]
    first, last = seen[0], seen[-1]
    unit = estimate.unit
    text = (
        f"{estimate.title} over {len(estimate.history)} windows: "
        f"{figure(first.value, unit)} in {first.window}, "
        f"{figure(last.value, unit)} in {last.window}"
    )
    if number(estimate.limit) is not None:
        text += f"; limit {figure(estimate.limit, unit)}"
    return f"{text}. The table beside it holds every figure."


def _extent(
    points: Sequence[Point], values: Sequence[float | None], limit: float | None
) -> tuple[float, float]:
    """What the axis must hold; a very wide interval is cut to three spans of the values."""
    core = [v for v in [*values, limit] if v is not None]
    low, high = min(core), max(core)
    room = 3 * (high - low) or abs(high) or 1.0
    edges = [e for p in points for e in (_float(p.low), _float(p.high)) if e is not None]
    if edges:
        low, high = min(low, max(min(edges), low - room)), max(high, min(max(edges), high + room))
    if limit is not None and limit == low and limit != 0:
        low -= (high - low) / 8  # room for the hatching on the far side of the limit
    if limit is not None and limit == high:
        high += (high - low) / 8
    if low == high:
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    return low, high


def _ticks(extent: tuple[float, float]) -> list[float]:
    """Three to five round numbers around the extent."""
    low, high = extent
    raw = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    start = math.floor(low / step + 1e-9)
    stop = math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(start, stop + 1)]


def _defs(ident: str) -> str:
    return (
        f'<defs><pattern id="{ident}-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path class="hatch" d="M-1 7L7-1M-1 1L1-1M5 7L7 5"/></pattern></defs>'
    )


def _grid(scale: _Scale, ticks: Iterable[float]) -> list[str]:
    return [
        f'<line class="grid" x1="0" x2="100%" y1="{scale.y(t)}" y2="{scale.y(t)}"/>' for t in ticks
    ]


def _limit(scale: _Scale, limit: float | None, side: str, ident: str) -> list[str]:
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
    scale: _Scale, limit: float | None, estimate: Estimate, values: Sequence[float | None]
) -> list[str]:
    """The limit in words, at that end and side of its line where the data stay farthest off."""
    if limit is None:
        return []
    y, quarter = scale.y(limit), max(1, len(values) // 4)
    ends = (("99%", "end", values[-quarter:]), ("1%", "start", values[:quarter]))
    places = [y - 5] * (y > TOP + LABEL) + [y + 14] * (y < scale.height - FOOT - LABEL)

    def room(place: float, part: Sequence[float | None]) -> float:
        middle = place - 4
        return min((abs(scale.y(v) - middle) for v in part if v is not None), default=scale.height)

    place, (x, anchor, _) = max(
        ((place, end) for place in places or [y - 5] for end in ends),
        key=lambda option: min(2 * LABEL, room(option[0], option[1][2])),
    )
    word = {"max": "at most", "min": "at least"}.get(estimate.limit_side, "limit")
    text = escape(f"{word} {figure(estimate.limit, estimate.unit)}")
    return [f'<text class="limit-label" x="{x}" y="{place:g}" text-anchor="{anchor}">{text}</text>']


def _lines(scale: _Scale, points: Sequence[Point], values: Sequence[float | None]) -> str:
    """Band and line, in per-mille across and pixels down, gaps where no figure was given."""
    shapes = []
    for run in _runs(values):
        line = " ".join(f"{scale.x(i) * 10:g},{scale.y(v)}" for i, v in run)
        edges = [(i, _float(points[i].low), _float(points[i].high)) for i, _ in run]
        if len(run) > 1 and all(a is not None and b is not None for _, a, b in edges):
            upper = [f"{scale.x(i) * 10:g},{scale.y(b)}" for i, _, b in edges if b is not None]
            lower = [f"{scale.x(i) * 10:g},{scale.y(a)}" for i, a, _ in edges if a is not None]
            shapes.append(f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>')
        shapes.append(f'<polyline class="line" points="{line}"/>')
    inner = (
        f'<svg x="0" y="0" width="100%" height="{scale.height}" '
        f'viewBox="0 0 1000 {scale.height}" preserveAspectRatio="none">{"".join(shapes)}</svg>'
    )
    single = [
        f'<line class="whisker" x1="{scale.x(i)}%" x2="{scale.x(i)}%" '
        f'y1="{scale.y(low)}" y2="{scale.y(high)}"/>'
        for run in _runs(values)
        if len(run) == 1
        for i, _ in run
        for low, high in [(_float(points[i].low), _float(points[i].high))]
        if low is not None and high is not None
    ]
    return inner + "".join(single)


def _dots(
    scale: _Scale,
    points: Sequence[Point],
    values: Sequence[float | None],
    beyond: Sequence[bool],
    unit: str,
) -> list[str]:
    shapes = []
    for i, value in enumerate(values):
        if value is None:
            continue
        x, y = scale.x(i), scale.y(value)
        told = escape(_point_text(points[i], unit, beyond=beyond[i]))
        plain = len(values) > DOTS_MAX and i != len(values) - 1
        if beyond[i]:
            shape = f'<rect class="off" x="-4" y="{y - 4:g}" width="8" height="8"/>'
            shapes.append(
                f'<svg class="pt" x="{x}%" y="0" overflow="visible" data-x="{x}%" '
                f'data-told="{told}">{shape}</svg>'
            )
        else:
            radius = 0 if plain else 3.2
            shapes.append(
                f'<circle class="pt dot" cx="{x}%" cy="{y}" r="{radius}" data-x="{x}%" '
                f'data-told="{told}"/>'
            )
    return shapes


def _point_text(point: Point, unit: str, *, beyond: bool) -> str:
    text = f"{point.window}: {figure(point.value, unit)}"
    if number(point.low) is not None and number(point.high) is not None:
        text += f" ({figure(point.low, unit)} to {figure(point.high, unit)})"
    if number(point.n) is not None:
        text += f", n = {count(point.n)}"
    return f"{text}, beyond the limit" if beyond else text


def _dates(points: Sequence[Point], height: int) -> list[str]:
    first, last = escape(_start(points[0].window)), escape(_end(points[-1].window))
    y = height - 7
    shown = [f'<text class="date" x="0" y="{y}">{first}</text>']
    if len(points) > 1:
        shown.append(f'<text class="date" x="100%" y="{y}" text-anchor="end">{last}</text>')
    return shown


def _start(window: str) -> str:
    return window.split(" to ", 1)[0]


def _end(window: str) -> str:
    return window.rsplit(" to ", 1)[-1]


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((i, value))
    return [run for run in runs if run]


def _is_beyond(value: float | None, limit: float | None, side: str) -> bool:
    if value is None or limit is None:
        return False
    return value > limit if side == "max" else value < limit if side == "min" else False


def _float(value: object) -> float | None:
    found = number(value)
    return None if found is None else float(found)
