"""Every error monitoring raises. The constructor takes the facts and writes the sentence.

A thin sample, a missing label or a late limit is no error: it is a standing in the report, with its
reason. Errors are for what the caller must repair.
"""

from __future__ import annotations


class MonitoringError(Exception):
    """Root of every error of this package."""


class SourceOrderError(MonitoringError):
    """A source yields entries out of ledger order, or one beyond the range asked for."""

    def __init__(self, what: str, *, previous: int, found: int, last: int) -> None:
        super().__init__(
            f"{what} at leaf {found} came after leaf {previous} in a range ending at leaf {last}"
        )
        self.previous = previous
        self.found = found
        self.last = last


class DetectorError(MonitoringError):
    """A detector's parameters, its state and an observation do not go together."""

    def __init__(self, detector: str, reason: str) -> None:
        super().__init__(f"detector {detector}: {reason}")
        self.detector = detector
        self.reason = reason


class DriftInputError(MonitoringError):
    """A drift measurement cannot start on these rows."""

    def __init__(self, side: str, reason: str) -> None:
        super().__init__(f"drift, {side} rows: {reason}")
        self.side = side
        self.reason = reason


class DriftError(MonitoringError):
    """The child process that measures drift gave no result."""

    def __init__(self, reason: str, *, exit_code: int | None, said: str) -> None:
        super().__init__(f"drift was not measured: {reason} (exit {exit_code}): {said[-400:]}")
        self.reason = reason
        self.exit_code = exit_code
        self.said = said
