"""Champion and challenger: the same requests answered by both, the difference taken pair by pair.

A difference has an interval. One that reaches across nought decides nothing, and the page says so;
which model goes into use is a person's decision, recorded in the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards import plots
from dashboards.axes import real
from dashboards.figures import Column, Figure
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
    interval: str
    evidence: Mapping[str, Any]

    @property
    def reading(self) -> str:
        """What the interval, looked at once, allows one to say."""
        low, high = real(self.low), real(self.high)
        if low is None or high is None:
            return "Too few pairs for an interval, so nothing can be said of the difference."
        if low <= 0 <= high:
            return "The interval holds nought: these pairs do not tell the two apart."
        way = "more" if low > 0 else "less"
        near, far = sorted((abs(low), abs(high)))
        return f"The challenger lost {way}, by {figure(f'{near:.6g}')} to {figure(f'{far:.6g}')}."

    @property
    def found(self) -> str:
        """What may be said however often one looks."""
        finding, needed = self.evidence.get("finding"), figure(self.evidence.get("needed"))
        if finding in ("challenger", "champion"):
            held = figure(self.evidence.get(f"{finding}_better"))
            return f"Evidence that the {finding} is better: {held}, past the {needed} it needs."
        better = figure(self.evidence.get("challenger_better"))
        worse = figure(self.evidence.get("champion_better"))
        return f"Evidence: {better} for the challenger, {worse} for the champion; {needed} decide."


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same requests."""

    champion: Mapping[str, Any]
    challenger: Mapping[str, Any]
    pairs: Any
    labelled: Any
    window: Mapping[str, Any]
    leaf: Any
    issued_at: str
    waiting: Any
    differences: tuple[Difference, ...]
    tables: tuple[Mapping[str, Any], ...]
    silent_on: str


def drawn(comparison: Comparison, ident: str) -> Figure | None:
    """The differences with their intervals around nought; None without any figure."""
    columns = (
        Column("Loss", "x"),
        Column("Champion"),
        Column("Challenger"),
        Column("Difference", "value"),
        Column("Low", "low"),
        Column("High", "high"),
        Column("Pairs", "n"),
    )
    rows = tuple(
        (d.title, d.champion, d.challenger, d.value, d.low, d.high, d.n)
        for d in comparison.differences
    )
    series = plots.Series.of(tuple(c.role for c in columns), rows)
    if not series.points:
        return None
    text = " ".join(f"{d.title}: {d.reading}" for d in comparison.differences)
    return Figure(
        ident=ident,
        kind="forest",
        title="Challenger less champion, pair by pair",
        told=text,
        drawn=plots.forest(series, ident, around=0.0),
        columns=columns,
        rows=rows,
        key=(
            ("key-dot", "difference"),
            ("key-whisker", "interval"),
            ("key-limit", "no difference"),
        ),
        facts={
            "comparison_leaf": comparison.leaf,
            "champion": comparison.champion.get("model_digest"),
            "challenger": comparison.challenger.get("model_digest"),
        },
    )


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
        issued_at=str(item.get("issued_at") or ""),
        waiting=item.get("waiting"),
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
        interval=str(item.get("interval") or ""),
        evidence=item.get("evidence") or {},
    )
