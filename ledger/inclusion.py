"""An inclusion proof, checked (RFC 9162, section 2.1.3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.refusals import InclusionError
from ledger.tree import HASH_BYTES, root_through

if TYPE_CHECKING:
    from collections.abc import Sequence


def verify_inclusion(
    leaf_hash: bytes, index: int, *, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf_hash` is leaf `index` of the tree of `size` leaves with `root`.

    `path` holds 32-byte sibling hashes, lowest first. RFC 9162, section 2.1.3.2; sides and length
    of the path follow from index and size. Raises InclusionError, with expected and computed root.
    """
    if len(root) != HASH_BYTES:
        raise InclusionError(index=index, size=size, reason="a hash is not 32 bytes wide")
    computed = root_through(leaf_hash, index, size=size, path=path)
    if computed != root:
        raise InclusionError(index=index, size=size, root=root, computed=computed)
