"""The two marks, after those struck into metal once it was assayed.

An octagon with a tree stands for "Computed honestly", an oval with a balance for "Computed
correctly": told apart by outline, sign and word before colour. The state is drawn, not tinted:

- struck     the field is solid and the sign cut out of it
- cancelled  the outline is broken by a bar, as an assay office defaces a mark
- unstruck   the outline is dashed: nothing was struck yet

Marks are decoration beside their words, hence hidden from screen readers.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

STATES: Final = ("struck", "cancelled", "unstruck")

_OUTLINES: Final = {
    "honesty": (
        '<path class="field" d="M21 2h30l19 19v30L51 70H21L2 51V21z"/>'
        '<path class="rim" d="M23 7h26l16 16v26L49 65H23L7 49V23z"/>'
    ),
    "correctness": (
        '<ellipse class="field" cx="36" cy="36" rx="34" ry="28"/>'
        '<ellipse class="rim" cx="36" cy="36" rx="29" ry="23"/>'
    ),
}
_SIGNS: Final = {
    "honesty": (
        '<g class="sign"><path d="M36 23v6M36 29L25 37M36 29l11 8M25 43l-6 7M25 43l6 7'
        'M47 43l-6 7M47 43l6 7"/>'
        '<circle cx="36" cy="20" r="4"/><circle cx="25" cy="40" r="3.4"/>'
        '<circle cx="47" cy="40" r="3.4"/><circle cx="19" cy="52" r="2.6"/>'
        '<circle cx="31" cy="52" r="2.6"/><circle cx="41" cy="52" r="2.6"/>'
        '<circle cx="53" cy="52" r="2.6"/></g>'
    ),
    "correctness": (
        '<g class="sign"><path d="M36 21v29M29 51h14M18 27h36M18 27l-5 13M18 27l5 13'
        'M54 27l-5 13M54 27l5 13"/><path class="pan" d="M12 40h12a6 6 0 0 1-12 0z"/>'
        '<path class="pan" d="M48 40h12a6 6 0 0 1-12 0z"/><circle cx="36" cy="21" r="2.6"/></g>'
    ),
}
_BARS: Final = {"honesty": "M8 64L64 8", "correctness": "M10 60L62 12"}


def mark(report: str, state: str, size: int = 72) -> Markup:
    """The mark of `report` (honesty or correctness) in one of STATES, `size` pixels wide."""
    assert report in _OUTLINES  # noqa: S101 - our own templates name it
    assert state in STATES  # noqa: S101
    bar = _BARS[report]
    cut = ""
    if state == "cancelled":
        cut = f'<path class="gap" d="{bar}"/><path class="bar" d="{bar}"/>'
    return Markup(  # noqa: S704 - built from the constants above and an integer
        f'<svg class="mark {report} {state}" viewBox="0 0 72 72" width="{int(size)}" '
        f'height="{int(size)}" aria-hidden="true" focusable="false">'
        f"{_OUTLINES[report]}{_SIGNS[report]}{cut}</svg>"
    )
