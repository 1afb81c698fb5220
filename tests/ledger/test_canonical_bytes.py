"""Canonical JSON: the bytes of `rfc8785` for whatever we accept, and one form only on the way in."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import DEPTH_MAX, INT_MAX, canonical_bytes, parse_canonical
from ledger.errors import CanonicalError

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_bytes_are_those_of_the_reference_library(value):
    data = canonical_bytes(value)
    assert data == rfc8785.dumps(value)
    assert parse_canonical(data) == value


@given(st.dictionaries(TEXT, st.integers(0, 9), min_size=2, max_size=8))
def test_keys_beyond_ascii_are_in_utf16_order(value):
    assert canonical_bytes(value) == rfc8785.dumps(value)


def test_an_astral_key_sorts_before_a_private_use_one():
    """By code point it would not: U+1F602 is D83D DE02 in UTF-16, and U+FB33 stays as it is."""
    assert canonical_bytes({"\ufb33": 1, "\U0001f602": 2}) == '{"\U0001f602":2,"\ufb33":1}'.encode()


def test_a_tuple_is_a_list():
    assert canonical_bytes({"a": (1, "b")}) == b'{"a":[1,"b"]}'


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [0, 1.0]}, r"\$\.a\[1\]"),
        (float("nan"), r"\$"),
        ({"a": {"b": INT_MAX + 1}}, r"\$\.a\.b"),
        (-INT_MAX - 1, r"\$"),
        ({1: 2}, r"\$"),
        ({"a": b"bytes"}, r"\$\.a"),
        ({"a": {1, 2}}, r"\$\.a"),
        ("\ud800", r"\$"),
        ({"\udfff": 1}, r"\$"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_place(value, place):
    with pytest.raises(CanonicalError, match=f"^{place}: "):
        canonical_bytes(value)


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded():
    assert canonical_bytes(nested(DEPTH_MAX)).startswith(b"[[")
    with pytest.raises(CanonicalError, match="nested deeper"):
        canonical_bytes(nested(DEPTH_MAX + 1))


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(CanonicalError, match="nested deeper"):
        canonical_bytes(value)


NOT_CANONICAL = {
    "nothing": b"",
    "a space": b'{"a": 1}',
    "a line feed after": b'{"a":1}\n',
    "a key twice": b'{"a":1,"a":1}',
    "keys out of order": b'{"b":1,"a":1}',
    "a fraction": b'{"a":1.0}',
    "an exponent": b'{"a":1e3}',
    "minus zero": b'{"a":-0}',
    "a leading zero": b'{"a":01}',
    "not a number": b'{"a":NaN}',
    "infinity": b"-Infinity",
    "past 2^53": b'{"a":9007199254740993}',
    "more digits than anybody converts": b"9" * 5000,
    "an escape too many": b'{"a":"\\u0041"}',
    "a solidus escaped": b'{"a":"\\/"}',
    "an upper case escape": b'{"a":"\\u001F"}',
    "a long form of a line feed": b'{"a":"\\u000a"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "not UTF-8": b'{"a":"\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "two values": b"1 2",
    "a bracket too few": b'{"a":[1}',
    "no end of brackets": b"[" * 60_000,
    "deep and closed": b"[" * 1000 + b"]" * 1000,
}


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_bytes_in_another_form_are_refused(data):
    with pytest.raises(CanonicalError):
        parse_canonical(data)


@given(VALUES, st.data())
def test_a_changed_byte_is_refused_or_changes_the_value(value, data):
    original = canonical_bytes(value)
    changed = bytearray(original)
    changed[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = parse_canonical(bytes(changed))
    except CanonicalError:
        return
    assert json.dumps(read) != json.dumps(value)
