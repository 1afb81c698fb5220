"""Merkle trees by others: RFC 6962's own tree, and 196 good and corrupted proofs of Trillian's."""

import base64
import json

import pytest

from ledger.errors import ConsistencyError, InclusionError
from ledger.merkle import (
    Frontier,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.seal import RowTree, period_root
from outside import vectors


def b64(text):
    return base64.b64decode(text or "")


@pytest.mark.parametrize("path", vectors("rfc6962-reference", "*.json"))
def test_the_reference_tree(path):
    tree = json.loads(path.read_text("utf-8"))
    leaves = [bytes.fromhex(text) for text in tree["leaves_hex"]]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    frontier = Frontier()
    for size, root in enumerate(tree["roots_by_size"]):
        assert root_of(hashes[:size]).hex() == root
        assert frontier.root().hex() == root
        assert period_root(hashes[:size]).hex() == root
        assert RowTree(leaves[:size]).root.hex() == root
        for index in range(size):
            way = inclusion_path(hashes[:size], index)
            verify_inclusion(hashes[index], index, size=size, path=way, root=bytes.fromhex(root))
        if size < len(hashes):
            frontier.append(hashes[size])
    level = hashes
    for published in tree["nodes_by_level"]:
        assert [node.hex() for node in level] == published
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]


@pytest.mark.parametrize("path", vectors("transparency-dev-merkle", "testdata/inclusion/**/*.json"))
def test_inclusion_probe(path):
    probe = json.loads(path.read_text("utf-8"))

    def check():
        verify_inclusion(
            b64(probe["leafHash"]),
            probe["leafIdx"],
            size=probe["treeSize"],
            path=[b64(node) for node in probe["proof"] or []],
            root=b64(probe["root"]),
        )

    if probe["wantErr"]:
        with pytest.raises(InclusionError):
            check()
    else:
        check()


@pytest.mark.parametrize(
    "path", vectors("transparency-dev-merkle", "testdata/consistency/**/*.json")
)
def test_consistency_probe(path):
    probe = json.loads(path.read_text("utf-8"))

    def check():
        verify_consistency(
            old_size=probe["size1"],
            old_root=b64(probe["root1"]),
            new_size=probe["size2"],
            new_root=b64(probe["root2"]),
            path=[b64(node) for node in probe["proof"] or []],
        )

    if probe["wantErr"]:
        with pytest.raises(ConsistencyError):
            check()
    else:
        check()
