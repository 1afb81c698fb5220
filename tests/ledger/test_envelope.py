"""Entries under one signature of their producer: each is checked by itself, and none can be moved."""

import base64
import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import canonical_bytes
from ledger.envelope import BATCH_MAX, body_of, open_envelope
from ledger.errors import LedgerError, RecordError
from ledger.keys import SigningKey, verify_signature
from ledger.signing import PLAIN_MAX, sign_bodies
from ledger.tiles import ENTRY_MAX

KEY = SigningKey(b"\2" * 32)


def bodies(count):
    return [canonical_bytes({"seq": number, "type": "x"}) for number in range(count)]


def root(leaves):
    """RFC 9162, 2.1.1, as it is written there."""
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def check(entry):
    found = open_envelope(entry)
    verify_signature(KEY.public, found.message, found.signature)
    return found.body


@given(st.integers(1, 70))
def test_each_entry_of_a_batch_is_checked_by_itself(count):
    made = bodies(count)
    entries = sign_bodies(made, KEY.sign)
    assert [check(entry) for entry in entries] == made
    assert [body_of(entry) for entry in entries] == made
    for entry in entries:
        assert canonical_bytes(json.loads(entry)) == entry


def test_the_message_is_what_the_page_says():
    made = bodies(5)
    over = root([b"assay/entry/v1\0" + body for body in made])
    message = b"assay/batch/v1\0" + (5).to_bytes(4, "big") + over
    for entry in sign_bodies(made, KEY.sign):
        assert open_envelope(entry).message == message


def test_one_signature_serves_up_to_a_thousand_and_one_alone_has_no_batch():
    calls = []

    def sign(message):
        calls.append(message)
        return KEY.sign(message)

    entries = sign_bodies(bodies(BATCH_MAX + 1), sign)
    assert len(calls) == 2
    assert entries[0].startswith(b'{"batch":{"index":0,')
    assert entries[-1].startswith(b'{"body":')
    assert calls[-1] == b"assay/entry/v1\0" + bodies(BATCH_MAX + 1)[-1]


def test_a_body_with_no_room_for_a_path_is_signed_alone():
    long = canonical_bytes({"text": "x" * PLAIN_MAX})
    short, alone, also_short = sign_bodies([bodies(1)[0], long, bodies(2)[1]], KEY.sign)
    assert alone.startswith(b'{"body":')
    assert [check(entry) for entry in (short, alone, also_short)] == [
        bodies(1)[0],
        long,
        bodies(2)[1],
    ]
    longest = [canonical_bytes({"text": "x" * (PLAIN_MAX - 11)})] * BATCH_MAX
    assert len(longest[0]) == PLAIN_MAX
    assert max(map(len, sign_bodies(longest, KEY.sign))) <= ENTRY_MAX


@given(st.data())
def test_a_flipped_bit_is_refused_or_breaks_the_signature(data):
    entry = bytearray(sign_bodies(bodies(9), KEY.sign)[data.draw(st.integers(0, 8))])
    entry[data.draw(st.integers(0, len(entry) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(LedgerError):
        check(bytes(entry))


def batched(index=1, path=None, size=2, body=b'{"seq":0,"type":"x"}'):
    path = base64.b64encode(bytes(32)).decode() if path is None else path
    start = f'{{"batch":{{"index":{index},"path":"{path}","size":{size}}},"body":'
    signature = base64.b64encode(bytes(64)).decode()
    return start.encode() + body + f',"sig":"{signature}"}}'.encode()


HASH = bytes(32)
EVIL = {
    "a place beyond the batch": batched(index=2),
    "a batch of one": batched(index=0, path="", size=1),
    "a batch of one with a path": batched(index=0, size=1),
    "a batch of none": batched(index=0, size=0),
    "a batch too big": batched(
        path=base64.b64encode(HASH * 11).decode(), size=BATCH_MAX + 1, index=0
    ),
    "a number with a zero before it": batched(index="01"),
    "a negative place": batched(index=-1),
    "a place that is a fraction": batched(index="1.0"),
    "a path too short": batched(size=3, index=0),
    "a path too long": batched(path=base64.b64encode(HASH * 2).decode()),
    "half a hash": batched(path=base64.b64encode(bytes(16)).decode()),
    "base64 in its other spelling": batched(path=base64.b64encode(HASH).decode()[:-2] + "B="),
    "base64 without its end": batched(path=base64.b64encode(HASH).decode().rstrip("=")),
    "a field more": batched(index='1,"more":1'),
    "keys the other way round": batched()
    .replace(b'"index":1,', b"")
    .replace(b'"size":2', b'"size":2,"index":1'),
    "a space": batched().replace(b'"index":1', b'"index": 1'),
    "a batch behind the body": b'{"body":{},"batch":{},"sig":""}',
    "no body": batched(body=b""),
    "no signature": batched()[:-100] + b"}",
}


@pytest.mark.parametrize("name", EVIL)
def test_a_batch_that_is_none_is_refused(name):
    with pytest.raises(RecordError):
        open_envelope(EVIL[name])


def test_the_form_of_the_evil_ones_is_right_but_for_what_is_named():
    open_envelope(batched())


def test_no_entry_can_take_the_place_of_another():
    first, second = sign_bodies(bodies(2), KEY.sign)
    swapped = first.replace(bodies(2)[0], bodies(2)[1])
    assert swapped != first
    with pytest.raises(LedgerError):
        check(swapped)
    lone = sign_bodies(bodies(1), KEY.sign)[0]
    with pytest.raises(LedgerError):  # what was signed alone is no batch, and the reverse
        check(first[: -92 - 6] + lone[-92 - 6 :])
    check(second)
