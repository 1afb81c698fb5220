"""Keys that are replaced and revoked: what an audit says of them, and what the log refuses.

The liar of the first half holds every key and signs whatever he likes properly.
"""

import base64
import hashlib

import pytest

from ledger.canonical import canonical_bytes
from ledger.ended import hold
from ledger.errors import KeyRefused
from ledger.keybook import REVOKED, ROTATED, KeyBook
from ledger.keys import POSSESSION_TAG, Role, SigningKey, key_id
from ledger.record import Draft, parse_entry
from ledger.verify import verify_export
from logs import create_log, open_log, refusal
from logs import key_of as stored_key_of
from memory_logs import SIGNER, MemoryLog, MemorySource, key_of

TIME = "2026-11-25T03:20:00.123Z"
OLD = key_of(Role.PRODUCER)
REFUSAL = {"cause": "C", "model_digest": None, "detail": "d"}


def fresh(name):
    return SigningKey(hashlib.sha256(f"fresh {name}".encode()).digest())


NEW = fresh("producer")


def claim(key, *, held_by=None, possession=None, **changes):
    data = {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public).decode(),
        "role": "producer",
        "holder": "whoever comes next",
        **changes,
    }
    proof = (held_by or key).sign(POSSESSION_TAG + canonical_bytes(data))
    return {**data, "possession": base64.b64encode(possession or proof).decode()}


def rotate(log, key=NEW, *, by=OLD, **changes):
    """A rotation of the producer's key; returns its leaf."""
    data = claim(key, **{"replaces": OLD.key_id, **changes})
    return log.add(ROTATED, data, Role.PRODUCER, key=by)


def revoke(log, key_id):
    data = {"key_id": key_id, "reason": "lost"}
    return log.add(REVOKED, data, Role.OPERATOR)


def verify(log):
    return verify_export(MemorySource(log.files()), SIGNER.vkey)


def found(log):
    return {(finding.check, finding.leaf) for finding in verify(log).findings}


class Keyed(MemoryLog):
    """A log that numbers entries by key, since several keys have one role here."""

    def __init__(self):
        self.numbers = {}
        super().__init__()

    def add(self, kind, data, role=Role.PRODUCER, *, key=None, **more):
        key = key or key_of(role)
        number = self.numbers[key.key_id] = self.numbers.get(key.key_id, -1) + 1
        return super().add(kind, data, role, key=key, seq=number, **more)


@pytest.fixture
def log():
    made = Keyed()
    made.refuse(2)
    return made


# --- replaced --------------------------------------------------------------------------------


def test_after_a_rotation_the_new_key_signs_and_the_old_ones_entries_still_check(log):
    leaf = rotate(log)
    log.add("refusal", REFUSAL, key=NEW)
    result = verify(log)
    assert result.findings == ()
    assert (result.keys[OLD.key_id].until, result.keys[NEW.key_id].until) == (leaf, None)
    assert result.keys[NEW.key_id].leaf == leaf
    assert {check.check: check.examined for check in result.checks}["key"] == 6


def test_the_old_key_after_its_rotation_is_a_finding_that_names_the_leaf(log):
    ended = rotate(log)
    log.add("refusal", REFUSAL, key=NEW)
    leaf = log.add("refusal", REFUSAL, key=OLD)
    (finding,) = verify(log).findings
    assert (finding.check, finding.leaf) == ("signer", leaf)
    assert f"which was ended by entry {ended}" in finding.got


def test_a_new_key_signs_nothing_before_its_rotation(log):
    leaf = log.add("refusal", REFUSAL, key=NEW)
    rotate(log)
    assert found(log) == {("signer", leaf)}


def test_a_rotation_not_signed_by_the_old_key_ends_nothing(log):
    stranger = fresh("stranger")
    log.add("key.added", claim(stranger), Role.OPERATOR)
    leaf = rotate(log, by=stranger)
    log.refuse()
    assert found(log) == {("signer", leaf)}


def test_a_rotation_signed_by_the_new_key_alone_ends_nothing(log):
    leaf = rotate(log, by=NEW)
    log.refuse()
    assert found(log) == {("signer", leaf)}


def test_a_rotation_with_a_forged_signature_ends_nothing(log):
    leaf = rotate(log)
    entry = bytearray(log.entries[leaf])
    entry[-20] = ord("A") if entry[-20] != ord("A") else ord("B")
    log.entries[leaf] = bytes(entry)
    log.refuse()
    assert found(log) == {("signature", leaf)}


LIES = {
    "without possession": {"possession": bytes(64)},
    "held by somebody else": {"held_by": OLD},
    "to another role": {"role": "approver"},
    "of a key id that is not the key's": {"key_id": "0" * 32},
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES.keys())
def test_a_rotation_that_lies_about_the_new_key_ends_nothing(log, changes):
    leaf = rotate(log, **changes)
    log.refuse()
    checks = found(log)
    assert ("key", leaf) in checks
    assert checks <= {("key", leaf), ("signer", leaf)}, "the old key goes on"


def test_a_rotation_of_an_unknown_key(log):
    leaf = rotate(log, replaces="0" * 32)
    assert found(log) == {("key", leaf), ("signer", leaf)}


def test_a_rotation_of_a_rotation_goes_on_and_one_of_an_ended_key_does_not(log):
    rotate(log)
    third = fresh("third")
    rotate(log, third, by=NEW, replaces=NEW.key_id)
    assert found(log) == set()
    leaf = rotate(log, fresh("fourth"))
    assert found(log) == {("key", leaf), ("signer", leaf)}


def test_a_key_is_not_its_own_successor_and_none_comes_back(log):
    leaf = rotate(log, OLD)
    assert ("key", leaf) in found(log)
    again = Keyed()
    rotate(again)
    back = rotate(again, OLD, by=NEW, replaces=NEW.key_id)
    assert found(again) == {("key", back)}


def test_an_operator_may_be_replaced_and_the_successor_introduces_keys(log):
    data = claim(fresh("operator"), role="operator", replaces=key_of(Role.OPERATOR).key_id)
    log.add(ROTATED, data, Role.OPERATOR)
    log.add("key.added", claim(fresh("more")), key=fresh("operator"))
    assert found(log) == set()
    late = log.add("key.added", claim(fresh("late")), Role.OPERATOR)
    assert found(log) == {("signer", late)}


# --- revoked ---------------------------------------------------------------------------------


def test_a_revoked_key_signs_nothing_more_and_what_it_signed_before_stands(log):
    ended = revoke(log, OLD.key_id)
    assert found(log) == set()
    leaf = log.add("refusal", REFUSAL, key=OLD)
    (finding,) = verify(log).findings
    assert (finding.check, finding.leaf) == ("signer", leaf)
    assert f"ended by entry {ended}" in finding.got


def test_several_producers_sign_at_once_and_one_is_revoked(log):
    log.add("key.added", claim(NEW), Role.OPERATOR)
    log.add("refusal", REFUSAL, key=NEW)
    log.refuse()
    revoke(log, OLD.key_id)
    log.add("refusal", REFUSAL, key=NEW)
    assert found(log) == set()


def test_only_an_operator_revokes(log):
    data = {"key_id": key_of(Role.APPROVER).key_id, "reason": "because"}
    leaf = log.add(REVOKED, data, Role.PRODUCER)
    model = {"model_digest": "sha256:" + "d" * 64, "name": "m", "reason": "r"}
    log.add("model.withdrawn", model, Role.APPROVER)
    assert found(log) == {("signer", leaf)}


@pytest.mark.parametrize("twice", [False, True])
def test_a_key_that_is_not_in_use_cannot_be_revoked(log, twice):
    if twice:
        revoke(log, OLD.key_id)
    leaf = revoke(log, OLD.key_id if twice else "0" * 32)
    assert found(log) == {("key", leaf)}


def test_the_last_operator_cannot_be_revoked(log):
    mine = key_of(Role.OPERATOR).key_id
    leaf = revoke(log, mine)
    assert found(log) == {("key", leaf)}
    other = Keyed()
    other.add("key.added", claim(fresh("second"), role="operator"), Role.OPERATOR)
    revoke(other, mine)
    other.add("key.added", claim(NEW), key=fresh("second"))
    assert found(other) == set()


# --- keys that verifiers disagree on ---------------------------------------------------------

SMALL, UNUSUAL = "a point of small order", "encoding is not canonical"
WEAK = {
    "the point of order 1": (1, SMALL),
    "a point of order 2": (2**255 - 20, SMALL),
    "a point of order 4": (0, SMALL),
    "1 written as p + 1": (2**255 - 18, SMALL),
    "not canonical": (2**255 - 19 + 3, UNUSUAL),
    "not canonical, negative": (2**256 - 16, UNUSUAL),
}


@pytest.mark.parametrize(("number", "told"), WEAK.values(), ids=WEAK.keys())
@pytest.mark.parametrize("kind", ["key.added", ROTATED])
def test_small_order_and_non_canonical_keys_are_findings(log, kind, number, told):
    public = number.to_bytes(32, "little")
    named = {"key_id": key_id(public), "public_key": base64.b64encode(public).decode()}
    if kind == ROTATED:
        leaf = rotate(log, **named)
    else:
        leaf = log.add(kind, claim(NEW, **named), Role.OPERATOR)
    (finding,) = verify(log).findings
    assert (finding.check, finding.leaf) == ("key", leaf)
    assert told in finding.got


# --- the log itself --------------------------------------------------------------------------


def succession(old, new, role=Role.PRODUCER):
    data = claim(new, role=str(role), replaces=old.key_id)
    return Draft(type=ROTATED, actor_id="tester", data=data, event_time=TIME)


def test_the_log_refuses_what_an_ended_key_signs_in_every_process_of_it(tmp_path):
    mine, theirs = create_log(tmp_path), open_log(tmp_path)
    old = stored_key_of(Role.PRODUCER)
    theirs.refuse(1)
    leaf = mine.ledger.append(succession(old, NEW), old).index
    for one in (mine, theirs, open_log(tmp_path)):
        with pytest.raises(KeyRefused, match=f"ended by entry {leaf}"):
            one.refuse(2)
    theirs.ledger.append(refusal(3), NEW)
    assert mine.ledger.size == leaf + 2


def test_an_answer_given_before_the_rotation_is_given_again_after_it(tmp_path):
    log = create_log(tmp_path)
    first = log.refuse(1, key="retry")
    old = stored_key_of(Role.PRODUCER)
    log.ledger.append(succession(old, NEW), old)
    again = log.refuse(1, key="retry")
    assert (again.index, again.repeated) == (first.index, True)


def test_a_rotation_and_the_old_key_in_one_commit(tmp_path):
    log = create_log(tmp_path)
    old, size = stored_key_of(Role.PRODUCER), log.ledger.size
    with pytest.raises(KeyRefused):
        log.ledger.append_many([(succession(old, NEW), old), (refusal(1), old)])
    assert log.ledger.size == size, "all or none"
    log.refuse(2)
    log.ledger.append_many([(succession(old, NEW), old), (refusal(3), NEW)])
    with pytest.raises(KeyRefused):
        log.refuse(4)


def test_callers_that_share_a_commit_are_judged_in_their_order():
    old, ended = stored_key_of(Role.PRODUCER), {}
    hold([(7, old.key_id, succession(old, NEW))], ended)
    with pytest.raises(KeyRefused, match="ended by entry 7"):
        hold([(8, old.key_id, refusal(1))], ended)
    hold([(8, NEW.key_id, refusal(1))], ended)


def test_what_is_refused_ends_nothing():
    old, ended = stored_key_of(Role.PRODUCER), {"0" * 32: 5}
    with pytest.raises(KeyRefused):
        hold([(7, old.key_id, succession(old, NEW)), (8, "0" * 32, refusal(1))], ended)
    hold([(7, old.key_id, refusal(1))], ended)


def test_a_revoked_key_is_refused(tmp_path):
    log = create_log(tmp_path)
    old = stored_key_of(Role.PRODUCER)
    data = {"key_id": old.key_id, "reason": "lost"}
    draft = Draft(type=REVOKED, actor_id="tester", data=data, event_time=TIME)
    log.ledger.append(draft, stored_key_of(Role.OPERATOR))
    with pytest.raises(KeyRefused):
        log.refuse(1)


def test_the_book_tells_which_keys_of_a_role_are_in_use(log):
    log.add("key.added", claim(NEW), Role.OPERATOR)
    revoke(log, OLD.key_id)
    book = KeyBook()
    for leaf, entry in enumerate(log.entries):
        body = parse_entry(entry).body
        if body["type"].startswith("key."):
            book.check(leaf, body)
            if body["type"] == REVOKED:
                book.end(leaf, body)
    assert [key.key_id for key in book.live(Role.PRODUCER)] == [NEW.key_id]
    assert KeyBook(book.keys.values()).keys == book.keys
