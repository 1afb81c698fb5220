"""Where each hash of an inclusion path stands, for the eye (RFC 9162, section 2.1.3.2).

This lays a path out, it checks nothing: no hash is computed. The reader's browser checks it
(`static/receipt.js`, with a key the reader brings), or `assay verify-receipt` does.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Step:
    """One sibling: its hash, and the side of the path it stands on."""

    height: int
    side: str  # "left" or "right"
    node: str


def steps(index: int, size: int, path: Sequence[str]) -> list[Step]:
    """The path from the leaf up; heights count the hashes that were joined, from 1."""
    found = []
    here, last = index, size - 1
    for height, node in enumerate(path, start=1):
        if here & 1 or here == last:
            found.append(Step(height, "left", node))
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            found.append(Step(height, "right", node))
        here, last = here >> 1, last >> 1
    return found


@dataclass(frozen=True, slots=True)
class Note:
    """The lines of a checkpoint, unchecked (C2SP tlog-checkpoint)."""

    origin: str
    size: str
    root: str  # hex, empty when the line is not base64
    signers: tuple[str, ...]


def lay_out(note: str) -> Note:
    """Origin, size, root and names of signers as the note states them."""
    text, _, signatures = note.partition("\n\n")
    lines = [*text.split("\n"), "", "", ""]
    try:
        root = base64.b64decode(lines[2], validate=True).hex()
    except binascii.Error:
        root = ""
    signers = (
        line.split(" ")[1] for line in signatures.split("\n") if line.startswith("\N{EM DASH} ")
    )
    return Note(origin=lines[0], size=lines[1], root=root, signers=tuple(signers))
