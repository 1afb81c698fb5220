"""Notes and checkpoints: whose signature counts, and one spelling of every byte."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import KeyRefused, NoteError
from ledger.keys import SigningKey
from ledger.note import (
    Checkpoint,
    NoteSigner,
    VerifierKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
)

ORIGIN = "test.example/log"
LOG = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
OTHER = NoteSigner("witness.example", SigningKey(bytes(32)))
CHECKPOINT = Checkpoint(ORIGIN, 20_852_163, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, LOG)


def test_a_checkpoint_is_read_back():
    assert open_checkpoint(NOTE, LOG.vkey) == CHECKPOINT
    assert open_checkpoint(NOTE, f"  {LOG.vkey}\n") == CHECKPOINT
    assert NOTE.split("\n")[:4] == [
        ORIGIN,
        "20852163",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "",
    ]


@given(st.data())
def test_any_flipped_bit_is_refused(data):
    original = NOTE.encode()
    changed = bytearray(original)
    changed[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((NoteError, UnicodeDecodeError)):
        open_checkpoint(bytes(changed).decode(), LOG.vkey)


def test_no_character_can_be_left_out():
    for at in range(len(NOTE)):
        with pytest.raises(NoteError):
            open_checkpoint(NOTE[:at] + NOTE[at + 1 :], LOG.vkey)


def test_unknown_signatures_are_passed_over_up_to_a_hundred():
    text = CHECKPOINT.to_text()
    others = [NoteSigner(f"w{i}.example", SigningKey(bytes([i] * 32))) for i in range(100)]
    assert open_checkpoint(sign_note(text, [*others[:99], LOG]), LOG.vkey) == CHECKPOINT
    with pytest.raises(NoteError, match="101 signatures"):
        open_checkpoint(sign_note(text, [*others, LOG]), LOG.vkey)
    with pytest.raises(NoteError, match="not signed by"):
        open_checkpoint(sign_note(text, others), LOG.vkey)
    with pytest.raises(NoteError, match="not signed by any known key"):
        open_note(NOTE, [])


def test_one_bad_signature_of_a_known_key_refuses_the_note():
    """Beside a good one of the same key, and beside a good one of another known key."""
    bad = NOTE.replace("\n\n", "\n\n" + sign_note("other\n", [LOG]).rpartition("\n\n")[2])
    with pytest.raises(NoteError, match="does not verify"):
        open_checkpoint(bad, LOG.vkey)
    both = sign_note(CHECKPOINT.to_text(), [OTHER]) + bad.rpartition("\n\n")[2]
    keys = [VerifierKey.parse(LOG.vkey), VerifierKey.parse(OTHER.vkey)]
    with pytest.raises(NoteError, match="does not verify"):
        open_note(both, keys)


def test_a_key_of_the_same_name_is_another_key():
    stranger = NoteSigner(ORIGIN, SigningKey(bytes(32)))
    with pytest.raises(NoteError, match="not signed by"):
        open_checkpoint(NOTE, stranger.vkey)


def test_another_logs_checkpoint_under_this_logs_key_is_refused():
    """The signature verifies; the origin is not the key's."""
    note = sign_note(Checkpoint("other.example/log", 1, bytes(32)).to_text(), [LOG])
    with pytest.raises(NoteError, match=r"origin is other\.example/log"):
        open_checkpoint(note, LOG.vkey)
    with pytest.raises(NoteError, match="cannot sign for"):
        sign_checkpoint(Checkpoint("other.example/log", 1, bytes(32)), LOG)


def test_a_signature_has_one_spelling():
    """Base64 of 68 bytes ends in one padding sign and two bits that mean nothing."""
    line = NOTE.rstrip("\n").rpartition(" ")[2]
    spellings = [
        line[:-2] + c + "=" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    ]
    same = [s for s in spellings if base64.b64decode(s) == base64.b64decode(line)]
    for spelling in [*same, line.rstrip("="), line + "=", line[:8] + "\r" + line[8:]]:
        if spelling != line:
            with pytest.raises(NoteError):
                open_checkpoint(NOTE.replace(line, spelling), LOG.vkey)


ROOT = base64.b64encode(bytes(32)).decode()
TEXTS = {
    "nothing": "",
    "no last line feed": f"{ORIGIN}\n1\n{ROOT}",
    "an extension line": f"{ORIGIN}\n1\n{ROOT}\nmore\n",
    "no origin": f"\n1\n{ROOT}\n",
    "no size": f"{ORIGIN}\n\n{ROOT}\n",
    "a leading zero": f"{ORIGIN}\n01\n{ROOT}\n",
    "a sign": f"{ORIGIN}\n-1\n{ROOT}\n",
    "a plus": f"{ORIGIN}\n+1\n{ROOT}\n",
    "other digits": f"{ORIGIN}\n\u0661\n{ROOT}\n",
    "past 63 bits": f"{ORIGIN}\n{2**63}\n{ROOT}\n",
    "a short root": f"{ORIGIN}\n1\n{base64.b64encode(bytes(31)).decode()}\n",
    "a root spelled otherwise": f"{ORIGIN}\n1\n{ROOT[:-2]}B=\n",
    "a root in hex": f"{ORIGIN}\n1\n{bytes(32).hex()}\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize("text", ["no line feed", "a\rb\n", "a\tb\n", "a\0b\n", "\ud800\n"])
def test_what_cannot_be_signed(text):
    with pytest.raises(NoteError):
        sign_note(text, [LOG])


VKEYS = {
    "nothing": "",
    "no hash": f"{ORIGIN}+{LOG.vkey.rpartition('+')[2]}",
    "another hash": LOG.vkey.replace(f"+{LOG.hash.hex()}+", "+00000000+"),
    "upper case": LOG.vkey.replace(LOG.hash.hex(), LOG.hash.hex().upper()),
    "another name": LOG.vkey.replace(ORIGIN, "test.example/logs"),
    "a space in the name": LOG.vkey.replace(ORIGIN, "test example"),
    "no name": LOG.vkey.removeprefix(ORIGIN),
    "an unknown type": f"{ORIGIN}+{LOG.hash.hex()}+" + base64.b64encode(bytes(33)).decode(),
    "a short key": LOG.vkey[:-8],
    "padding that is not needed": LOG.vkey + "====",
}


@pytest.mark.parametrize("vkey", VKEYS.values(), ids=VKEYS.keys())
def test_a_malformed_verifier_key_is_refused(vkey):
    with pytest.raises(KeyRefused):
        VerifierKey.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb"])
def test_a_name_nobody_could_read_back_is_refused(name):
    with pytest.raises(KeyRefused):
        NoteSigner(name, LOG.key)
