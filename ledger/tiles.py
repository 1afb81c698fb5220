"""Tiles: the tree cut into files of 256 hashes, and the entries into bundles (C2SP tlog-tiles).

Tile `n` of level L holds nodes n*256 to n*256+255 of tree height 8*L. A tile that is not full is
partial and named with its width; entries lie in bundles of 256 with a 16-bit length before each.
Everything a verifier needs of a tree of a given size is in `tiles_for(size)`.

Proofs are made here from tiles through a `read_tile(level, n, width)` callable, so that disk,
database and HTTP look alike. No I/O of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import TileError
from ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    ReadTile = Callable[[int, int, int], bytes]

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256  # C2SP tlog-tiles
ENTRY_MAX: Final = 65_535  # bytes; the length before an entry in its bundle has 16 bits
LEVEL_MAX: Final = 7  # a tree of 2^63 leaves has no higher tile
_LENGTH_BYTES: Final = 2

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-7])/(?P<n>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile a path names. `level` is None for an entry bundle; `width` counts its items."""

    level: int | None
    n: int
    width: int

    def __str__(self) -> str:
        return tile_path(self.level, self.n, self.width)


def tile_path(level: int | None, n: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, `tile/0/x001/067` or `tile/entries/000.p/5`."""
    digits = f"{n % 1000:03d}"
    rest = n // 1000
    while rest:
        digits = f"x{rest % 1000:03d}/{digits}"
        rest //= 1000
    partial = f".p/{width}" if width < TILE_WIDTH else ""
    return f"tile/{'entries' if level is None else level}/{digits}{partial}"


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


def width_at(level: int, n: int, size: int) -> int:
    """How many hashes tile `n` of a level has in a tree of `size` leaves; 0 when there is none."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH))


def tiles_for(size: int) -> Iterator[TilePath]:
    """Every tile and entry bundle of a tree, tiles of the lowest level first, bundles last."""
    for level in range(LEVEL_MAX + 1):
        nodes = size >> (TILE_HEIGHT * level)
        for n in range(-(-nodes // TILE_WIDTH)):
            yield TilePath(level, n, width_at(level, n, size))
    for n in range(-(-size // TILE_WIDTH)):
        yield TilePath(None, n, width_at(0, n, size))


# --- content ---------------------------------------------------------------------------------


def split_tile(data: bytes, width: int, name: str = "") -> list[bytes]:
    """The hashes of a tile of that width. Raises TileError."""
    if len(data) != width * HASH_BYTES:
        raise TileError(name, f"{len(data)} bytes are not {width} hashes")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry behind its length, 16 bits, big-endian."""
    parts = []
    for entry in entries:
        if len(entry) > ENTRY_MAX:
            raise TileError("entries", f"an entry of {len(entry)} bytes; at most {ENTRY_MAX}")
        parts.append(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry)
    return b"".join(parts)


def split_bundle(data: bytes, width: int, name: str = "") -> list[bytes]:
    """The entries of a bundle, exactly `width` of them and nothing after. Raises TileError."""
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data) or start > len(data):
            raise TileError(name, f"ends within entry {len(entries)} of {width}")
        entries.append(data[start:end])
        at = end
    if at != len(data):
        raise TileError(name, f"{len(data) - at} bytes after entry {width}")
    return entries


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
