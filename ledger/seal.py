"""Static Merkle trees over closed sets, by `merkletools`: rows of one request, a day's leaves.

The only file that imports merkletools (1.0.3). What to know about it:

- its shape is RFC 6962's (an odd node moves up), only the prefixes are missing: its hash function
  is replaced by one that puts 0x01 before two nodes, and leaves are added already hashed behind
  0x00. Roots and paths then equal those of `merkle.py`; tests compare them;
- it gives None as the root of nothing, and it warns at import that a package it never needs is
  absent;
- its `validate_proof` must not be used: it takes a malformed left sibling for a right one. What is
  checked is checked by `merkle.py`;
- it rebuilds everything each time and keeps all of it in memory: 100,000 leaves take 0.2 s, so it
  is never used for the log itself.
"""

from __future__ import annotations

import warnings
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ledger.errors import InclusionError
from ledger.merkle import EMPTY_ROOT, leaf_hash

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from merkletools import MerkleTools

if TYPE_CHECKING:
    from collections.abc import Sequence


def _hash_pair(pair: bytes | bytearray) -> Any:  # noqa: ANN401 - a hashlib object
    return sha256(b"\1" + pair)


def _tree(leaf_hashes: Sequence[bytes]) -> MerkleTools:
    tree = MerkleTools(hash_type="sha256")
    tree.hash_function = _hash_pair
    tree.add_leaf([leaf.hex() for leaf in leaf_hashes])
    tree.make_tree()
    return tree


def period_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over the leaf hashes of a closed period; the empty root for an empty one."""
    if not leaf_hashes:
        return EMPTY_ROOT
    return bytes.fromhex(_tree(leaf_hashes).get_merkle_root())


class RowTree:
    """The tree over the rows of one request: each row's bytes are a leaf."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._size = len(rows)
        self._tree = _tree([leaf_hash(row) for row in rows])

    @property
    def root(self) -> bytes:
        """What the entry commits to."""
        return bytes.fromhex(self._tree.get_merkle_root()) if self._size else EMPTY_ROOT

    def path(self, index: int) -> list[bytes]:
        """Sibling hashes of one row, lowest first."""
        if not 0 <= index < self._size:
            raise InclusionError(index=index, size=self._size, reason="no such row")
        return [bytes.fromhex(next(iter(step.values()))) for step in self._tree.get_proof(index)]
