"""Small drawings beside figures that also stand in words: label maturity, contributions, zones.

Widths are percentages, so each fills its cell at every size. None of them is the only place where
its numbers can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from dashboards.words import figure, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

AMBER, RED = 5, 10  # first counts of the zones (Basel MAR32)
LIGHT_CELLS: Final = 16  # 15 and more exceedances share the last cell


def maturity(counts: Mapping[str, Any]) -> Markup:
    """Labelled, due but unlabelled, and not yet due, as one bar of shares of all predictions."""
    total = _value(counts.get("predictions")) or 0
    if not total:
        return Markup()
    labelled = (_value(counts.get("labelled")) or 0) / total * 100
    matured = (_value(counts.get("matured")) or 0) / total * 100
    due = max(0.0, matured - labelled)
    parts = [
        '<rect class="whole" x="0" y="0" width="100%" height="14"/>',
        f'<rect class="labelled" x="0" y="0" width="{labelled:.3f}%" height="14"/>',
        f'<rect class="owed" x="{labelled:.3f}%" y="0" width="{due:.3f}%" height="14"/>',
    ]
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="maturity" width="100%" height="14" aria-hidden="true">{"".join(parts)}</svg>'
    )


def bar(value: object, column: Sequence[object]) -> Markup:
    """A bar scaled to its column: from the left; from the middle if a value is negative."""
    found = _value(value) or 0.0
    numbers = [n for n in map(_value, column) if n is not None]
    most = max((abs(n) for n in numbers), default=0.0)
    both = any(n < 0 for n in numbers)
    zero = 50.0 if both else 0.0
    wide = (100 - zero) * min(1.0, abs(found) / most) if most else 0.0
    start = zero if found >= 0 else zero - wide
    side = "up" if found >= 0 else "down"
    return Markup(  # noqa: S704 - numbers only
        '<svg class="signed" width="100%" height="12" aria-hidden="true">'
        f'<rect class="{side}" x="{start:.2f}%" y="1" width="{wide:.2f}%" height="10"/>'
        f'<line x1="{zero:g}%" x2="{zero:g}%" y1="0" y2="12"/></svg>'
    )


def traffic_light(table: Mapping[str, Any], place: int = 0) -> Markup:
    """The Basel zones as a scale of counts, the count of one row of the table marked on it.

    Zones are told apart by their word and the height of their bar. Empty when the count is no
    number.
    """
    row = dict(zip(table["columns"], table["rows"][place], strict=False))
    seen = _value(row.get("Exceedances"))
    if seen is None:
        return Markup()
    cells = []
    for n in range(LIGHT_CELLS):
        zone = "green" if n < AMBER else "amber" if n < RED else "red"
        x, wide = 100 * n / LIGHT_CELLS, 100 / LIGHT_CELLS
        rise = {"green": 8, "amber": 14, "red": 20}[zone]
        here = min(int(seen), LIGHT_CELLS - 1) == n
        cells.append(
            f'<rect class="zone {zone}{" here" if here else ""}" x="{x + 0.3:.2f}%" '
            f'y="{24 - rise}" width="{wide - 0.6:.2f}%" height="{rise}"/>'
        )
        label = f"{n}+" if n == LIGHT_CELLS - 1 else str(n)
        cells.append(
            f'<text class="{"here" if here else ""}" x="{x + wide / 2:.2f}%" y="40" '
            f'text-anchor="middle">{label}</text>'
        )
    cells += [
        f'<text x="{100 * first / LIGHT_CELLS:.2f}%" y="57">{word}</text>'
        for first, word in ((0.1, "green"), (AMBER + 0.1, "amber"), (RED + 0.1, "red"))
    ]
    told = escape(f"{figure(seen)} exceedances, {row.get('Zone')} zone")
    return Markup(  # noqa: S704 - numbers, and text escaped above
        f'<svg class="light" width="100%" height="62" role="img" aria-label="{told}">'
        f"{''.join(cells)}</svg>"
    )


def _value(value: object) -> float | None:
    found = number(value)
    return None if found is None else float(found)
