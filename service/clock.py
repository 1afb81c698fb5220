"""Time as the records write it: UTC, milliseconds, a trailing Z."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's clock, in UTC. Its distance from true time is not known to us."""
    return datetime.now(UTC)


def utc_ms(moment: datetime) -> str:
    """`2026-11-25T03:20:00.123Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{moment.microsecond // 1000:03d}Z"
    )


def parse_utc(text: str) -> datetime:
    """Read an RFC 3339 time with a zone, or a plain date as its first instant in UTC.

    Raises ValueError for anything else, a time without a zone included.
    """
    if len(text) == len("2026-11-25"):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"{text!r} names no zone; write 2026-11-25T03:20:00Z"
        raise ValueError(message)
    return moment.astimezone(UTC)
