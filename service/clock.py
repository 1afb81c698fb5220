"""Time as the records write it: UTC, milliseconds, a trailing Z."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # what ISO 8601 writes otherwise is no date here


def system_clock() -> datetime:
    """The machine's clock, in UTC. Its distance from true time is not known to us."""
    return datetime.now(UTC)


def utc_ms(moment: datetime) -> str:
    """`2026-11-25T03:20:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """Read an RFC 3339 time with a zone, or a plain date as its first instant in UTC.

    Raises ValueError for anything else, a time without a zone included. Never repeats the text.
    """
    try:
        moment = datetime.fromisoformat(text)
        if DATE.fullmatch(text):
            return moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        message = "expected a time with a zone, such as 2026-11-25T03:20:00Z, or a plain date"
        raise ValueError(message) from None
    message = "names no zone; write 2026-11-25T03:20:00Z"
    raise ValueError(message)
