"""Tiles read in any order: each hash handed out is the one that the checkpoint commits to."""

import random

import pytest

from ledger.bound_tiles import BoundTiles
from ledger.errors import TileError
from ledger.merkle import EMPTY_ROOT, leaf_hash, root_of
from ledger.note import Checkpoint
from ledger.tiles import TILE_WIDTH, tiles_for

LEAVES = [leaf_hash(str(n).encode()) for n in range(66_000)]


def tree(size):
    """Checkpoint and tiles by path."""
    levels = [LEAVES[:size]]
    while len(levels[-1]) >= TILE_WIDTH:
        nodes = levels[-1]
        full = range(0, len(nodes) - TILE_WIDTH + 1, TILE_WIDTH)
        levels.append([root_of(nodes[i : i + TILE_WIDTH]) for i in full])
    files = {
        str(t): b"".join(levels[t.level][t.n * TILE_WIDTH : t.n * TILE_WIDTH + t.width])
        for t in tiles_for(size)
        if t.level is not None
    }
    return Checkpoint("x", size, root_of(LEAVES[:size])), files


def opened(size, files=None):
    checkpoint, whole = tree(size)
    files = whole if files is None else files

    def read(path):
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    return BoundTiles(checkpoint, read)


def read_level(size, files, level):
    tiles = opened(size, files)
    for n in range(-(-(size >> (8 * level)) // TILE_WIDTH)):
        tiles.hashes(level, n)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 1000, 66_000])
def test_leaves_and_earlier_roots_are_those_of_the_tree(size):
    tiles = opened(size)
    chance = random.Random(size)
    for leaf in {0, size - 1, *(chance.randrange(size) for _ in range(20))}:
        assert tiles.leaf(leaf) == LEAVES[leaf]
    for old in {1, size, *(chance.randrange(1, size + 1) for _ in range(3))}:
        assert tiles.root_at(old) == root_of(LEAVES[:old])


def test_the_empty_tree():
    assert BoundTiles(Checkpoint("x", 0, EMPTY_ROOT), lambda _: b"").root_at(0) == EMPTY_ROOT


@pytest.mark.parametrize("size", [257, 600, 66_000])
def test_a_changed_tile_is_refused_wherever_its_bit_is(size):
    _, files = tree(size)
    chance = random.Random(size)
    paths = sorted(files) if size < 1000 else chance.sample(sorted(files), 20)
    for path in paths:
        changed = bytearray(files[path])
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        with pytest.raises(TileError):
            read_level(size, {**files, path: bytes(changed)}, int(path.split("/")[1]))


def test_a_tile_of_another_length_is_refused():
    _, files = tree(600)
    for path in files:
        with pytest.raises(TileError):
            read_level(600, {**files, path: files[path] + b"\0"}, 0)


def test_another_root_is_refused_at_once():
    _, files = tree(600)
    with pytest.raises(TileError, match="the checkpoint has"):
        BoundTiles(Checkpoint("x", 600, bytes(32)), files.__getitem__)


def test_a_tile_is_read_once_and_a_missing_one_is_an_os_error():
    checkpoint, files = tree(66_000)
    asked = []

    def read(path):
        asked.append(path)
        return files[path]

    tiles = BoundTiles(checkpoint, read)
    for leaf in range(0, 66_000, 7):
        tiles.leaf(leaf)
    level_1 = [path for path in asked if path.startswith("tile/1/")]
    assert len(level_1) == len(set(level_1))
    del files["tile/0/100"]
    with pytest.raises(OSError, match="tile/0/100"):
        opened(66_000, files).leaf(100 * 256)
