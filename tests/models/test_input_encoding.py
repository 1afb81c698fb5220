"""Inputs: what a request may say, the one pattern it is recorded by, and the way back."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputRefused
from models.hub.manifest import Feature
from models.runtime.encoding import MISSING, Encoder

AMOUNT = Feature("amount", "integer", -100, 1 << 24, missing=False, description="an amount")
RATE = Feature("rate", "decimal", -5, 5, missing=True, description="a rate")
ENCODER = Encoder([AMOUNT, RATE])

EVIL = {
    "nan": ({"amount": 1, "rate": math.nan}, "rate", "finite"),
    "infinity": ({"amount": 1, "rate": math.inf}, "rate", "finite"),
    "minus-infinity": ({"amount": -math.inf, "rate": 1}, "amount", "finite"),
    "text": ({"amount": "1", "rate": 1}, "amount", "number"),
    "true": ({"amount": True, "rate": 1}, "amount", "number"),
    "list": ({"amount": [1], "rate": 1}, "amount", "number"),
    "complex": ({"amount": 1j, "rate": 1}, "amount", "number"),
    "fraction-for-an-integer": ({"amount": 1.5, "rate": 1}, "amount", "whole"),
    "above-the-maximum": ({"amount": (1 << 24) + 1, "rate": 1}, "amount", "from"),
    "below-the-minimum": ({"amount": -101, "rate": 1}, "amount", "from"),
    "barely-above": ({"amount": 1, "rate": math.nextafter(5, 6)}, "rate", "from"),
    "integer-of-400-digits": ({"amount": 10**400, "rate": 1}, "amount", "from"),
    "float-beyond-float32": ({"amount": 1, "rate": 1e300}, "rate", "from"),
    "missing-where-not-allowed": ({"amount": None, "rate": 1}, "amount", "missing"),
    "absent": ({"rate": 1}, "amount", "required"),
    "absent-though-it-may-be-missing": ({"amount": 1}, "rate", "required"),
    "unknown-name": ({"amount": 1, "rate": 1, "age": 40}, "age", "not a feature"),
}


@pytest.mark.parametrize("case", EVIL)
def test_evil_input_is_refused_by_name(case):
    row, field, reason = EVIL[case]
    with pytest.raises(InputRefused, match=reason) as caught:
        ENCODER.encode(row)
    assert caught.value.field == field


def test_refusal_never_repeats_the_value():
    with pytest.raises(InputRefused) as caught:
        ENCODER.encode({"amount": 987654321, "rate": 1})
    assert "987654321" not in str(caught.value)


def test_long_unknown_name_is_cut():
    with pytest.raises(InputRefused) as caught:
        ENCODER.encode({"amount": 1, "rate": 1, "x" * 10_000: 1})
    assert len(caught.value.field) == 80


def text_of(value):
    return struct.pack(">f", value).hex()


@given(
    st.integers(-100, 1 << 24),
    st.one_of(st.none(), st.floats(-5, 5), st.integers(-5, 5)),
)
def test_recorded_patterns_decode_to_what_was_run(amount, rate):
    values = ENCODER.encode({"amount": amount, "rate": rate})
    as_run = np.asarray([values], np.float32)
    patterns = as_run.astype(">f4").tobytes().hex()
    texts = {"amount": patterns[:8], "rate": patterns[8:]}
    again = np.asarray([ENCODER.decode(texts)], np.float32)
    assert again.tobytes() == as_run.tobytes()
    assert values[0] == amount  # whole numbers up to 2^24 are exact
    if rate is not None:
        assert values[1] == float(np.float32(rate))


def test_missing_and_zero_have_one_pattern():
    values = np.asarray([ENCODER.encode({"amount": -0.0, "rate": None})], np.float32)
    assert values.astype(">f4").tobytes().hex() == "00000000" + MISSING


RECORDED = {
    "another-nan": "7fc00001",
    "negative-nan": "ffc00000",
    "negative-zero": "80000000",
    "infinity": "7f800000",
    "upper-case": "3F800000",
    "with-a-space": "3f80 000",
    "too-short": "3f8000",
    "too-long": "3f80000000",
    "not-hex": "3f80000g",
    "empty": "",
    "a-number": 7,
    "beyond-the-bounds": text_of(5.5),
}


@pytest.mark.parametrize("case", RECORDED)
def test_text_that_encode_cannot_write_is_refused(case):
    with pytest.raises(InputRefused) as caught:
        ENCODER.decode({"amount": text_of(1), "rate": RECORDED[case]})
    assert caught.value.field == "rate"


def test_missing_pattern_where_not_allowed_is_refused():
    with pytest.raises(InputRefused):
        ENCODER.decode({"amount": MISSING, "rate": text_of(1)})


def test_recorded_row_must_have_exactly_the_features():
    with pytest.raises(InputRefused, match="not recorded"):
        ENCODER.decode({"amount": text_of(1)})
    with pytest.raises(InputRefused, match="not a feature"):
        ENCODER.decode({"amount": text_of(1), "rate": text_of(1), "sex": text_of(1)})
