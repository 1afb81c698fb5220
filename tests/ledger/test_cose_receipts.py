"""COSE receipts: read by an independent implementation, and refused when anything changed."""

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.cose import to_cose, verify_cose
from ledger.errors import LedgerError
from ledger.note import VerifierKey
from logs import LOG_KEY, ORIGIN
from outside import vectors


def pem(key):
    public = Ed25519PublicKey.from_public_bytes(key.public)
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def grown(log):
    for n in range(20):
        log.refuse(n)
    return log


def test_an_independent_reader_accepts_every_leaf(grown):
    for leaf in range(grown.ledger.size):
        receipt = grown.ledger.receipt(leaf)
        data = to_cose(receipt, key=LOG_KEY, origin=ORIGIN)
        found = scitt_cose.verify_receipt(
            data, leaf_entry_hex=receipt.entry.hex(), log_public_key_pem=pem(LOG_KEY).decode()
        )
        assert found.ok, found.errors
        ours = verify_cose(data, receipt.entry, VerifierKey.parse(grown.ledger.vkey))
        assert (ours.leaf_index, ours.tree_size) == (leaf, grown.ledger.size)


def test_an_independent_reader_refuses_another_entry(grown):
    receipt = grown.ledger.receipt(7)
    data = to_cose(receipt, key=LOG_KEY, origin=ORIGIN)
    other = grown.ledger.entry(8).entry
    found = scitt_cose.verify_receipt(
        data, leaf_entry_hex=other.hex(), log_public_key_pem=pem(LOG_KEY).decode()
    )
    assert not found.ok
    with pytest.raises(LedgerError):
        verify_cose(data, other, VerifierKey.parse(grown.ledger.vkey))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_refused(data):
    receipt, cose, vkey = made()
    at = data.draw(st.integers(0, len(cose) - 1))
    changed = bytearray(cose)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(LedgerError):
        verify_cose(bytes(changed), receipt.entry, vkey)


def made(cache={}):  # noqa: B006 - one log for every example
    import tempfile
    from pathlib import Path

    from logs import create_log

    if not cache:
        log = create_log(Path(tempfile.mkdtemp()) / "log")
        for n in range(9):
            log.refuse(n)
        receipt = log.ledger.receipt(6)
        vkey = VerifierKey.parse(log.ledger.vkey)
        cache["made"] = receipt, to_cose(receipt, key=LOG_KEY, origin=ORIGIN), vkey
        log.engine.dispose()
    return cache["made"]


def test_every_bit_of_a_receipt_is_refused_when_flipped():
    """All of them once: a tree size next to the true one has the same path and the same root."""
    receipt, cose, vkey = made()
    accepted = []
    for at in range(len(cose)):
        for bit in range(8):
            changed = bytearray(cose)
            changed[at] ^= 1 << bit
            try:
                verify_cose(bytes(changed), receipt.entry, vkey)
            except LedgerError:
                continue
            accepted.append((at, bit))
    assert accepted == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        cbor2.dumps([1, 2, 3, 4]),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, None])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b"root", b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {396: {-1: []}}, None, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"\xa0", {396: {-1: [b"\x83\x01\x00\x80"]}}, None, b""])),
        b"\x9f" * 5000,
        b"\xd2" * 5000,
    ],
)
def test_malformed_receipts_are_refused(data):
    receipt, _, vkey = made()
    with pytest.raises(LedgerError):
        verify_cose(data, receipt.entry, vkey)


@pytest.mark.parametrize("path", vectors("cose-receipts", "examples/inclusion-receipt.cbor"))
def test_the_published_example_has_the_structure_we_write(path):
    """Its entry and key were not published, so its proof cannot be checked; its form can."""
    example = cbor2.loads(path.read_bytes())
    _, cose, _ = made()
    ours = cbor2.loads(cose)
    assert example.tag == ours.tag == 18
    for theirs, mine in zip(example.value, ours.value, strict=True):
        assert type(theirs) is type(mine)
    headers, mine = cbor2.loads(example.value[0]), cbor2.loads(ours.value[0])
    assert headers[395] == mine[395] == 1
    assert set(headers) == set(mine)
    (proof,), (own,) = example.value[1][396][-1], ours.value[1][396][-1]
    assert [type(part) for part in cbor2.loads(proof)] == [type(part) for part in cbor2.loads(own)]
