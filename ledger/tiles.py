"""Tiles: the tree cut into files of 256 hashes, and the entries into bundles (C2SP tlog-tiles).

Tile `n` of level L holds nodes n*256 to n*256+255 of tree height 8*L. A tile that is not full is
partial and named with its width; entries lie in bundles of 256 with a 16-bit length before each.
Everything a verifier needs of a tree of a given size is in `tiles_for(size)`.

Proofs are made here from tiles through a `read_tile(level, n, width)` callable, so that disk,
database and HTTP look alike. No I/O of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ledger.errors import TileError
from ledger.merkle import (
    EMPTY_ROOT,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    ReadTile = Callable[[int, int, int], bytes]

from ledger.tile_paths import (
    _LENGTH_BYTES,
    ENTRY_MAX,
    LEVEL_MAX,
    TILE_HEIGHT,
    TILE_WIDTH,
    TilePath,
    split_bundle,
    split_tile,
    tile_path,
    tiles_for,
    width_at,
)

__all__ = [
    "ENTRY_MAX",
    "LEVEL_MAX",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "TilePath",
    "consistency_from_tiles",
    "encode_bundle",
    "inclusion_from_tiles",
    "parse_path",
    "root_from_tiles",
    "split_bundle",
    "split_tile",
    "tile_path",
    "tiles_for",
    "width_at",
]

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-7])/(?P<n>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


def parse_path(path: str) -> TilePath:
    """Read the path of a tile or bundle; only the one spelling of it. Raises TileError."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise TileError(path[:80], "no such path")
    level = None if match["level"] == "entries" else int(match["level"])
    n = int(re.sub("[x/]", "", match["n"]))
    found = TilePath(level, n, int(match["width"] or TILE_WIDTH))
    if str(found) != path:
        raise TileError(path[:80], f"is spelled {found}")
    return found


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry behind its length, 16 bits, big-endian."""
    parts = []
    for entry in entries:
        if len(entry) > ENTRY_MAX:
            raise TileError("entries", f"an entry of {len(entry)} bytes; at most {ENTRY_MAX}")
        parts.append(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry)
    return b"".join(parts)


# --- proofs from tiles -----------------------------------------------------------------------


def root_from_tiles(size: int, read_tile: ReadTile) -> bytes:
    """The root of the tree of `size` leaves."""
    return _range_hash(0, size, size, read_tile) if size else EMPTY_ROOT


def inclusion_from_tiles(index: int, size: int, read_tile: ReadTile) -> list[bytes]:
    """The inclusion path of leaf `index` in the tree of `size` leaves."""
    return [
        _range_hash(first, end, size, read_tile) for first, end in inclusion_ranges(index, size)
    ]


def consistency_from_tiles(old_size: int, new_size: int, read_tile: ReadTile) -> list[bytes]:
    """The consistency path between two sizes of the tree."""
    return [
        _range_hash(first, end, new_size, read_tile)
        for first, end in consistency_ranges(old_size, new_size)
    ]


def _range_hash(first: int, end: int, size: int, read_tile: ReadTile) -> bytes:
    """The hash over leaves [first, end): complete subtrees, folded from the right edge."""
    nodes = []
    while first < end:
        height = (end - first).bit_length() - 1
        nodes.append(_node(height, first >> height, size, read_tile))
        first += 1 << height
    folded = nodes.pop()
    while nodes:
        folded = node_hash(nodes.pop(), folded)
    return folded


def _node(height: int, index: int, size: int, read_tile: ReadTile) -> bytes:
    """The hash of a complete subtree, from the tile whose nodes lie nearest below it."""
    level, above = divmod(height, TILE_HEIGHT)
    n, place = divmod(index << above, TILE_WIDTH)
    width = width_at(level, n, size)
    hashes = split_tile(read_tile(level, n, width), width, tile_path(level, n, width))
    return root_of(hashes[place : place + (1 << above)])
