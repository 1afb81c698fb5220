"""Cosignatures: the standard's example, real witnesses' signatures, and everything that is refused."""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.cosignature import (
    COSIGNATURE,
    LATEST,
    Cosigner,
    WitnessKey,
    cosigned_message,
    read_cosignatures,
    verify_cosignatures,
)
from ledger.errors import KeyRefused, NoteError
from ledger.keys import SigningKey
from ledger.note import (
    Checkpoint,
    NoteSigner,
    VerifierKey,
    format_signature,
    open_checkpoint,
    parse_signature,
    sign_checkpoint,
)

# C2SP tlog-cosignature, its example and its signed message (CC BY 4.0).
EXAMPLE = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
EXAMPLE_MESSAGE = b"""\
cosignature/v1
time 1679315147
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""
# A public Sigsum log of 17,157 leaves as four public witnesses cosigned it on 2025-12-12 (the proof
# shown in github.com/florolf/spic, doc/example.md), each under the verifier key it publishes.
REAL_TEXT = (
    "sigsum.org/v1/tree/4e89cc51651f0d95f3c6127c15e1a42e3ddf7046c5b17b752689c402e773bb4d\n"
    "17157\nhsB6OVmnWoZA3QHDOmLPQiLviKzkf3BqBpBdkV5wWj0=\n"
)
REAL_TIME = 1765558886
REAL = {
    "rgdd.se/poc-witness+db03732e+BCjJKlo6BU0xfIb8LutqerIFTWIXEA0L5n3tW3QyPFgG": (
        "c568d60cc7d2bf339e4a74597adfe12e09bf9bc9c13e194774c8bc103930e565"
        "1290bffc6cb2cf57ffef18ff7d68b34d4560451a0521d6c16e595367eed8f40a"
    ),
    "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G": (
        "0bd36c6f510e36939758d6b4df06bb90ad332ef2a590ef82a831d50876748387"
        "540891d0e4f77253b396ec57c20f07a33a2dfa644b7b44383000a62924c7e20d"
    ),
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2": (
        "0870780996726ef5376e739f595c3e5ac1e482648f13a6c2ac215051b1c70730"
        "13470bfd5ba870338776fe9b2bd8bb41ae92fec9fae6b4715cb3c7e21b8fad03"
    ),
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv": (
        "642aa8748405401886796c9a3dbddf57942976af469429044f7206489d4b4979"
        "c44ae445c998e0bd0b6b7e0d0da5fa7fe142338ed8a69ac521d694c3cf2cd403"
    ),
}

LOG = NoteSigner("log.example/1", SigningKey(bytes(range(32))))
W1 = Cosigner("w.example/1", SigningKey(sha256(b"w1").digest()))
W2 = Cosigner("w.example/2", SigningKey(sha256(b"w2").digest()))
KEY1, KEY2 = WitnessKey.parse(W1.vkey), WitnessKey.parse(W2.vkey)
TEXT = Checkpoint(LOG.name, 7, sha256(b"root").digest()).to_text()
NOTE = sign_checkpoint(Checkpoint(LOG.name, 7, sha256(b"root").digest()), LOG)
TIME = 1_795_000_000


def line_of(witness, time, signature, hashed=None):
    key = WitnessKey.parse(witness.vkey)
    return format_signature(key.name, hashed or key.hash, time.to_bytes(8, "big") + signature)


# --- outside evidence --------------------------------------------------------------------------


def test_the_standards_example_holds_the_time_its_message_states():
    name, hashed, signature = parse_signature(EXAMPLE.splitlines()[-1])
    assert (name, hashed.hex(), len(signature)) == ("witness.example.com/w1", "8d66cf3f", 8 + 64)
    assert int.from_bytes(signature[:8], "big") == 1679315147
    text = EXAMPLE.partition("\n\n")[0] + "\n"
    assert cosigned_message(text, 1679315147) == EXAMPLE_MESSAGE


def test_the_standards_example_passes_as_a_note_of_unknown_witnesses():
    assert verify_cosignatures(EXAMPLE, [KEY1, KEY2]) == []


@pytest.mark.parametrize("vkey", REAL, ids=lambda vkey: vkey.partition("+")[0])
def test_what_real_witnesses_signed_verifies(vkey):
    key = WitnessKey.parse(vkey)
    assert str(key) == vkey
    stamped = REAL_TIME.to_bytes(8, "big") + bytes.fromhex(REAL[vkey])
    note = REAL_TEXT + "\n" + format_signature(key.name, key.hash, stamped)
    (found,) = verify_cosignatures(note, [key])
    assert (found.witness, found.time) == (key, REAL_TIME)
    with pytest.raises(NoteError, match="does not verify"):
        verify_cosignatures(note.replace("17157", "17158"), [key])


# --- ours --------------------------------------------------------------------------------------


def test_a_cosignature_is_what_the_standard_says_byte_for_byte():
    name, hashed, signature = parse_signature(W1.cosign(TEXT, TIME).removesuffix("\n"))
    public = W1.key.public
    assert name == W1.name
    assert hashed == sha256(W1.name.encode() + b"\n\x04" + public).digest()[:4]
    message = f"cosignature/v1\ntime {TIME}\n{TEXT}".encode()
    Ed25519PublicKey.from_public_bytes(public).verify(signature[8:], message)
    assert signature[:8] == TIME.to_bytes(8, "big")
    assert W1.vkey == f"{name}+{hashed.hex()}+{base64.b64encode(bytes([4]) + public).decode()}"


def test_cosignatures_are_found_in_the_notes_order_and_strangers_ignored():
    lines = [W2.cosign(TEXT, TIME), W1.cosign(TEXT, TIME + 5), W1.cosign(TEXT, TIME + 1)]
    note = NOTE + "".join(lines)
    found = verify_cosignatures(note, [KEY1, KEY2])
    assert [(c.witness, c.time, c.line) for c in found] == [
        (KEY2, TIME, lines[0]),
        (KEY1, TIME + 5, lines[1]),
        (KEY1, TIME + 1, lines[2]),
    ]
    assert [c.witness for c in verify_cosignatures(note, [KEY1])] == [KEY1, KEY1]
    assert open_checkpoint(note, LOG.vkey).size == 7  # and the log's own reader does not mind


def test_every_flipped_bit_of_a_cosignature_is_refused_or_not_his():
    line = W1.cosign(TEXT, TIME)
    name, hashed, signature = parse_signature(line.removesuffix("\n"))
    raw = hashed + signature
    for place in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[place // 8] ^= 1 << place % 8
        note = NOTE + format_signature(name, bytes(bad[:4]), bytes(bad[4:]))
        if place < 32:  # another key id is another key
            assert verify_cosignatures(note, [KEY1]) == []
            continue
        with pytest.raises(NoteError):
            verify_cosignatures(note, [KEY1])


def test_one_bad_cosignature_of_a_known_witness_refuses_the_note():
    bad = line_of(W1, TIME, bytes(64))
    with pytest.raises(NoteError, match=r"w\.example/1 does not verify"):
        verify_cosignatures(NOTE + W1.cosign(TEXT, TIME) + bad, [KEY1])
    assert verify_cosignatures(NOTE + bad + W2.cosign(TEXT, TIME), [KEY2])  # to others it is noise


@pytest.mark.parametrize("time", [0, LATEST + 1, 2**64 - 1])
def test_a_time_that_no_witness_can_mean_is_refused(time):
    signature = W1.key.sign(f"cosignature/v1\ntime {time}\n{TEXT}".encode())
    with pytest.raises(NoteError, match=f"the time {time}"):
        verify_cosignatures(NOTE + line_of(W1, time, signature), [KEY1])


@pytest.mark.parametrize("length", [1, 8, 63, 65])
def test_a_cosignature_of_another_length_is_refused(length):
    with pytest.raises(NoteError, match=f"has {8 + length} bytes"):
        verify_cosignatures(NOTE + line_of(W1, TIME, bytes(length)), [KEY1])


def test_a_plain_signature_by_the_witnesss_key_is_no_cosignature():
    plain = format_signature(W1.name, KEY1.hash, W1.key.sign(TEXT.encode()))
    with pytest.raises(NoteError, match="64 bytes"):
        verify_cosignatures(NOTE + plain, [KEY1])
    as_log = NoteSigner(W1.name, W1.key)  # type 1 over the same key: another key id, so a stranger
    line = format_signature(as_log.name, as_log.hash, W1.key.sign(TEXT.encode()))
    assert verify_cosignatures(NOTE + line, [KEY1]) == []


def test_keys_of_logs_and_witnesses_do_not_pass_for_each_other():
    with pytest.raises(KeyRefused, match="type 4"):
        WitnessKey.parse(LOG.vkey)
    with pytest.raises(KeyRefused, match="type 1"):
        VerifierKey.parse(W1.vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "\ud800"])
def test_a_name_that_no_line_can_carry_is_refused(name):
    with pytest.raises(KeyRefused):
        Cosigner(name, W1.key)


def test_a_witnesss_answer_is_read_line_by_line():
    answer = W2.cosign(TEXT, TIME) + W1.cosign(TEXT, TIME)
    (found,) = read_cosignatures(TEXT, answer, KEY1)
    assert found.line == W1.cosign(TEXT, TIME)
    assert read_cosignatures(TEXT, W2.cosign(TEXT, TIME), KEY1) == []
    with pytest.raises(NoteError, match="does not verify"):
        read_cosignatures(TEXT.replace("7", "8"), answer, KEY1)


@pytest.mark.parametrize("answer", ["", "\n", "hello", "<html>", "— w.example/1 !!!!\n", "\n\n"])
def test_an_answer_that_is_no_signature_line_is_refused(answer):
    with pytest.raises(NoteError):
        read_cosignatures(TEXT, answer, KEY1)


@given(st.integers(1, LATEST), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_whatever_is_cosigned_verifies_and_nothing_else(time, size, root):
    text = Checkpoint("o", size, root).to_text()
    line = W1.cosign(text, time)
    (found,) = read_cosignatures(text, line, KEY1)
    assert found.time == time
    other = Checkpoint("o", size ^ 1, root).to_text()
    with pytest.raises(NoteError):
        read_cosignatures(other, line, KEY1)


def test_the_type_of_a_cosignature_is_the_standards():
    assert COSIGNATURE == 4
