"""The tamper drill: flip one byte of one recorded decision in a copy of the export, audit the copy.

The byte is chosen inside a prediction entry, in the middle of the log, so that the auditor has to
say which of thousands it was.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.tiles import TILE_WIDTH

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Flip:
    """What was changed: which file, which byte, which leaf that is."""

    file: str
    offset: int
    leaf: int
    before: int
    after: int


def copy_export(export: Path, copy: Path) -> None:
    """A copy that shares no file with the original; links would let the drill reach it."""
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(export, copy, symlinks=True)


def flip_one_byte(copy: Path, *, leaf: int) -> Flip:
    """Change the first digit of the recorded model digest of entry `leaf`."""
    path, start = _find(copy, leaf)
    data = bytearray(path.read_bytes())
    offset = data.index(b'"model_digest":"sha256:', start) + len('"model_digest":"sha256:')
    before = data[offset]
    data[offset] = ord("0") if before != ord("0") else ord("1")
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(bytes(data))
    temporary.replace(path)
    return Flip(str(path.relative_to(copy)), offset, leaf, before, data[offset])


def _find(copy: Path, leaf: int) -> tuple[Path, int]:
    """The bundle holding a leaf, and where its bytes begin (2-byte length before each entry)."""
    bundle, place = divmod(leaf, TILE_WIDTH)
    folder = copy / "tile" / "entries"
    name = f"{bundle:03d}"
    candidates = [folder / name, *sorted((folder / f"{name}.p").glob("*"))]
    path = next(candidate for candidate in reversed(candidates) if candidate.is_file())
    data, at = path.read_bytes(), 0
    for _ in range(place):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return path, at + 2
