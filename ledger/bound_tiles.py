"""Tiles believed only once they lead to a signed root: the tree, at any place, in any order.

`verify_tree` grows the whole tree from leaf 0. A reader who wants one leaf, one earlier root or the
last thousand leaves reads the few tiles above them instead. The partial tiles of the right edge
give the root together; every full tile must hash to its node in the tile above it. So a hash that
is handed out here is the one that the checkpoint commits to, whoever served the tile.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ledger.refusals import TileError
from ledger.tile_paths import TILE_WIDTH, split_tile, tile_path, width_at
from ledger.tiles import root_from_tiles
from ledger.tree import root_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.checkpoint import Checkpoint

TILES_KEPT: Final = 256  # 5 MB; the way up from a leaf has at most 8


class BoundTiles:
    """The tiles of one checkpoint, read through `read(path)`, which raises OSError when absent."""

    def __init__(self, checkpoint: Checkpoint, read: Callable[[str], bytes]) -> None:
        """Read the right edge. Raises TileError or OSError when it does not give the root."""
        self.size = checkpoint.size
        self._read = read
        self._kept: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()
        self._edge: dict[tuple[int, int], bytes] = {}
        root = root_from_tiles(checkpoint.size, self._edge_tile)
        if root != checkpoint.root:
            reason = f"lead to {root.hex()}, the checkpoint has {checkpoint.root.hex()}"
            raise TileError(f"edge of size {checkpoint.size}", reason)

    def hashes(self, level: int, n: int) -> list[bytes]:
        """Every hash of a tile. Raises TileError or OSError."""
        kept = self._kept.get((level, n))
        if kept is None:
            kept = self._hashes(level, n)
            self._kept[level, n] = kept
            if len(self._kept) > TILES_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end((level, n))
        return kept

    def leaf(self, index: int) -> bytes:
        """The hash of leaf `index`, which is below the checkpoint's size."""
        n, place = divmod(index, TILE_WIDTH)
        return self.hashes(0, n)[place]

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return root_from_tiles(size, self.tile)

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile, as the `read_tile` of `ledger.tiles` wants them."""
        return b"".join(self.hashes(level, n)[:width])

    def _hashes(self, level: int, n: int) -> list[bytes]:
        width = width_at(level, n, self.size)
        path = tile_path(level, n, width)
        if width < TILE_WIDTH:  # every partial tile is part of the edge
            return split_tile(self._edge_tile(level, n, width), width, path)
        hashes = split_tile(self._read(path), width, path)
        if root_of(hashes) != self.hashes(level + 1, n // TILE_WIDTH)[n % TILE_WIDTH]:
            raise TileError(path, f"does not hash to its node in level {level + 1}")
        return hashes

    def _edge_tile(self, level: int, n: int, width: int) -> bytes:
        if (level, n) not in self._edge:
            self._edge[level, n] = self._read(tile_path(level, n, width))
        return self._edge[level, n]
