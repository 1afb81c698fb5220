"""Where is it worst? Defaults against promised probabilities, slice by slice.

**Worst slices.** Every input is cut at the quarters of the labelled rows, missing values apart. In
each slice with enough rows the defaults seen are compared with the sum of probabilities, in
standard deviations of a calibrated model. Many slices are looked at, so each p-value is multiplied
by how many (Bonferroni): a small one is hard to explain by having searched.

**Groups** are attributes that no model may use, such as sex, marital status or age. They are shown
side by side, with counts and intervals, and judged by nobody: this page knows no threshold for
fairness, and different accepted ones contradict each other.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring import performance
from monitoring.metrics import Table, decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitoring.rows import Rows

FEWEST = 50  # rows of a slice: below, one default decides
FEWEST_OF_EACH = 5  # defaults and repayments for a ranking
SHOWN = 8
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that share a value, or a quarter of an input."""

    name: str
    n: int
    defaults: int
    expected: float
    p_value: float  # two-sided, not yet multiplied


def worst(rows: Rows[Any]) -> tuple[list[Slice], int]:
    """The slices furthest from what was promised, and how many were looked at."""
    found = list(_slices(rows))
    return sorted(found, key=lambda s: (s.p_value, s.name))[:SHOWN], len(found)


def worst_table(rows: Rows[Any]) -> list[Table]:
    """Nothing when the predictions carry no inputs."""
    found, looked_at = worst(rows)
    if not found:
        return []
    return [
        Table(
            f"Worst of {looked_at} slices of the inputs",
            ("Slice", "Labelled", "Defaults", "Expected", "Seen over expected", "p, all counted"),
            tuple(
                (
                    s.name,
                    str(s.n),
                    str(s.defaults),
                    decimal_text(s.expected, 1),
                    decimal_text(s.defaults / s.expected, 3),
                    decimal_text(min(1.0, s.p_value * looked_at), 4),
                )
                for s in found
            ),
        )
    ]


def group_tables(rows: Rows[Any]) -> list[Table]:
    """One table per attribute that was recorded beside the predictions."""
    return [_group_table(rows, name) for name in sorted(rows.labelled.rows.groups)]


def _slices(rows: Rows[Any]) -> Iterator[Slice]:
    pd, default = rows.columns["pd"], rows.columns["default"]
    for name in sorted(rows.labelled.rows.features):
        values = rows.feature(name)
        here = values[~np.isnan(values)]
        if not len(here):
            continue
        ordered = np.sort(here)
        edges = np.unique(ordered[[len(ordered) * q // QUARTERS for q in (1, 2, 3)]])
        edges = edges[edges > ordered[0]]
        place = np.searchsorted(edges, values, side="right")
        place[np.isnan(values)] = len(edges) + 1
        names = [*_names(name, ordered[0], edges, ordered[-1]), f"{name}: missing"]
        size = len(names)
        n = np.bincount(place, minlength=size)
        seen = np.bincount(place, weights=default, minlength=size)
        expected = np.bincount(place, weights=pd, minlength=size)
        spread = np.bincount(place, weights=pd * (1 - pd), minlength=size)
        for at in np.flatnonzero((n >= FEWEST) & (spread > 0)).tolist():
            z = abs(seen[at] - expected[at]) / math.sqrt(spread[at])
            chance = math.erfc(z / math.sqrt(2))
            yield Slice(names[at], int(n[at]), int(seen[at]), float(expected[at]), chance)


def _names(name: str, low: float, edges: NDArray[np.float64], high: float) -> list[str]:
    if not len(edges):
        return [f"{name}: {low:g}" if low == high else f"{name}: {low:g} to {high:g}"]
    inner = [f"{name}: from {a:g} below {b:g}" for a, b in itertools.pairwise(edges)]
    return [f"{name}: below {edges[0]:g}", *inner, f"{name}: from {edges[-1]:g}"]


def _group_table(rows: Rows[Any], name: str) -> Table:
    labelled = rows.labelled
    groups = labelled.rows.groups[name].take(labelled.at_row)
    approved = labelled.rows.decision.each(lambda text: text == "approve", bool, absent=False)
    shown = []
    for code, value in sorted(enumerate(groups.table), key=lambda pair: pair[1]):
        chosen = groups.codes == code
        if int(chosen.sum()) >= FEWEST:
            pd, default = rows.columns["pd"][chosen], rows.columns["default"][chosen]
            shown.append(_group_row(value, pd, default, approved[labelled.at_row[chosen]]))
    columns = (
        name, "Labelled", "Approved", "Default rate", "Low 95%", "High 95%", "Mean PD",
        "Seen over expected", "AUC", "Low 95%", "High 95%",
    )  # fmt: skip
    return Table(
        f"Groups by {name}; no model input, and no threshold for fairness", columns, tuple(shown)
    )


def _group_row(
    value: str, pd: NDArray[np.float64], default: NDArray[Any], approved: NDArray[np.bool_]
) -> tuple[str, ...]:
    n, bad, expected = len(pd), int(default.sum()), performance.exact_sum(pd)
    low, high = performance.wilson(bad, n)
    ranking: tuple[str, ...] = ("", "", "")
    if min(bad, n - bad) >= FEWEST_OF_EACH:
        auc = performance.auc(pd, default)
        ranking = tuple(decimal_text(v or 0.0, 4) for v in (auc.value, auc.low, auc.high))
    shares = (int(approved.sum()) / n, bad / n, low, high, expected / n)
    return (
        value, str(n), *(decimal_text(s, 4) for s in shares),
        decimal_text(bad / expected, 3), *ranking,
    )  # fmt: skip
