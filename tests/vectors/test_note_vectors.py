"""Notes, checkpoints and tiles by others: the C2SP example, and a log grown by Tessera."""

import json

import pytest

from ledger.errors import LedgerError
from ledger.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from ledger.note import VerifierKey, open_checkpoint, open_note, parse_checkpoint
from ledger.tiles import (
    consistency_from_tiles,
    inclusion_from_tiles,
    parse_path,
    root_from_tiles,
    split_bundle,
    tile_path,
    tiles_for,
)
from outside import VECTORS, vectors


@pytest.mark.parametrize("path", vectors("signed-note-spec", "*.json"))
def test_the_specified_note_opens_and_no_other(path):
    example = json.loads(path.read_text("utf-8"))
    key = VerifierKey.parse(example["vkey"])
    assert str(key) == example["vkey"]
    note = example["note"]
    assert open_note(note, [key]) == note.partition("\n\n")[0] + "\n"
    for at, character in enumerate(note):
        changed = note[:at] + ("x" if character != "x" else "y") + note[at + 1 :]
        with pytest.raises(LedgerError):
            open_note(changed, [key])


# The public half of the key that Tessera's repository signs its test log with.
TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def log_path(path):
    return VECTORS / "tessera-testlog" / "testdata" / "log" / path


def checkpoints():
    return [
        parameter
        for parameter in vectors("tessera-testlog", "testdata/log/checkpoint.*")
        if parameter.values[0] is None or parse_size(parameter.values[0]) > 0
    ]


def parse_size(path):
    return read(path).size


def read(path):
    """A checkpoint's text, signature aside."""
    return parse_checkpoint(path.read_text("utf-8").partition("\n\n")[0] + "\n")


def tile(level, n, width):
    return log_path(tile_path(level, n, width)).read_bytes()


@pytest.mark.parametrize("path", vectors("tessera-testlog", "testdata/log/checkpoint*"))
def test_every_foreign_checkpoint_is_signed_by_its_log(path):
    assert open_checkpoint(path.read_text("utf-8"), TESSERA) == read(path)
    with pytest.raises(LedgerError):
        open_checkpoint(path.read_text("utf-8").replace("/testdata\n", "/testdatb\n", 1), TESSERA)


@pytest.mark.parametrize("path", checkpoints())
def test_entries_tiles_and_checkpoint_of_a_foreign_log_agree(path):
    checkpoint = read(path)
    size = checkpoint.size
    bundle = log_path(tile_path(None, 0, size)).read_bytes()
    hashes = [leaf_hash(entry) for entry in split_bundle(bundle, size)]
    assert root_of(hashes) == checkpoint.root
    assert b"".join(hashes) == tile(0, 0, size)
    assert root_from_tiles(size, tile) == checkpoint.root
    for index in range(size):
        way = inclusion_from_tiles(index, size, tile)
        verify_inclusion(hashes[index], index, size=size, path=way, root=checkpoint.root)


@pytest.mark.parametrize("path", checkpoints())
def test_each_foreign_checkpoint_extends_every_earlier_one(path):
    new = read(path)
    for older in log_path("").glob("checkpoint.*"):
        old = read(older)
        if 0 < old.size <= new.size:
            verify_consistency(
                old_size=old.size,
                old_root=old.root,
                new_size=new.size,
                new_root=new.root,
                path=consistency_from_tiles(old.size, new.size, tile),
            )


@pytest.mark.parametrize("path", vectors("tessera-testlog", "testdata/log/tile/**/[0-9]*"))
def test_every_foreign_tile_path_is_read_and_spelled_alike(path):
    name = str(path.relative_to(log_path("")))
    found = parse_path(name)
    assert str(found) == name
    assert found in set(tiles_for(found.width))
