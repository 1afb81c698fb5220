"""Receipts: checked offline with the verifier key alone, and nothing in one can be changed."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InclusionError, LedgerError, NoteError, ReceiptError
from ledger.keys import SigningKey
from ledger.merkle import inclusion_path, leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, sign_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import Draft, assemble, encode_body, signed_message

KEY = SigningKey(bytes(range(32)))
ORIGIN = "test.example/log"
LOG = NoteSigner(ORIGIN, KEY)


def make_entry(n, origin=ORIGIN):
    draft = Draft(
        type="refusal",
        actor_id="a",
        data={"cause": "C", "model_digest": None, "detail": f"\u20ac {n}"},
        event_time="2026-11-25T03:20:00.123Z",
    )
    body = encode_body(draft, origin=origin, producer=KEY.key_id, seq=n)
    return assemble(body, KEY.sign(signed_message(body)))


def receipt_of(index, entries, signer=LOG):
    hashes = [leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(signer.name, len(hashes), root_of(hashes)), signer)
    path = tuple(inclusion_path(hashes, index))
    return Receipt(index, entries[index], len(hashes), path, note)


ENTRIES = [make_entry(n) for n in range(7)]
RECEIPT = receipt_of(4, ENTRIES)


def test_every_receipt_of_a_log_is_checked_and_read_back():
    for size in range(1, 8):
        for index in range(size):
            receipt = receipt_of(index, ENTRIES[:size])
            verify_receipt(receipt, LOG.vkey)
            again = Receipt.from_json(json.loads(json.dumps(receipt.to_json())))
            assert again == receipt
            assert again.to_json()["entry"].encode() == ENTRIES[index]


@given(st.data())
def test_any_changed_character_of_the_file_is_refused(data):
    text = json.dumps(RECEIPT.to_json(), ensure_ascii=False)
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.sampled_from('0aAzZ +-"\u2014\n{}'))
    changed = text[:at] + put + text[at + 1 :]
    try:
        receipt = Receipt.from_json(json.loads(changed))
        verify_receipt(receipt, LOG.vkey)
    except (LedgerError, ValueError):
        return
    assert receipt == RECEIPT  # white space between tokens, or the same character again


def test_parts_that_do_not_belong_together_are_refused():
    other = receipt_of(3, ENTRIES)
    older = receipt_of(4, ENTRIES[:5])
    for changed, error in [
        (replace(RECEIPT, leaf_index=3), InclusionError),
        (replace(RECEIPT, leaf_index=7), InclusionError),
        (replace(RECEIPT, entry=other.entry), InclusionError),
        (replace(RECEIPT, path=other.path), InclusionError),
        (replace(RECEIPT, path=RECEIPT.path[:-1]), InclusionError),
        (replace(RECEIPT, path=(*RECEIPT.path, bytes(32))), InclusionError),
        (replace(RECEIPT, checkpoint=older.checkpoint), ReceiptError),
        (replace(RECEIPT, tree_size=5), ReceiptError),
        (replace(RECEIPT, tree_size=5, checkpoint=older.checkpoint), InclusionError),
    ]:
        with pytest.raises(error):
            verify_receipt(changed, LOG.vkey)


def test_a_checkpoint_of_another_log_or_key_is_refused():
    stranger = NoteSigner(ORIGIN, SigningKey(bytes(32)))
    with pytest.raises(NoteError):
        verify_receipt(receipt_of(4, ENTRIES, stranger), LOG.vkey)
    with pytest.raises(NoteError):
        verify_receipt(RECEIPT, NoteSigner("other.example/log", KEY).vkey)


def test_an_entry_of_another_log_is_refused_though_it_is_in_the_tree():
    foreign = receipt_of(0, [make_entry(0, "other.example/log")])
    with pytest.raises(ReceiptError, match=r"entry of other\.example/log"):
        verify_receipt(foreign, LOG.vkey)


def test_a_leaf_that_is_no_entry_is_refused_though_it_is_in_the_tree():
    hashes = [leaf_hash(entry) for entry in ENTRIES[:2]]
    inner = receipt_of(0, [hashes[0] + hashes[1]])
    with pytest.raises(LedgerError, match="not laid out"):
        verify_receipt(inner, LOG.vkey)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("format"),
        lambda value: value.update(format="assay/receipt/v2"),
        lambda value: value.update(state="settled"),
        lambda value: value.update(more=1),
        lambda value: value.update(leaf_index="4"),
        lambda value: value.update(leaf_index=True),
        lambda value: value.update(entry=value["entry"] + "\ud800"),
        lambda value: value.update(entry=json.loads(value["entry"])),
        lambda value: value.update(inclusion=[]),
        lambda value: value["inclusion"].update(tree_size=-1),
        lambda value: value["inclusion"]["path"].append("zz"),
        lambda value: value["inclusion"]["path"].append("A" * 64),
        lambda value: value.update(checkpoint=None),
    ],
)
def test_a_file_of_another_form_is_refused(change):
    value = RECEIPT.to_json()
    change(value)
    with pytest.raises(ReceiptError):
        Receipt.from_json(value)


@pytest.mark.parametrize("value", [None, [], "x", 7, {}])
def test_what_is_no_object_is_refused(value):
    with pytest.raises(ReceiptError):
        Receipt.from_json(value)


def test_the_tlog_proof_is_the_published_layout():
    head, _, checkpoint = RECEIPT.to_tlog_proof().partition("\n\n")
    first, index, *path = head.split("\n")
    assert (first, index) == ("c2sp.org/tlog-proof@v1", "index 4")
    assert [base64.b64decode(line) for line in path] == list(RECEIPT.path)
    assert checkpoint == RECEIPT.checkpoint
