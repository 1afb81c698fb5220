"""Entries: exact slices, the fields of every type, commitments and what opens them."""

import base64
import hashlib
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import INT_MAX, canonical_bytes
from ledger.errors import LedgerError, OpeningMismatch, RecordError
from ledger.grammar import BODY, DATA
from ledger.keys import SigningKey, verify_signature
from ledger.merkle import leaf_hash, root_of
from ledger.record import (
    SIGNER_ROLES,
    Draft,
    OpenedField,
    Opening,
    SealedOpening,
    assemble,
    check_draft,
    check_opening,
    commit_field,
    encode_body,
    make_opening,
    parse_entry,
    parse_row,
    renumber,
    row_bytes,
    row_object,
    signed_message,
    unsigned_body,
)
from ledger.tiles import ENTRY_MAX

KEY = SigningKey(bytes(range(32)))
ORIGIN = "test.example/log"
DIGEST = "sha256:" + "a" * 64
TIME = "2026-11-25T03:20:00.123Z"
ROW = row_object(0, {"x": "1" * 64}, {"margin_q16": "2" * 64}, "long")
NAMED = {"model_digest": DIGEST, "name": "m", "reason": "because"}
SEALED = {"period": "2026-11-25", "first_index": 0, "count": 1, "root": "3" * 64}
HOLD = {"hold_id": "case-7", "reason": "because", "authority": "a court"}
PREDICTION = {
    "model_digest": DIGEST,
    "model_name": "m",
    "policy_digest": DIGEST,
    "environment_digest": DIGEST,
    "verification_mode": "signed",
    "as_of": None,
    "caller_reference": None,
    "row_count": 1,
    "row": ROW,
}
KEYED = {
    "key_id": KEY.key_id,
    "public_key": base64.b64encode(KEY.public).decode(),
    "role": "operator",
    "holder": "somebody",
    "possession": base64.b64encode(bytes(64)).decode(),
}
LIMIT = {
    "model_digest": DIGEST,
    "metric": "auc",
    "limit": "0.7",
    "side": "below",
    "tolerance": "0.02",
    "window": "250",
    "minimum_labels": 100,
    "detector": "interval",
    "replaces": None,
    "reason": None,
    "second_person": None,
}
OF_ALARM = {"alarm_leaf": 9, "comment": "seen"}
EXAMPLES = {
    "key.added": KEYED,
    "key.rotated": {**KEYED, "replaces": "0" * 32},
    "key.revoked": {"key_id": KEY.key_id, "reason": "because"},
    "model.published": {
        "model_digest": DIGEST,
        "name": "m",
        "version": "1",
        "provenance_digest": DIGEST,
    },
    "model.validated": {
        **NAMED,
        "conclusion": "conditions",
        "materiality": "high",
        "next_review": "2027-11-25",
        "report_digest": None,
    },
    "model.approved": NAMED,
    "model.promoted": {**NAMED, "alias": "champion"},
    "model.withdrawn": NAMED,
    "prediction": PREDICTION,
    "refusal": {"cause": "C", "model_digest": None, "detail": "d"},
    "outcome": {
        "prediction_leaf": 3,
        "row_index": 0,
        "value": "4" * 64,
        "observed_at": "2008-09-15",
        "kind": "return_pct",
        "revises": None,
        "reason": None,
    },
    "limits": LIMIT,
    "policy": {**LIMIT, "on_alarm": "blocked"},
    "alarm": {
        "about": DIGEST,
        "cause": "limit",
        "severity": "red",
        "policy_leaf": 4,
        "metric": "auc",
        "detector": "interval",
        "guarantee": None,
        "detail": "below the limit",
        "since": "2008-09-15",
        "first_leaf": 5,
        "last_leaf": 8,
        "count": 2,
        "evidence_digest": DIGEST,
    },
    "alarm.acknowledged": OF_ALARM,
    "alarm.commented": OF_ALARM,
    "alarm.closed": OF_ALARM,
    "alarm.delivered": {
        "alarm_leaf": 9,
        "channel": "mail",
        "attempts": 2,
        "result": "delivered",
    },
    "model.halted": {**NAMED, "state": "blocked", "alarm_leaf": 9},
    "model.resumed": {**NAMED, "halted_leaf": 10, "second_person": "somebody else"},
    "drift": {
        "model_digest": DIGEST,
        "first_leaf": 0,
        "last_leaf": 9,
        "reference_digest": DIGEST,
        "configuration_digest": DIGEST,
        "library": "l",
        "version": "1",
        "result_digest": DIGEST,
    },
    "report": {"report_kind": "honesty", "checkpoint_size": 1, "report_digest": DIGEST},
    "seal": {**SEALED, "checkpoint_size": 1},
    "erasure": {"rows": ["17.3"], "reason": "because", "authority": "the subject"},
    "timestamp": {"leaf": 0, "token_digest": DIGEST, "authority": "CN=somebody"},
    "hold.placed": HOLD,
    "hold.lifted": HOLD,
}


def draft(kind="refusal", **changes):
    fields = {"type": kind, "actor_id": "a", "data": EXAMPLES.get(kind, {}), "event_time": TIME}
    return Draft(**{**fields, **changes})


def entry(made=None, seq=0):
    body = encode_body(made or draft(), origin=ORIGIN, producer=KEY.key_id, seq=seq)
    return assemble(body, KEY.sign(signed_message(body)))


def entry_with(change):
    """An entry whose body was changed before signing."""
    body = unsigned_body(entry(draft("prediction")))
    change(body)
    encoded = canonical_bytes(body)
    return assemble(encoded, KEY.sign(signed_message(encoded)))


# --- layout ----------------------------------------------------------------------------------


def test_the_body_is_an_exact_slice_and_the_signature_is_over_it():
    data = entry(draft("prediction"), seq=7)
    read = parse_entry(data)
    found = read.envelope
    assert data == b'{"body":' + found.body + b',"sig":"' + found.signature_text.encode() + b'"}'
    assert found.message == b"assay/entry/v1\0" + found.body
    assert len(found.signature_text) == 88
    verify_signature(KEY.public, found.message, found.signature)
    assert read.body == unsigned_body(data)
    assert (read.type, read.data["model_name"], read.body["seq"]) == ("prediction", "m", 7)
    assert canonical_bytes({"body": read.body, "sig": found.signature_text}) == data


def test_every_type_has_an_example_a_signer_and_is_read_back():
    assert EXAMPLES.keys() == DATA.keys() == SIGNER_ROLES.keys()
    for kind, data in EXAMPLES.items():
        check_draft(draft(kind))
        assert parse_entry(entry(draft(kind))).data == data


@given(st.integers(0, INT_MAX), st.sampled_from(sorted(EXAMPLES)), st.text(max_size=20))
def test_renumbering_is_encoding_with_another_number(seq, kind, actor):
    made = draft(kind, actor_id=actor + '","seq":0,"type":"', idempotency_key='"seq":')
    try:
        first = encode_body(made, origin=ORIGIN, producer=KEY.key_id, seq=0)
    except LedgerError:
        return
    assert renumber(first, seq) == encode_body(made, origin=ORIGIN, producer=KEY.key_id, seq=seq)


@given(st.data())
def test_a_flipped_bit_is_refused_or_breaks_the_signature(data):
    changed = bytearray(entry(draft("prediction")))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(LedgerError):
        check_signed(bytes(changed))


def check_signed(data):
    read = parse_entry(data).envelope
    verify_signature(KEY.public, read.message, read.signature)


GOOD = entry()
LAYOUTS = {
    "nothing": b"",
    "an empty object": b"{}",
    "no body": b'{"body":' + GOOD[-98:],
    "no signature": GOOD[:-98] + b"}",
    "keys the other way round": b'{"sig":"' + GOOD[-90:-2] + b'","body":' + GOOD[8:-98] + b"}",
    "a third key": GOOD[:-1] + b',"x":1}',
    "a short signature": GOOD[:-4] + b'"}',
    "a signature outside base64": GOOD[:-6] + b"*" + GOOD[-5:],
    "a signature spelled otherwise": GOOD[:-5] + bytes([GOOD[-5] + 1]) + GOOD[-4:],
    "a signature that is not ASCII": GOOD[:-6] + b"\xff" + GOOD[-5:],
    "a body that is a list": assemble(b"[]", bytes(64)),
    "a body with a space": assemble(GOOD[8:-98].replace(b":0,", b": 0,", 1), bytes(64)),
    "a line feed after": GOOD + b"\n",
    "more than 65535 bytes": b'{"body":' + b" " * ENTRY_MAX + GOOD[-98:],
}


@pytest.mark.parametrize("data", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_another_layout_is_refused(data):
    with pytest.raises(RecordError):
        parse_entry(data)


def wide(fields):
    row = row_object(0, {f"n{i}": "1" * 64 for i in range(fields)}, {}, "long")
    return draft("prediction", data={**PREDICTION, "row": row})


@pytest.mark.parametrize(
    "row", ["17", "17.", "17.03", "017.3", "17.3.1", "-1.0", "17.100000", " 1.0"]
)
def test_an_erased_row_has_one_spelling(row):
    with pytest.raises(RecordError, match=r"data\.rows"):
        check_draft(draft("erasure", data={**EXAMPLES["erasure"], "rows": [row]}))


def test_an_entry_has_at_most_65535_bytes_whatever_its_number():
    fields = next(n for n in range(800, 1000) if not fits(n + 1))
    assert ENTRY_MAX - 80 < len(entry(wide(fields), seq=INT_MAX)) <= ENTRY_MAX
    with pytest.raises(RecordError, match="do not fit"):
        entry(wide(fields + 1), seq=0)


def fits(fields):
    try:
        return bool(entry(wide(fields)))
    except RecordError:
        return False


# --- fields ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(DATA))
def test_a_type_has_exactly_its_fields(kind):
    data = EXAMPLES[kind]
    for name in data:
        if (kind, name) == ("prediction", "row_count"):
            continue
        less = {key: value for key, value in data.items() if key != name}
        with pytest.raises(RecordError, match="missing"):
            check_draft(draft(kind, data=less))
        with pytest.raises(RecordError, match=f"data.{name}"):
            check_draft(draft(kind, data={**data, name: {"not": "that"}}))
    with pytest.raises(RecordError, match="unknown"):
        check_draft(draft(kind, data={**data, "more": 1}))


@pytest.mark.parametrize("name", sorted(BODY))
def test_a_body_has_exactly_the_common_fields(name):
    with pytest.raises(RecordError):
        parse_entry(entry_with(lambda body: body.pop(name)))
    if name != "data":
        with pytest.raises(RecordError, match=f"body.{name}"):
            parse_entry(entry_with(lambda body: body.update({name: {"not": "that"}})))
    with pytest.raises(RecordError, match="unknown"):
        parse_entry(entry_with(lambda body: body.update(more=1)))


VALUES = {
    "a time without milliseconds": {"event_time": "2026-11-25T03:20:00Z"},
    "a time in another zone": {"event_time": "2026-11-25T03:20:00.123+01:00"},
    "a day that does not exist": {"event_time": "2026-02-30T03:20:00.123Z"},
    "a leap second": {"event_time": "2026-11-25T23:59:60.000Z"},
    "digits that are not ASCII": {"event_time": "\u0662026-11-25T03:20:00.123Z"},
    "a granularity of nothing": {"event_time_granularity_ms": 0},
    "a granularity that is true": {"event_time_granularity_ms": True},
    "a parent below zero": {"parents": (-1,)},
    "a parent that is false": {"parents": (False,)},
    "too many parents": {"parents": tuple(range(257))},
    "an idempotency key with a space": {"idempotency_key": "a b"},
    "an idempotency key of nothing": {"idempotency_key": ""},
    "an actor of nothing": {"actor_id": ""},
    "an actor of no end": {"actor_id": "a" * 257},
    "a type nobody knows": {"type": "key.burned", "data": {}},
    "a retention without its end": {"retain_until": "for ever"},
    "a digest of another request form": {"request_digest": "sha256:" + "0" * 64},
}


@pytest.mark.parametrize("changes", VALUES.values(), ids=VALUES.keys())
def test_a_value_of_another_form_is_refused_before_it_is_queued(changes):
    with pytest.raises(RecordError):
        check_draft(draft(**changes))


@pytest.mark.parametrize("value", [1.5, INT_MAX + 1, "\ud800", b"bytes", object()])
def test_a_value_without_canonical_form_is_refused(value):
    made = draft(data={**EXAMPLES["refusal"], "detail": value})
    with pytest.raises(LedgerError):
        check_and_encode(made)


def check_and_encode(made):
    check_draft(made)
    return entry(made)


# --- rows ------------------------------------------------------------------------------------


def many(count):
    rows = [row_bytes({**ROW, "row_index": i}) for i in range(count)]
    data = {key: value for key, value in PREDICTION.items() if key != "row"}
    root = root_of([leaf_hash(row) for row in rows]).hex()
    return draft("prediction", data={**data, "row_count": count, "rows_root": root}, rows=rows)


def test_rows_are_held_against_their_root_before_they_are_queued():
    made = many(5)
    check_draft(made)
    assert [parse_row(row)["row_index"] for row in made.rows] == list(range(5))
    for rows in (made.rows[:-1], [], [*made.rows, made.rows[0]]):
        with pytest.raises(RecordError, match="row leaves"):
            check_draft(replace(made, rows=rows))
    with pytest.raises(RecordError, match="the rows have root"):
        check_draft(replace(made, rows=made.rows[::-1]))
    with pytest.raises(RecordError, match="row leaves"):
        check_draft(draft(rows=(b"x",)))


@pytest.mark.parametrize(
    "data",
    [
        {**PREDICTION, "row_count": 0},
        {**PREDICTION, "row_count": 2},
        {**PREDICTION, "row_count": True},
        {**PREDICTION, "rows_root": "0" * 64},
        {**PREDICTION, "row": {**ROW, "row_index": 1}},
        {**PREDICTION, "row": {**ROW, "more": 1}},
        {**PREDICTION, "row": {**ROW, "outputs": {"x": "0" * 63}}},
        {**PREDICTION, "row": {**ROW, "outputs": {"caller_reference": "0" * 64}}},
        {**PREDICTION, "row": {**ROW, "inputs": {"a b": "0" * 64}}},
        {**PREDICTION, "row": [ROW]},
    ],
)
def test_a_row_of_another_form_is_refused(data):
    with pytest.raises(RecordError):
        check_draft(draft("prediction", data=data))


def test_an_opening_of_a_row_that_is_not_there_is_refused():
    sealed = SealedOpening("sub", 1, b"sealed")
    with pytest.raises(RecordError, match="no row 1"):
        check_draft(draft("prediction", openings=(sealed,)))


# --- commitments -----------------------------------------------------------------------------


def test_a_commitment_is_these_bytes():
    salt, name, value = bytes(range(16)), "betr\u00e4ge", "12.5 \u20ac"
    encoded = name.encode()
    expected = hashlib.sha256(
        b"assay/field/v1\0" + salt + len(encoded).to_bytes(4, "big") + encoded + value.encode()
    )
    assert commit_field(name, value, salt) == expected.digest()


@pytest.mark.parametrize("salt", [b"", bytes(15), bytes(17)])
def test_a_salt_has_16_bytes(salt):
    with pytest.raises(RecordError, match="16 bytes"):
        commit_field("x", "1", salt)


def test_name_and_value_do_not_run_into_each_other():
    assert commit_field("ab", "c", bytes(16)) != commit_field("a", "bc", bytes(16))


def opened():
    opening, inputs, outputs = make_opening(2, {"x": "1", "y": "2"}, {"out": "3"}, os.urandom)
    return opening, {"inputs": inputs, "outputs": outputs}


def test_an_opening_opens_what_was_committed():
    opening, committed = opened()
    read = Opening.from_bytes(opening.to_bytes())
    assert read == opening
    check_opening(read, **committed)
    salts = [field.salt for group in (opening.inputs, opening.outputs) for field in group.values()]
    assert len(set(salts)) == 3
    assert {len(salt) for salt in salts} == {16}


def test_a_changed_opening_names_its_field():
    opening, committed = opened()
    field = opening.inputs["y"]
    for changed in (
        OpenedField(field.salt, "2.0"),
        OpenedField(bytes(16), "2"),
        opening.inputs["x"],
    ):
        with pytest.raises(OpeningMismatch, match="opening of y"):
            check_opening(replace(opening, inputs={**opening.inputs, "y": changed}), **committed)
    with pytest.raises(OpeningMismatch, match=r"opening of y.*opens to nothing"):
        check_opening(replace(opening, inputs={"x": opening.inputs["x"]}), **committed)
    with pytest.raises(OpeningMismatch, match=r"opening of z: committed nothing"):
        check_opening(replace(opening, outputs={**opening.outputs, "z": field}), **committed)
    with pytest.raises(OpeningMismatch):
        check_opening(replace(opening, inputs=opening.outputs, outputs=opening.inputs), **committed)


def test_the_callers_reference_is_opened_among_the_outputs():
    opening, committed = opened()
    salt = os.urandom(16)
    reference = commit_field("caller_reference", "order 7", salt).hex()
    with_it = opening.with_caller_reference("order 7", salt)
    check_opening(with_it, **committed, caller_reference=reference)
    assert Opening.from_bytes(with_it.to_bytes()).outputs["caller_reference"].value == "order 7"
    with pytest.raises(OpeningMismatch, match="caller_reference"):
        check_opening(opening, **committed, caller_reference=reference)
    with pytest.raises(OpeningMismatch, match="caller_reference"):
        check_opening(with_it, **committed)


OPENINGS = {
    "a list": [],
    "another schema": {"schema": "assay/opening/v2", "row_index": 0, "inputs": {}, "outputs": {}},
    "no row": {"schema": "assay/opening/v1", "inputs": {}, "outputs": {}},
    "a salt in upper case": {"x": {"salt": "A" * 32, "value": "1"}},
    "a short salt": {"x": {"salt": "a" * 30, "value": "1"}},
    "a number for a value": {"x": {"salt": "a" * 32, "value": 1}},
    "no value": {"x": {"salt": "a" * 32}},
    "a name with a quote": {'x"': {"salt": "a" * 32, "value": "1"}},
}


@pytest.mark.parametrize("value", OPENINGS.values(), ids=OPENINGS.keys())
def test_an_opening_of_another_form_is_refused(value):
    if isinstance(value, dict) and "schema" not in value:
        value = {"schema": "assay/opening/v1", "row_index": 0, "inputs": value, "outputs": {}}
    with pytest.raises(RecordError):
        Opening.from_json(value)
    with pytest.raises(RecordError):
        Opening.from_bytes(canonical_bytes(value))
