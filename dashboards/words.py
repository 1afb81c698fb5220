"""Words and numbers as the pages print them: one spelling for each, never a judgement of its own.

Times are UTC, to the second, in a `<time>` that a small script completes with the reader's zone.
Figures keep the digits that were reported, cut to four decimals; nothing is computed from them.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from markupsafe import Markup, escape

NONE: Final = "\N{EN DASH}"
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HEX = re.compile(r"(sha256:)?([0-9a-f]{16,})")
_TINY = Decimal("0.0001")  # smaller than the last decimal shown
_VAST = Decimal(10) ** 15  # longer than a cell; no count here comes near
_SUFFIXES: Final = {"percent": "%", "percent a day": "%"}

VERDICTS: Final = {
    "VERIFIED": ("struck", "Verified"),
    "FAILED": ("cancelled", "Failed"),
    "NOT_CHECKED": ("unstruck", "Not checked"),
}
STANDINGS: Final = {
    "no_alarm": ("struck", "No alarm"),
    "alarm": ("cancelled", "Alarm"),
    "not_yet_judgeable": ("unstruck", "Not yet judgeable"),
    "exploratory": ("unstruck", "Exploratory"),
}
KINDS: Final = {
    "credit": "Credit decision",
    "value_at_risk": "Value at risk",
    "signal": "Trading signal",
}
ENTRY_TYPES: Final = {
    "key.added": "Key added",
    "key.rotated": "Key replaced",
    "key.revoked": "Key revoked",
    "model.published": "Model published",
    "model.validated": "Model validated",
    "model.approved": "Model approved",
    "model.promoted": "Model promoted",
    "model.withdrawn": "Model withdrawn",
    "prediction": "Prediction",
    "refusal": "Refusal",
    "outcome": "Outcome",
    "limits": "Limit signed",
    "policy": "Monitoring policy signed",
    "alarm": "Alarm raised",
    "alarm.acknowledged": "Alarm acknowledged",
    "alarm.commented": "Alarm commented on",
    "alarm.closed": "Alarm closed",
    "alarm.delivered": "Alarm delivered",
    "model.halted": "Model halted",
    "model.resumed": "Model resumed",
    "drift": "Drift measured",
    "report": "Report issued",
    "seal": "Period sealed",
    "timestamp": "Seal time-stamped",
    "erasure": "Openings erased",
    "hold.placed": "Legal hold placed",
    "hold.lifted": "Legal hold lifted",
}


def number(value: object) -> Decimal | None:
    """A finite decimal from an integer, a float or decimal text; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def figure(value: object, unit: str | None = None) -> str:
    """A figure to about four digits, at most four decimals, grouped, with its unit."""
    found = number(value)
    if found is None:
        return NONE if value in (None, "") else str(value)
    if not found:
        text = "0.0000" if "." in str(value) else "0"  # rounded to nothing, or nothing
    elif abs(found) < _TINY or abs(found) >= _VAST:
        text = f"{found:.1e}"
    elif found != found.to_integral_value():
        decimals = max(1, 4 - len(str(int(abs(found))))) if abs(found) >= 1 else 4
        text = f"{found:,.{decimals}f}".rstrip("0").rstrip(".")
    else:
        text = f"{found:,.0f}"
    return text.replace("-", "\N{MINUS SIGN}") + _SUFFIXES.get(unit or "", "")


def count(value: object) -> str:
    """A whole number, grouped."""
    found = number(value)
    return NONE if found is None else f"{found:,.0f}"


def percent(value: object) -> str:
    """A share as a percentage with one decimal."""
    found = number(value)
    return NONE if found is None else f"{found * 100:.1f}%"


def q16(value: object) -> str:
    """An integer in units of 2^-16, as a decimal."""
    found = number(value)
    return NONE if found is None else figure(found / 65536)


def short(digest: object) -> str:
    """The two ends of a long hexadecimal text; other text as it is."""
    match = _HEX.fullmatch(str(digest))
    return f"{match[2][:8]}\N{HORIZONTAL ELLIPSIS}{match[2][-4:]}" if match else str(digest)


def plural(amount: object, one: str, many: str | None = None) -> str:
    """`1 model`, `3 models`."""
    return f"{count(amount)} {one if number(amount) == 1 else many or one + 's'}"


def words(name: object) -> str:
    """An identifier as words: `bit_exact` is `bit exact`."""
    return str(name).replace("_", " ").replace(".", " ")


def sentence(name: object) -> str:
    """An identifier as words with a capital."""
    text = words(name)
    return text[:1].upper() + text[1:]


def prose(text: object) -> str:
    """A sentence as it was written, with a capital."""
    told = str(text)
    return told[:1].upper() + told[1:]


def when(text: object) -> Markup:
    """A recorded time for the reader; text that is no UTC time is printed as it is."""
    if text is None:
        return escape(NONE)
    match = _TIME.fullmatch(str(text))
    if match is None:
        form = '<time datetime="{0}">{0}</time>' if _DATE.fullmatch(str(text)) else "{0}"
        return Markup(form).format(str(text))  # noqa: S704 - both forms are literals
    form = '<time datetime="{}"><span class="utc">{} {} UTC</span></time>'
    return Markup(form).format(text, match[1], match[2])  # noqa: S704 - a literal


def verdict(name: object) -> tuple[str, str]:
    """State of the mark and word of a verdict of the honesty report."""
    return VERDICTS.get(str(name), ("unstruck", sentence(name)))


def standing(name: object) -> tuple[str, str]:
    """State of the mark and word of a standing of the correctness report."""
    return STANDINGS.get(str(name), ("unstruck", sentence(name)))


def texts(value: object) -> tuple[str, ...]:
    """One text or a list of them, as a tuple."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(str(item) for item in value)
    return (str(value),)
