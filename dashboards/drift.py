"""Drift measurements as the model's page lists them: a leading indicator, never a standing.

Two measures stand side by side for each column, as recorded; neither becomes a verdict here, and
none reaches a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards.words import NONE, figure, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS: Final = (
    "Column",
    "Moved",
    "Distance",
    "Its threshold",
    "PSI",
    "Its limit",
    "Rows now",
    "Missing now",
)
_MOVED: Final = {True: "moved", False: "within", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One recorded measurement of the inputs of one leaf range."""

    leaf: int
    event_time: str
    first_leaf: Any
    last_leaf: Any
    measured_with: str
    reference_digest: str
    share: str
    rows: tuple[tuple[str, ...], ...]


def lay_out(answer: Mapping[str, Any]) -> list[Measurement]:
    """What GET /v1/models/<name>/drift answers, newest first as served."""
    return [
        Measurement(
            leaf=item["leaf_index"],
            event_time=item["event_time"],
            first_leaf=item.get("first_leaf"),
            last_leaf=item.get("last_leaf"),
            measured_with=f"{item.get('library', '')} {item.get('version', '')}".strip(),
            reference_digest=str(item.get("reference_digest") or ""),
            share=percent(item.get("share_drifted")),
            rows=tuple(_row(column) for column in item.get("columns") or ()),
        )
        for item in answer.get("results") or ()
    ]


def _row(column: Mapping[str, Any]) -> tuple[str, ...]:
    drifted = column.get("drifted")
    missing = column.get("current_missing_share")
    return (
        str(column.get("column", "")),
        _MOVED.get(drifted, str(drifted)),
        figure(column.get("value")),
        figure(column.get("threshold")),
        figure(column.get("psi")),
        figure(column.get("psi_limit")),
        figure(column.get("current_rows")),
        NONE if missing is None else percent(missing),
    )
