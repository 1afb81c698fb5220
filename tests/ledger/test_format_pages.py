"""The format pages against the program: tables of types, and examples that can be checked.

`python tests/ledger/test_format_pages.py` writes the examples anew.
"""

import base64
import json
import re
from pathlib import Path

import pytest

from ledger.canonical import canonical_bytes
from ledger.columnar import COLUMNS
from ledger.grammar import BODY, DATA, MANY_ROWS, ONE_ROW, SIGNER_ROLES
from ledger.keys import POSSESSION_TAG, Role, SigningKey, verify_signature
from ledger.merkle import EMPTY_ROOT, inclusion_path, leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, open_checkpoint, sign_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import Draft, assemble, encode_body, parse_entry, signed_message

FORMATS = Path(__file__).parents[2] / "docs" / "formats"
ORIGIN = "assay.example/ledger"
LOG = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
KEYS = {Role.OPERATOR: SigningKey(b"\1" * 32), Role.PRODUCER: SigningKey(b"\2" * 32)}
TIME = "2026-11-25T03:20:00.123Z"


def text_of(page):
    return (FORMATS / page).read_text("utf-8")


def sign(kind, data, role, seq):
    key = KEYS[role]
    draft = Draft(type=kind, actor_id=f"house:{role}", data=data, event_time=TIME)
    body = encode_body(draft, origin=ORIGIN, producer=key.key_id, seq=seq)
    return assemble(body, key.sign(signed_message(body)))


def introduced(role, seq):
    key = KEYS[role]
    claim = {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public).decode(),
        "role": str(role),
        "holder": f"house:{role}",
    }
    held = base64.b64encode(key.sign(POSSESSION_TAG + canonical_bytes(claim))).decode()
    return sign("key.added", {**claim, "possession": held}, Role.OPERATOR, seq)


def examples():
    """Every example by page and name."""
    refused = {"cause": "NotApproved", "model_digest": None, "detail": "no model is called x"}
    entries = [
        introduced(Role.OPERATOR, 0),
        introduced(Role.PRODUCER, 1),
        sign("refusal", refused, Role.PRODUCER, 0),
    ]
    hashes = [leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, root_of(hashes)), LOG)
    receipt = Receipt(2, entries[2], 3, tuple(inclusion_path(hashes, 2)), note)
    return {
        ("entry.md", "entry"): entries[2].decode() + "\n",
        ("checkpoint-and-tiles.md", "checkpoint"): note,
        ("checkpoint-and-tiles.md", "vkey"): LOG.vkey + "\n",
        ("receipt.md", "receipt"): json.dumps(receipt.to_json(), indent=2, ensure_ascii=False)
        + "\n",
    }


def block(name):
    return re.compile(rf"(<!-- {name} -->\n```\w*\n)(.*?)(```)", re.DOTALL)


def shown(page, name):
    return block(name).search(text_of(page))[2]


@pytest.mark.parametrize(("page", "name"), examples())
def test_an_example_is_what_the_program_makes(page, name):
    assert shown(page, name) == examples()[page, name], f"run python {__file__}"


def test_the_examples_are_checked_as_a_reader_would():
    vkey = shown("checkpoint-and-tiles.md", "vkey")
    assert open_checkpoint(shown("checkpoint-and-tiles.md", "checkpoint"), vkey).size == 3
    receipt = Receipt.from_json(json.loads(shown("receipt.md", "receipt")))
    verify_receipt(receipt, vkey)
    entry = shown("entry.md", "entry").rstrip("\n").encode()
    assert receipt.entry == entry
    assert entry[8:-98] == parse_entry(entry).envelope.body
    message = b"assay/entry/v1\0" + entry[8:-98]
    verify_signature(KEYS[Role.PRODUCER].public, message, base64.b64decode(entry[-90:-2]))


def rows_of(page, heading):
    part = text_of(page).split(f"\n### {heading}\n", 1)[1].split("\n#")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.split("\n")
        if line.startswith("| `")
    ]


def test_the_table_of_types_is_the_grammar():
    types = {}
    for kind, signer, data in rows_of("entry.md", "Types"):
        types[kind.strip("`")] = signer, re.findall(r"`([\w.]+)`(\??)", data)
    assert types.keys() == DATA.keys()
    for kind, (signer, fields) in types.items():
        assert signer == (SIGNER_ROLES[kind] or "the key it replaces")
        told = dict(fields)
        extra = {ONE_ROW: "", MANY_ROWS: "", COLUMNS: ""} if kind == "prediction" else {}
        checks = DATA[kind]
        assert told == {name: "?" * (not check(None)) for name, check in checks.items()} | extra


def test_the_table_of_common_fields_is_the_grammar():
    names = [name for row in rows_of("entry.md", "Body") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(BODY)


def test_the_empty_tree_on_the_page():
    assert EMPTY_ROOT.hex() in text_of("checkpoint-and-tiles.md")


def rewrite():
    """Put the program's own bytes into each example."""
    for (page, name), content in examples().items():
        text = block(name).sub(lambda match, new=content: match[1] + new + match[3], text_of(page))
        (FORMATS / page).write_text(text, "utf-8")


if __name__ == "__main__":
    rewrite()
