"""Numbers, digests and times as pages print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import words

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        ("0.779214", "share", "0.7792"),
        ("17.910300", "days of 250", "17.91"),
        ("1.269000", None, "1.269"),
        ("123456.789", None, "123,456.8"),
        ("31", "days of 250", "31"),
        ("1200000", None, "1,200,000"),
        ("0.000000", "p-value", "0.0000"),
        ("0", None, "0"),
        ("0.00001234", None, "1.2e\N{MINUS SIGN}5"),
        ("-2.35", "percent", f"{MINUS}2.35%"),
        (None, None, words.NONE),
        ("", None, words.NONE),
        ("not yet judgeable", None, "not yet judgeable"),
        ("NaN", None, "NaN"),
        (True, None, "True"),
        (0.25, None, "0.25"),
    ],
)
def test_figure_keeps_about_four_digits(value, unit, shown):
    assert words.figure(value, unit) == shown


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans()))
def test_anything_prints(value):
    for print_it in (words.figure, words.count, words.percent, words.q16, words.short, words.when):
        assert isinstance(print_it(value), str)


def test_short_keeps_both_ends_of_a_digest_only():
    assert words.short("sha256:" + "ab" * 32) == "abababab…abab"
    assert words.short("credit-default") == "credit-default"


def test_time_is_utc_to_the_second_and_machine_readable():
    shown = words.when("2026-11-25T03:20:00.123Z")
    assert 'datetime="2026-11-25T03:20:00.123Z"' in shown
    assert "2026-11-25 03:20:00 UTC" in shown


@pytest.mark.parametrize("text", ["yesterday", "2026-11-25T03:20:00+01:00", "<b>"])
def test_what_is_no_utc_time_is_printed_as_it_is(text):
    assert words.when(text) == words.escape(text)


def test_q16_is_a_division_by_65536():
    assert words.q16(31877) == "0.4864"
    assert words.q16(65536) == "1"


def test_unknown_verdicts_and_standings_never_look_good():
    assert words.verdict("APPROVED")[0] == "unstruck"
    assert words.standing("fine")[0] == "unstruck"
