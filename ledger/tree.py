"""The tree (RFC 9162, section 2.1; SHA-256): leaf and node hashes, roots, its growing right edge.

A leaf is hashed behind 0x00 and an inner node behind 0x01, so that neither passes for the other. A
tree of n > 1 leaves splits at the largest power of two below n. Proofs are in `merkle.py`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.refusals import InclusionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()  # RFC 9162, 2.1.1: the hash of an empty list


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry's bytes."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of a whole tree, level by level; an odd last node moves up unchanged."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class Frontier:
    """The right edge of a growing tree: one hash per set bit of its size, largest subtree first.

    Enough to go on appending and to know the root at any time, in memory of one hash per level.
    """

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if len(self.nodes) != size.bit_count():
            message = f"{len(self.nodes)} nodes are not the frontier of {size} leaves"
            raise ValueError(message)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self.nodes.pop(), node)
            size >>= 1
        self.nodes.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in self.nodes[-2::-1]:
            root = node_hash(node, root)
        return root

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        return Frontier(self.size, self.nodes)


def root_through(leaf_hash: bytes, index: int, *, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a path leads to from leaf `index` of `size` (RFC 9162, section 2.1.3.2).

    Raises InclusionError for a path of another length or width.
    """
    if not 0 <= index < size:
        raise InclusionError(index=index, size=size, reason="no such leaf")
    if any(len(node) != HASH_BYTES for node in (leaf_hash, *path)):
        raise InclusionError(index=index, size=size, reason="a hash is not 32 bytes wide")
    place, last, computed = index, size - 1, leaf_hash
    for node in path:
        if last == 0:
            raise InclusionError(index=index, size=size, reason="path is too long")
        if place & 1 or place == last:
            computed = node_hash(node, computed)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, node)
        place, last = place >> 1, last >> 1
    if last:
        raise InclusionError(index=index, size=size, reason="path is too short")
    return computed
