"""Tiles: the geometry of C2SP tlog-tiles, hostile paths and bundles, proofs read from tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InclusionError, TileError
from ledger.merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    verify_inclusion,
)
from ledger.tiles import (
    ENTRY_MAX,
    TILE_WIDTH,
    TilePath,
    consistency_from_tiles,
    encode_bundle,
    inclusion_from_tiles,
    parse_path,
    root_from_tiles,
    split_bundle,
    split_tile,
    tile_path,
    tiles_for,
    width_at,
)

HASHES = [leaf_hash(b"%d" % i) for i in range(70_000)]


def tree_tiles(size):
    """Every hash tile of a tree, by path, straight from the definition."""
    tiles, nodes, level = {}, HASHES[:size], 0
    while nodes:
        for n in range(-(-len(nodes) // TILE_WIDTH)):
            part = nodes[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
            tiles[tile_path(level, n, len(part))] = b"".join(part)
        full = len(nodes) // TILE_WIDTH
        nodes = [root_of(nodes[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]) for n in range(full)]
        level += 1
    return tiles


def reader(size):
    tiles = tree_tiles(size)
    return lambda level, n, width: tiles[tile_path(level, n, width)]


def test_the_specifications_tree_of_70000():
    tiles = list(tiles_for(70_000))
    hashed = [tile for tile in tiles if tile.level is not None]
    full = TILE_WIDTH
    assert [t.width for t in hashed if t.level == 0] == [full] * 273 + [112]
    assert [t.width for t in hashed if t.level == 1] == [full, 17]
    assert [t.width for t in hashed if t.level == 2] == [1]
    assert {str(t) for t in hashed} == tree_tiles(70_000).keys()
    assert [t.width for t in tiles if t.level is None] == [full] * 273 + [112]


def test_a_full_tile_has_a_partial_one_above():
    assert list(map(str, tiles_for(256))) == ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    assert list(tiles_for(0)) == []
    assert width_at(1, 0, 255) == 0


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("tile/0/000", TilePath(0, 0, 256)),
        ("tile/0/x001/x234/067", TilePath(0, 1_234_067, 256)),
        ("tile/2/005.p/255", TilePath(2, 5, 255)),
        ("tile/entries/x001/000.p/1", TilePath(None, 1000, 1)),
    ],
)
def test_a_path_is_read_and_spelled_alike(path, found):
    assert parse_path(path) == found
    assert str(found) == path


@given(
    st.one_of(st.none(), st.integers(0, 7)),
    st.integers(0, 10**12),
    st.integers(1, TILE_WIDTH),
)
def test_every_tile_has_one_path(level, n, width):
    assert parse_path(tile_path(level, n, width)) == TilePath(level, n, width)


HOSTILE = [
    "",
    "tile",
    "tile/0",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/00/000",
    "tile/8/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/data/000",
    "tile/0/x000/000",
    "tile/0/001/000",
    "tile/0/x001",
    "tile/0/000.p/0",
    "tile/0/000.p/00",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/999",
    "tile/0/000.p/",
    "tile/0/000.p",
    "tile/0/000/",
    "tile/0/000\n",
    "/tile/0/000",
    "tile/0/../../../etc/passwd",
    "tile/entries/../000",
    "tile/0/\u0660\u0660\u0660",  # digits, but not ASCII ones
    "tile/0/" + "x000/" * 4000 + "000",
]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: repr(path)[:40])
def test_a_hostile_path_is_refused(path):
    with pytest.raises(TileError):
        parse_path(path)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_its_entries_back(entries):
    assert split_bundle(encode_bundle(entries), len(entries)) == entries


def test_a_bundle_of_the_longest_entry():
    longest = bytes(ENTRY_MAX)
    assert split_bundle(encode_bundle([longest, b""]), 2) == [longest, b""]
    with pytest.raises(TileError, match="65536 bytes"):
        encode_bundle([longest + b"\0"])


@pytest.mark.parametrize(
    ("data", "width", "reason"),
    [
        (b"", 1, "ends within entry 0 of 1"),
        (b"\0", 1, "ends within entry 0 of 1"),
        (b"\0\1", 1, "ends within entry 0 of 1"),
        (b"\0\0\0\2x", 2, "ends within entry 1 of 2"),
        (b"\0\0\0\0", 1, "2 bytes after entry 1"),
        (b"\0", 0, "1 bytes after entry 0"),
    ],
)
def test_a_malformed_bundle_is_refused(data, width, reason):
    with pytest.raises(TileError, match=reason):
        split_bundle(data, width, "tile/entries/000")


def test_a_tile_of_another_length_is_refused():
    assert split_tile(HASHES[0] + HASHES[1], 2) == HASHES[:2]
    with pytest.raises(TileError, match="63 bytes are not 2 hashes"):
        split_tile(bytes(63), 2)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, 70_000])
def test_the_root_from_tiles(size):
    assert root_from_tiles(size, reader(size)) == (root_of(HASHES[:size]) or EMPTY_ROOT)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 513, 1000, 70_000])
def test_proofs_from_tiles_are_those_from_leaves(size):
    read = reader(size)
    places = {0, size // 3, size // 2, size - 1}
    for index in places:
        path = inclusion_from_tiles(index, size, read)
        assert path == inclusion_path(HASHES[:size], index)
        verify_inclusion(HASHES[index], index, size=size, path=path, root=root_of(HASHES[:size]))
        proof = consistency_from_tiles(index + 1, size, read)
        assert proof == consistency_path(HASHES[:size], index + 1)


def test_no_proof_of_a_leaf_outside():
    with pytest.raises(InclusionError):
        inclusion_from_tiles(5, 5, reader(5))


def test_a_tile_too_short_stops_the_proof():
    with pytest.raises(TileError, match=r"tile/0/000\.p/5: 32 bytes are not 5 hashes"):
        inclusion_from_tiles(0, 5, lambda level, n, width: bytes(32))
