"""Which tiles and entry bundles a tree has, their names, and how they are cut (C2SP tlog-tiles).

Tile `n` of level L holds nodes n*256 to n*256+255 of tree height 8*L. A tile that is not full is
partial and named with its width; entries lie in bundles of 256 with a 16-bit length before each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.refusals import TileError
from ledger.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadTile = Callable[[int, int, int], bytes]

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256  # C2SP tlog-tiles
ENTRY_MAX: Final = 65_535  # bytes; the length before an entry in its bundle has 16 bits
LEVEL_MAX: Final = 7  # a tree of 2^63 leaves has no higher tile
_LENGTH_BYTES: Final = 2


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
