"""Entry bundles, tiles and roots under check: the log's tree, grown again from its entries.

Part of `verify`. One bundle is held at a time, and one hash per 256 leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.refusals import TileError
from ledger.tile_paths import TILE_WIDTH, split_bundle, split_tile, tile_path, tiles_for
from ledger.tree import HASH_BYTES, Frontier, leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.checkpoint import Checkpoint
    from ledger.findings import Tally
    from ledger.tile_paths import TilePath
    from ledger.verify_entries import EntryChecks
    from ledger.verify_files import Files
    from ledger.verify_history import History


@dataclass(slots=True)
class _Tree:
    """A tree as it grows: its right edge, and one hash per full tile of leaves."""

    frontier: Frontier
    nodes: list[bytes]

    def copy(self) -> _Tree:
        return _Tree(self.frontier.copy(), list(self.nodes))


class _Growing:
    """The tree by the entries; once an entry and a tile disagree, beside it the tree by the tiles.

    The root is always judged by the entries. Earlier checkpoints and higher tiles may agree with
    either, so that one bad byte is told where it is and not again at every checkpoint after it.
    """

    def __init__(self) -> None:
        self.trees = [_Tree(Frontier(), [])]

    def add(self, by_entries: list[bytes], by_tile: list[bytes], history: History) -> None:
        """Append one bundle of leaf hashes; both lists are as long."""
        if by_entries != by_tile and len(self.trees) == 1:
            self.trees.append(self.trees[0].copy())
        hashes = [by_entries, by_tile][: len(self.trees)]
        for place in range(len(by_entries)):
            for tree, leaves in zip(self.trees, hashes, strict=True):
                tree.frontier.append(leaves[place])
            if self.trees[0].frontier.size == history.next_size:
                history.compare(self.roots())
        if len(by_entries) == TILE_WIDTH:
            for tree, leaves in zip(self.trees, hashes, strict=True):
                tree.nodes.append(root_of(leaves))

    def roots(self) -> list[bytes]:
        return [tree.frontier.root() for tree in self.trees]

    def upper_tile(self, tile: TilePath) -> list[bytes]:
        """What a tile above level 0 should hold, by each tree."""
        found = []
        for tree in self.trees:
            nodes = tree.nodes
            for _ in range((tile.level or 1) - 1):
                full = len(nodes) - len(nodes) % TILE_WIDTH
                nodes = [root_of(nodes[i : i + TILE_WIDTH]) for i in range(0, full, TILE_WIDTH)]
            start = tile.n * TILE_WIDTH
            found.append(b"".join(nodes[start : start + tile.width]))
        return found


def check_tree(
    files: Files,
    checkpoint: Checkpoint,
    history: History,
    entries: EntryChecks,
    *,
    tally: Tally,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Grow the tree from the bundles, checking entries, tiles and checkpoints on the way."""
    size = checkpoint.size
    growing = _Growing()
    if history.next_size == 0:
        history.compare(growing.roots())
    for first, found, by_entries, by_tile in _bundles(files, size, tally):
        growing.add(by_entries, by_tile, history)
        entries.check_bundle(first, found, by_entries)
        if progress is not None:
            progress(first + len(by_entries), size)
    history.finish()
    signed, computed = checkpoint.root.hex(), growing.roots()[0].hex()
    tally.compare("root", None, signed, computed, f"root of size {size}")
    for tile in tiles_for(size):
        if tile.level:
            _check_upper_tile(files, tile, growing, tally)


def _check_upper_tile(files: Files, tile: TilePath, growing: _Growing, tally: Tally) -> None:
    data = files.read(str(tile))
    wanted = growing.upper_tile(tile)
    if data in wanted:
        tally.passed("tile")
    elif data is not None:
        expected, got = (f"sha256 {sha256(tile).hexdigest()}" for tile in (wanted[0], data))
        tally.fail("tile", None, expected, got, str(tile))


def _bundles(
    files: Files, size: int, tally: Tally
) -> Iterator[tuple[int, list[bytes | None], list[bytes], list[bytes]]]:
    """Per bundle: first leaf, entries (None where unreadable), leaf hashes by entries, by tile.

    Where only one of bundle and tile can be read, its hashes stand for both.
    """
    for n in range(-(-size // TILE_WIDTH)):
        first = n * TILE_WIDTH
        width = min(TILE_WIDTH, size - first)
        by_tile = _leaf_tile(files, n, width, tally)
        found = _entries(files, n, width, by_tile, tally)
        by_entries = [leaf_hash(entry) if entry is not None else b"" for entry in found]
        for place, computed in enumerate(by_entries):
            recorded = by_tile[place] if by_tile else b""
            if not computed:
                by_entries[place] = recorded or bytes(HASH_BYTES)
            elif recorded and computed != recorded:
                tally.fail(
                    "leaf",
                    first + place,
                    f"{recorded.hex()} as in {tile_path(0, n, width)}",
                    computed.hex(),
                )
            else:
                tally.passed("leaf")
        yield first, found, by_entries, by_tile or by_entries


def _leaf_tile(files: Files, n: int, width: int, tally: Tally) -> list[bytes]:
    path = tile_path(0, n, width)
    data = files.read(path)
    if data is None:
        return []
    try:
        hashes = split_tile(data, width, path)
    except TileError as error:
        tally.fail("tile", None, f"{width} hashes", error.reason, path)
        return []
    tally.passed("tile")
    return hashes


def _entries(
    files: Files, n: int, width: int, by_tile: list[bytes], tally: Tally
) -> list[bytes | None]:
    """The bundle's entries; when it cannot be cut, those before the place where it went wrong."""
    path = tile_path(None, n, width)
    data = files.read(path)
    if data is None:
        return [None] * width
    try:
        return list(split_bundle(data, width, path))
    except TileError as error:
        good = _good_prefix(data, width, by_tile)
        leaf = n * TILE_WIDTH + min(len(good), width - 1)
        tally.fail("entry", leaf, f"{width} entries in {path}", error.reason)
        return [*good, *[None] * (width - len(good))]


def _good_prefix(data: bytes, width: int, by_tile: list[bytes]) -> list[bytes]:
    """As many entries as can be cut off and hash to their leaves."""
    good: list[bytes] = []
    at = 0
    while len(good) < min(width, len(by_tile)):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : end]
        if end > len(data) or leaf_hash(entry) != by_tile[len(good)]:
            break
        good.append(entry)
        at = end
    return good
