"""Canonical JSON: one value, one sequence of bytes (RFC 8785), without floats.

What is hashed and signed is bytes, so a value may have one form only. RFC 8785 sorts keys by their
UTF-16 code units, escapes as little as JSON allows and leaves no space. Its hard part, printing
doubles (section 3.2.2.3), is absent here: a record holds integers within 2^53 and text, so two
languages cannot print the same number differently.

Standard library only, since an auditor runs this file too. Tests hold it against `rfc8785`.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ledger.refusals import CanonicalError

INT_MAX = 2**53 - 1  # RFC 8785, section 3.2.2.3 and appendix D: exact in an IEEE 754 double
DEPTH_MAX = 32  # an entry nests 6 deep; the bound keeps hostile input off the recursion limit


def canonical_bytes(value: object) -> bytes:
    """The canonical UTF-8 bytes of a value made of dict, list, str, int, bool and None.

    Raises CanonicalError for a float, an integer past 2^53 - 1, a key that is not text, or a lone
    surrogate; the error names the place.
    """
    ascii_keys = _check(value, "$", 0)
    # Code point order is UTF-16 order as long as every key is ASCII.
    ordered = value if ascii_keys else _ordered(value)
    encoder = _SORTING if ascii_keys else _KEEPING
    try:
        return encoder.encode(ordered).encode("utf-8")
    except UnicodeEncodeError as error:
        raise CanonicalError("$", "text with a lone surrogate has no UTF-8 form") from error


def parse_canonical(data: bytes) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Read canonical JSON; refuses bytes that are not byte-equal to their own canonical form.

    So a repeated key, a space, `1.0`, `-0` or an escape too many all raise CanonicalError.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CanonicalError("$", f"not JSON: {error}") from error
    again = canonical_bytes(value)
    if again != data:
        at = next(
            (i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b),
            min(len(data), len(again)),
        )
        raise CanonicalError("$", f"not in canonical form from byte {at} on")
    return value


def _check(value: object, path: str, depth: int) -> bool:
    """Refuse what has no canonical form here; True when every key is ASCII."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        if not -INT_MAX <= value <= INT_MAX:
            raise CanonicalError(path, "integer beyond 2^53 - 1; write it as text")
        return True
    if isinstance(value, dict):
        return _check_object(value, path, depth)
    if isinstance(value, list | tuple):
        _check_depth(path, depth)
        found = [_check(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        return all(found)
    if isinstance(value, float):
        raise CanonicalError(path, f"float {value!r}; write an integer or text, unit in the name")
    raise CanonicalError(path, f"{type(value).__name__} has no JSON form")


def _check_object(value: dict[object, object], path: str, depth: int) -> bool:
    _check_depth(path, depth)
    ascii_keys = True
    for key, item in value.items():
        if not isinstance(key, str):
            raise CanonicalError(path, f"key {key!r} is not text")
        ascii_keys &= key.isascii()
        if type(item) is not str:  # most are, and need no path
            ascii_keys &= _check(item, f"{path}.{key}", depth + 1)
    return ascii_keys


def _check_depth(path: str, depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise CanonicalError(path, f"nested deeper than {DEPTH_MAX}")


def _ordered(value: object) -> object:
    """The value with every object in UTF-16 order (RFC 8785, section 3.2.3)."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _refuse_number(text: str) -> NoReturn:
    message = f"{text[:40]} is not an integer"
    raise ValueError(message)


# Made once: `json.dumps` would make one a call. Depth is bounded before, so no circle gets there.
_SORTING, _KEEPING = (
    json.JSONEncoder(
        ensure_ascii=False, check_circular=False, sort_keys=sort, separators=(",", ":")
    )
    for sort in (True, False)
)
_DECODER = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number)
