"""What is shipped of others: unchanged, with its licence, and nothing that its note does not name."""

import hashlib
import re

import pytest

from dashboards.render import STATIC

VENDOR = STATIC / "vendor"
NOTES = sorted(VENDOR.glob("*/README.md"))


@pytest.mark.parametrize("note", NOTES, ids=lambda p: p.parent.name)
def test_vendored_files_are_those_of_the_note(note):
    named = dict(re.findall(r"^\|`([^`]+)`\|`([0-9a-f]{64})`\|$", note.read_text(), re.MULTILINE))
    held = {file.name for file in note.parent.iterdir()} - {"README.md"}
    assert held == set(named)
    assert "LICENSE" in named
    for name, digest in named.items():
        assert hashlib.sha256((note.parent / name).read_bytes()).hexdigest() == digest, name


def test_every_vendored_package_has_its_note():
    assert {note.parent for note in NOTES} == {d for d in VENDOR.iterdir() if d.is_dir()}
    assert NOTES
