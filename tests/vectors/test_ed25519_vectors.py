"""Wycheproof's Ed25519 signatures: valid ones verify, invalid ones are refused.

Two of ours are stricter than the file: keys and R of small order are refused. No vector that is
published as valid has one, so every verdict is the published one.
"""

import json

import pytest

from ledger.errors import LedgerError
from ledger.keys import verify_signature
from outside import vectors


@pytest.mark.parametrize("path", vectors("wycheproof", "testvectors_v1/*ed25519*.json"))
def test_every_signature_gets_its_published_verdict(path):
    published = json.loads(path.read_text("utf-8"))
    wrong, seen = [], 0
    for group in published["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            seen += 1
            try:
                verify_signature(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            except LedgerError:
                accepted = False
            else:
                accepted = True
            if accepted != (case["result"] == "valid"):
                wrong.append((case["tcId"], case["comment"], case["result"]))
    assert seen == published["numberOfTests"]
    assert not wrong
