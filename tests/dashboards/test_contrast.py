"""Colours of the sheet: text at 4.5:1, lines and marks at 3:1, in light and in dark (WCAG 2.2)."""

import re

import pytest

from dashboards.render import STATIC

SHEET = (STATIC / "assay.css").read_text()
TEXT = [
    ("ink", "paper"), ("ink", "panel"), ("ink", "sunk"), ("soft", "paper"), ("soft", "panel"),
    ("faint", "paper"), ("faint", "panel"), ("faint", "sunk"), ("soft", "sunk"), ("link", "paper"), ("link", "panel"),
    ("steel", "panel"), ("brass", "panel"), ("red", "panel"), ("red", "paper"), ("red", "red-wash"),
    ("on", "steel"), ("on", "brass"), ("paper", "ink"),
]  # fmt: skip
LINES = [
    ("brass", "panel"),
    ("red", "panel"),
    ("steel", "panel"),
    ("focus", "paper"),
    ("focus", "panel"),
    ("faint", "panel"),
]


def colours(scheme):
    light = re.search(r":root \{(.*?)\n\}", SHEET, re.DOTALL)[1]
    dark = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", SHEET, re.DOTALL)[1]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", light))
    if scheme == "dark":
        changed = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", dark))
        assert changed.keys() == found.keys(), "every colour has a dark twin"
        found = changed
    return found


def luminance(text):
    text = text[1:]
    if len(text) == 3:
        text = "".join(c * 2 for c in text)
    parts = [int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_ratio_of_black_on_white_is_21():
    assert ratio("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(scheme, ink, ground):
    found = colours(scheme)
    assert ratio(found[ink], found[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("line", "ground"), LINES)
def test_lines_and_marks_can_be_seen(scheme, line, ground):
    found = colours(scheme)
    assert ratio(found[line], found[ground]) >= 3


def test_every_colour_used_is_defined():
    used = set(re.findall(r"var\(--([\w-]+)\)", SHEET))
    defined = set(re.findall(r"--([\w-]+):", SHEET))
    assert used <= defined
