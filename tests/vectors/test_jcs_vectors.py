"""The RFC 8785 author's canonical JSON pairs.

Our form is the part of RFC 8785 without floats: a pair without one gives the published bytes, a pair
with one is refused by name. The library our tests compare against gives the published bytes of all.
"""

import json

import pytest
import rfc8785

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.errors import CanonicalError
from outside import vectors


def has_float(value):
    if isinstance(value, dict):
        return any(map(has_float, value.values()))
    return any(map(has_float, value)) if isinstance(value, list) else isinstance(value, float)


@pytest.mark.parametrize("path", vectors("jcs-cyberphone", "testdata/input/*.json"))
def test_a_published_pair(path):
    value = json.loads(path.read_text("utf-8"))
    published = (path.parent.parent / "output" / path.name).read_bytes()
    assert rfc8785.dumps(value) == published
    if has_float(value):
        with pytest.raises(CanonicalError, match="float"):
            canonical_bytes(value)
        if has_float(json.loads(published)):
            with pytest.raises(CanonicalError):
                parse_canonical(published)
    else:
        assert canonical_bytes(value) == published
        assert parse_canonical(published) == value


@pytest.mark.parametrize("path", vectors("jcs-cyberphone", "testdata/input/*.json"))
def test_an_input_that_is_not_its_own_canonical_form_is_refused(path):
    data = path.read_bytes()
    assert data != (path.parent.parent / "output" / path.name).read_bytes()
    with pytest.raises(CanonicalError):
        parse_canonical(data)


@pytest.mark.parametrize("path", vectors("jcs-cyberphone", "testdata/outhex/*.txt"))
def test_the_published_hex_is_the_published_output(path):
    hexed = bytes.fromhex(path.read_text("ascii"))
    output = path.parent.parent / "output" / path.with_suffix(".json").name
    assert hexed == output.read_bytes()
