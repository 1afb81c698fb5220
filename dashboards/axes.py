"""What every chart stands on: a scale with round ticks, grid lines, and how a point is placed.

Places are percentages across and pixels down, so a chart fills its cell at every width while text
and dots keep their size. Lines lie in an inner SVG that is stretched; their strokes are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import escape

from dashboards.words import figure, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOP, FOOT, SIDE = 14, 26, 1.5  # px above, px below for the dates, percent kept free at each side
GUTTER: Final = 52  # px for axis labels
LABEL: Final = 18  # px that a line of text needs


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to pixels down, from the place in a row of `n` to percent across."""

    low: float
    high: float
    height: int
    n: int

    def y(self, value: float) -> float:
        """Pixels from the top; what lies outside the scale is put on its edge."""
        span = self.height - TOP - FOOT
        share = (value - self.low) / (self.high - self.low)
        return round(TOP + span * (1 - min(1.0, max(0.0, share))), 2)

    def x(self, index: int) -> float:
        """Percent from the left of the point at this place."""
        if self.n == 1:
            return 50.0
        return round(SIDE + (100 - 2 * SIDE) * index / (self.n - 1), 3)


def ticks(low: float, high: float) -> list[float]:
    """Three to five round numbers around an extent that is not empty."""
    raw = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    start = math.floor(low / step + 1e-9)
    stop = math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(start, stop + 1)]


def widened(low: float, high: float) -> tuple[float, float]:
    """The extent, with room around a single value."""
    if low == high:
        return low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    return low, high


def grid(scale: Scale, found: Iterable[float]) -> list[str]:
    """A line for each tick."""
    return [
        f'<line class="grid" x1="0" x2="100%" y1="{scale.y(t)}" y2="{scale.y(t)}"/>' for t in found
    ]


def labels(scale: Scale, found: Iterable[float]) -> str:
    """The ticks in figures, for the column left of the plot."""
    return "".join(
        f'<text x="{GUTTER - 8}" y="{scale.y(t) + 4:g}" text-anchor="end">'
        f"{figure(f'{t:.10g}')}</text>"
        for t in found
    )


def ends(first: str, last: str | None, height: int) -> list[str]:
    """What the two ends of the horizontal axis are called."""
    y = height - 7
    shown = [f'<text class="date" x="0" y="{y}">{escape(first)}</text>']
    if last is not None:
        text = escape(last)
        shown.append(f'<text class="date" x="100%" y="{y}" text-anchor="end">{text}</text>')
    return shown


def stretched(shapes: Sequence[str], height: int) -> str:
    """Shapes in per-mille across and pixels down, as wide as the plot."""
    return (
        f'<svg x="0" y="0" width="100%" height="{height}" '
        f'viewBox="0 0 1000 {height}" preserveAspectRatio="none">{"".join(shapes)}</svg>'
    )


def framed(ident: str, scale: Scale, *, axis: str, body: Iterable[str]) -> str:
    """The column of labels and the plot beside it, for the eye: words and table are its figure's.

    The ends of the scale are named for the canvas, which keeps them.
    """
    height = scale.height
    return (
        f'<div class="chart" data-low="{scale.low:.10g}" data-high="{scale.high:.10g}">'
        f'<svg class="axis" width="{GUTTER}" height="{height}" aria-hidden="true">{axis}</svg>'
        f'<svg class="plot" id="{ident}-plot" width="100%" height="{height}" '
        f'aria-hidden="true">{"".join(body)}'
        f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{height - FOOT}" hidden="hidden"/>'
        "</svg></div>"
    )


def runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The values in stretches without a gap, each with its place."""
    found: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((i, value))
    return [run for run in found if run]


def beyond(value: float | None, limit: float | None, side: str) -> bool:
    """Whether a value lies on the far side of a limit, not on it."""
    if value is None or limit is None:
        return False
    return value > limit if side == "max" else value < limit if side == "min" else False


def real(value: object) -> float | None:
    """A finite number to draw with; None for anything else."""
    found = number(value)
    return None if found is None else float(found)
