"""Keys that ended before an audit are known as ended to the next one, which goes on from it."""

import base64
import hashlib
import json

import pytest

from ledger.canonical import canonical_bytes
from ledger.keys import POSSESSION_TAG, Role, SigningKey
from ledger.layout import DirectorySource
from service.auditor.state import AuditState, StateRefused
from service.cli.auditing import Asked, audit_source

NEW = SigningKey(hashlib.sha256(b"the next producer").digest())


def rotate(paper):
    """The producer's key is replaced; returns the old one."""
    old = paper.keys[Role.PRODUCER]
    claim = {
        "key_id": NEW.key_id,
        "public_key": base64.b64encode(NEW.public).decode(),
        "role": "producer",
        "holder": "house:producer",
        "replaces": old.key_id,
    }
    proof = base64.b64encode(NEW.sign(POSSESSION_TAG + canonical_bytes(claim))).decode()
    paper.add("key.rotated", {**claim, "possession": proof}, old)
    paper.keys[Role.PRODUCER] = NEW
    return old


@pytest.fixture
def resumed(house, tmp_path):
    """An audit that ends after a rotation, kept as a file; then one that goes on from there."""
    old = rotate(house)
    house.predict(house.digest)
    first = audit_source(DirectorySource(house.write(tmp_path / "1")), house.vkey, Asked())
    assert first.report.findings == ()
    kept = first.state.to_bytes()

    def go_on():
        earlier = AuditState.parse(kept)
        source = DirectorySource(house.write(tmp_path / "2"))
        done = audit_source(source, house.vkey, Asked(earlier=earlier))
        assert done.report.since.size == earlier.checkpoint.size
        return done

    return old, kept, go_on


def test_an_audit_goes_on_across_a_rotation(house, resumed):
    _, _, go_on = resumed
    house.predict(house.digest)
    done = go_on()
    assert done.report.findings == ()
    assert done.state is not None


def test_a_key_that_ended_before_the_earlier_audit_signs_nothing_after_it(house, resumed):
    old, _, go_on = resumed
    leaf = house.predict(house.digest, key=old)
    found = [(f.check, f.leaf) for f in go_on().report.findings]
    assert ("signer", leaf) in found


def test_a_state_from_before_keys_could_end_is_read(resumed):
    value = json.loads(resumed[1])
    for key in value["keys"]:
        del key["until"]
    assert {key.until for key in AuditState.parse(canonical_bytes(value)).keys} == {None}


@pytest.mark.parametrize("until", [-1, "9", 1.5, True])
def test_a_state_with_an_end_that_is_no_leaf_is_refused(resumed, until):
    value = json.loads(resumed[1])
    value["keys"][0]["until"] = until
    with pytest.raises(StateRefused):
        AuditState.parse(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
