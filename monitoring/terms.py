"""A limit's text, read: its bound, its window, its detector; or why nobody can apply it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from monitoring.detectors import SEQUENTIAL, Choice, parse_detector
from monitoring.errors import DetectorError
from monitoring.following import Follower
from monitoring.windows import parse_window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitoring.metrics import Kind, Metric, R
    from monitoring.rows import Rows
    from monitoring.source import Limit


@dataclass(frozen=True, slots=True)
class Terms:
    """A limit's text, read."""

    bound: Decimal  # limit and tolerance together
    size: int | None  # of the window's blocks; None: everything
    choice: Choice

    @property
    def sequential(self) -> bool:
        """Whether it is watched outcome by outcome."""
        return self.choice.name == SEQUENTIAL


def read_terms(limit: Limit) -> Terms | str:
    """The terms of a limit, or why they cannot be read."""
    try:
        choice = parse_detector(limit.detector)
    except ValueError as error:
        return str(error)
    if limit.side not in {"min", "max"}:
        return f"side {limit.side!r} is neither min nor max"
    try:
        size = parse_window(limit.window)
        value, tolerance = Decimal(limit.limit), Decimal(limit.tolerance)
    except (ValueError, InvalidOperation):
        return f"limit {limit.limit!r}, tolerance {limit.tolerance!r}, window {limit.window!r}"
    if not (value.is_finite() and tolerance.is_finite() and tolerance >= 0):
        return f"limit {limit.limit!r} or tolerance {limit.tolerance!r} is no finite number"
    bound = value + tolerance if limit.side == "max" else value - tolerance
    return Terms(bound, size, choice)


def follower(
    kind: Kind[R],
    metric: Metric[R],
    limit: Limit,
    *,
    horizon_days: int | None = None,
    replaced_at: int | None = None,
) -> Follower[R] | str:
    """What follows a limit outcome by outcome, or why nothing can."""
    terms = read_terms(limit)
    if isinstance(terms, str):
        return terms
    watch = metric.watch
    if watch is None:
        able = ", ".join(m.name for m in kind.metrics if m.watch is not None)
        return f"e-sr cannot watch {metric.name}; it can watch {able}"
    if terms.size is not None:
        return f"e-sr reads outcome by outcome; its window is 'all', not {limit.window!r}"
    days = terms.choice.maturity_days
    maturity = horizon_days if days is None else days
    if maturity is None and not kind.series:
        return (
            "e-sr names no maturity: defaults are known before repayments, so labels must wait; "
            "write 'e-sr maturity_days=30'"
        )
    side, bound = limit.side, float(terms.bound)
    try:
        detector = watch.make(side, bound)
        if terms.choice.run_length is not None:
            detector = detector.with_run_length(terms.choice.run_length)
    except (DetectorError, ZeroDivisionError) as error:
        return str(error)

    def observe(rows: Rows[R]) -> NDArray[np.float64]:
        return watch.observe(rows, side, bound)

    return Follower(detector, kind.rows, observe, limit.leaf_index, replaced_at, maturity)


def problem_of(kind: Kind[Any], limit: Limit) -> tuple[str, str] | None:
    """Field and reason why a limit would judge nothing, for whoever is about to sign it."""
    metric = next((m for m in kind.metrics if m.name == limit.metric), None)
    if metric is None:
        return (
            "metric",
            f"a model of kind {kind.name} has: {', '.join(m.name for m in kind.metrics)}",
        )
    try:
        choice = parse_detector(limit.detector)
    except ValueError as error:
        return "detector", str(error)
    try:
        parse_window(limit.window)
    except ValueError:
        return "window", "expected all, or a count such as 250 or 250d"
    terms = read_terms(limit)
    if isinstance(terms, str):
        return "limit", terms
    if choice.name == SEQUENTIAL:
        found = follower(kind, metric, limit)
        if isinstance(found, str):
            return ("limit" if found.startswith("detector ") else "detector"), found
    return None
