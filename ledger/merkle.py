"""Inclusion and consistency proofs of an append-only Merkle tree (RFC 9162, section 2.1; SHA-256).

Pure functions on bytes: no I/O, no database, no clock. A leaf is hashed behind 0x00 and an inner
node behind 0x01, so that neither passes for the other. Malformed and wrong proofs both raise.

A tree of n > 1 leaves splits at the largest power of two below n. Every proof is therefore a list
of leaf ranges whose subtree hashes it holds: `inclusion_ranges` and `consistency_ranges` give the
ranges, and whoever can hash a range (from a list here, from tiles in `tiles.py`) makes the proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import ConsistencyError, InclusionError

if TYPE_CHECKING:
    from collections.abc import Sequence

from ledger.inclusion import verify_inclusion
from ledger.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    Frontier,
    leaf_hash,
    node_hash,
    root_of,
    root_through,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "consistency_path",
    "consistency_ranges",
    "inclusion_path",
    "inclusion_ranges",
    "leaf_hash",
    "node_hash",
    "paths_for_batch",
    "root_of",
    "root_through",
    "verify_consistency",
    "verify_inclusion",
]


# --- proofs made -----------------------------------------------------------------------------


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaf ranges [first, end) whose hashes prove leaf `index` of `size`, lowest first."""
    if not 0 <= index < size:
        raise InclusionError(index=index, size=size, reason="no such leaf")
    ranges, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """The leaf ranges whose hashes prove a tree of `old_size` a prefix (RFC 9162, 2.1.4.1)."""
    if not 0 < old_size <= new_size:
        raise ConsistencyError(old_size=old_size, new_size=new_size, reason="no such pair of sizes")
    ranges, first, end, whole = [], 0, new_size, True
    while old_size != end:
        middle = first + _split(end - first)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first, whole = middle, False
    if not whole:
        ranges.append((first, end))
    return ranges[::-1]


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The proof that leaf `index` is in the tree over all of `leaf_hashes`."""
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return [root_of(leaf_hashes[first:end]) for first, end in ranges]


def consistency_path(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the first `old_size` leaves are a prefix of the tree over all of them."""
    ranges = consistency_ranges(old_size, len(leaf_hashes))
    return [root_of(leaf_hashes[first:end]) for first, end in ranges]


def paths_for_batch(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Inclusion paths of leaves about to be appended, in the tree that ends with them.

    Nothing older is read: a left sibling wholly in the old tree is a node of `frontier`, which is
    left as it was; every other sibling is made of the batch. A node's path is its sibling and then
    its parent's path, so from the top down each is made once: about two steps a leaf.
    """
    if not leaf_hashes:
        return []
    levels: list[tuple[list[bytes], int]] = []  # nodes from an even position on, and that position
    edge = frontier.nodes[::-1]  # smallest subtree first
    nodes, start = list(leaf_hashes), frontier.size
    while start or len(nodes) > 1:
        if start & 1:
            nodes.insert(0, edge.pop(0))
            start -= 1
        levels.append((nodes, start))
        above = [node_hash(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
        if len(nodes) % 2:  # an odd last node moves up unchanged: it has no sibling here
            above.append(nodes[-1])
        nodes, start = above, start >> 1
    paths: list[tuple[bytes, ...]] = [()]
    for level, first in reversed(levels):
        shift, count = (first >> 1) & 1, len(level)
        paths = [
            (level[i ^ 1], *paths[shift + (i >> 1)]) if i ^ 1 < count else paths[shift + (i >> 1)]
            for i in range(count)
        ]
    return paths[-len(leaf_hashes) :]


def _split(size: int) -> int:
    """The largest power of two below `size` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


# --- proofs checked --------------------------------------------------------------------------


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of `old_size` leaves is a prefix of the tree of `new_size`.

    RFC 9162, section 2.1.4.2. An empty old tree is a prefix of everything and its proof proves
    nothing, so size 0 is refused. Raises ConsistencyError, with expected and computed root.
    """
    reason = _misshapen_consistency(old_size, new_size, path)
    if reason:
        raise ConsistencyError(old_size=old_size, new_size=new_size, reason=reason)
    if old_size == new_size:
        old, new = new_root, new_root
    else:
        # A complete old tree is itself the first node.
        nodes = list(path) if old_size & (old_size - 1) else [old_root, *path]
        old, new = _fold_consistency(old_size, new_size, nodes)
    for root, computed in ((old_root, old), (new_root, new)):
        if computed != root:
            raise ConsistencyError(
                old_size=old_size, new_size=new_size, root=root, computed=computed
            )


def _misshapen_consistency(old_size: int, new_size: int, path: Sequence[bytes]) -> str:
    """Say what is wrong with sizes and widths before any hashing; empty when nothing is."""
    if not 0 < old_size <= new_size:
        return "no such pair of sizes"
    if any(len(node) != HASH_BYTES for node in path):
        return "a hash is not 32 bytes wide"
    if old_size == new_size and path:
        return "path is not empty between equal sizes"
    if old_size != new_size and not path:
        return "path is empty"
    return ""


def _fold_consistency(old_size: int, new_size: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Compute both roots from a path between different sizes (RFC 9162, 2.1.4.2, steps 3 to 7)."""
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise ConsistencyError(old_size=old_size, new_size=new_size, reason="path is too long")
        if place & 1 or place == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, node)
        place, last = place >> 1, last >> 1
    if last:
        raise ConsistencyError(old_size=old_size, new_size=new_size, reason="path is too short")
    return old, new
