"""Champion and challenger: the same requests answered by both, the difference taken pair by pair.

A difference has an interval. One that reaches across nought decides nothing, and the page says so;
which model goes into use is a person's decision, recorded in the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.axes import real
from dashboards.words import figure, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Difference:
    """One paired difference, challenger less champion."""

    title: str
    value: Any
    low: Any
    high: Any
    n: Any
    unit: str
    champion: Any
    challenger: Any
    meaning: str

    @property
    def reading(self) -> str:
        """What the interval allows one to say."""
        low, high = real(self.low), real(self.high)
        if low is None or high is None:
            return "No interval, so nothing can be said of the difference."
        if low <= 0 <= high:
            return "The interval holds nought: these pairs do not tell the two apart."
        way = "higher" if low > 0 else "lower"
        return f"The challenger's figure is {way} by {figure(self.low)} to {figure(self.high)}."


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same requests."""

    champion: Mapping[str, Any]
    challenger: Mapping[str, Any]
    pairs: Any
    labelled: Any
    window: Mapping[str, Any]
    leaf: Any
    differences: tuple[Difference, ...]
    tables: tuple[Mapping[str, Any], ...]
    silent_on: str


def lay_out(body: Mapping[str, Any] | None) -> list[Comparison]:
    """Every comparison the API serves of a model, as served."""
    if not body:
        return []
    items = body.get("comparisons") or ([body] if body.get("differences") else [])
    return [_one(item) for item in items]


def _one(item: Mapping[str, Any]) -> Comparison:
    return Comparison(
        champion=item.get("champion") or {},
        challenger=item.get("challenger") or {},
        pairs=item.get("pairs"),
        labelled=item.get("labelled"),
        window=item.get("window") or {},
        leaf=item.get("leaf_index"),
        differences=tuple(_difference(d) for d in item.get("differences") or ()),
        tables=tuple(item.get("tables") or ()),
        silent_on=str(item.get("does_not_say") or ""),
    )


def _difference(item: Mapping[str, Any]) -> Difference:
    return Difference(
        title=str(item.get("title") or sentence(item.get("metric", ""))),
        value=item.get("value", item.get("difference")),
        low=item.get("low"),
        high=item.get("high"),
        n=item.get("n"),
        unit=str(item.get("unit") or ""),
        champion=item.get("champion"),
        challenger=item.get("challenger"),
        meaning=str(item.get("meaning") or ""),
    )
