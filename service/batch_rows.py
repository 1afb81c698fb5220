"""Rows of a batch in arrays: packed into records, hashed as leaves, and run again from records.

What `ledger.columnar` says row by row is done here for all rows at once, in numpy; tests hold the
two together on random batches. A leaf's text has the same length in every row, so all of them are
one array of bytes, the fixed pieces written once (0.2 us a row); hashing takes a call of SHA-256 a
row (0.6 us) and about one more for the tree.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ledger.columnar import PART_ROWS, SALT_BYTES
from ledger.merkle import HASH_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ledger.columnar import Columns
    from models.runtime import Predictor

_DIGEST: Final = type(sha256()).digest
_HEAD: Final = SALT_BYTES + 1
# What stands before decision, inputs, outputs, row index and salt, and at the end.
_PIECES: Final = (
    b'\0{"decision":"',
    b'","inputs":"',
    b'","outputs":"',
    b'","row_index":"',
    b'","salt":"',
    b'","schema":"assay/row/v2"}',
)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows taken apart: salts and numbers of decisions as bytes, inputs, outputs."""

    salts: NDArray[np.uint8]
    decisions: NDArray[np.uint8]
    inputs: NDArray[np.float32]
    outputs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.decisions)


def pack(table: Table) -> NDArray[np.uint8]:
    """The record of each row, as rows of bytes."""
    count, end = len(table), _HEAD + 4 * table.inputs.shape[1]
    records = np.empty((count, end + 8 * table.outputs.shape[1]), np.uint8)
    records[:, :SALT_BYTES] = table.salts
    records[:, SALT_BYTES] = table.decisions
    records[:, _HEAD:end] = table.inputs.astype(">f4").view(np.uint8).reshape(count, -1)
    records[:, end:] = table.outputs.astype(">i8").view(np.uint8).reshape(count, -1)
    return records


def unpack(columns: Columns, data: bytes) -> Table:
    """Rows out of records, whole ones only."""
    records = np.frombuffer(data, np.uint8).reshape(-1, columns.width)
    end = _HEAD + 4 * len(columns.inputs)
    inputs = np.ascontiguousarray(records[:, _HEAD:end]).view(">f4").astype(np.float32)
    outputs = np.ascontiguousarray(records[:, end:]).view(">i8").astype(np.int64)
    return Table(records[:, :SALT_BYTES], records[:, SALT_BYTES], inputs, outputs)


def new_salts(count: int) -> NDArray[np.uint8]:
    """A fresh random salt for each row."""
    return np.frombuffer(os.urandom(SALT_BYTES * count), np.uint8).reshape(count, SALT_BYTES)


def hash_parts(records: NDArray[np.uint8], inputs: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Records and leaf hashes of each part, and the root over all rows.

    `inputs` is how many inputs a record holds.
    """
    parts: list[tuple[bytes, bytes]] = []
    level: list[bytes] = []
    for first in range(0, len(records), PART_ROWS):
        part = records[first : first + PART_ROWS]
        data = part.tobytes()
        hashes = _hash_all(_leaves(data, len(part), inputs, first=first))
        parts.append((data, b"".join(hashes)))
        level += hashes
    while len(level) > 1:
        pairs = len(level) // 2
        nodes = np.empty((pairs, 1 + 2 * HASH_BYTES), np.uint8)
        nodes[:, 0] = 1
        joined = np.frombuffer(b"".join(level[: 2 * pairs]), np.uint8)
        nodes[:, 1:] = joined.reshape(pairs, 2 * HASH_BYTES)
        level = _hash_all(nodes) + level[2 * pairs :]  # one without a sibling moves up
    return parts, level[0]


def _hash_all(messages: NDArray[np.uint8]) -> list[bytes]:
    """SHA-256 of each row of bytes, with no Python between two of them."""
    width = messages.shape[1]
    return list(map(_DIGEST, map(sha256, messages.view(f"V{width}").ravel().tolist())))


def _leaves(data: bytes, count: int, inputs: int, *, first: int) -> NDArray[np.uint8]:
    """Every leaf behind its zero byte, as rows of bytes."""
    digits = _hex(data).reshape(count, -1)
    salt, head, outputs = 2 * SALT_BYTES, 2 * _HEAD, 2 * _HEAD + 8 * inputs
    index = _hex(np.arange(first, first + count, dtype=">u4").tobytes()).reshape(count, 8)
    fields = (
        digits[:, salt:head],
        digits[:, head:outputs],
        digits[:, outputs:],
        index,
        digits[:, :salt],
    )
    blank = b"".join(
        piece + bytes(field.shape[1])
        for piece, field in zip(_PIECES, (*fields, digits[:, :0]), strict=True)
    )
    leaves = np.empty((count, len(blank)), np.uint8)
    leaves[:] = np.frombuffer(blank, np.uint8)
    at = 0
    for piece, field in zip(_PIECES[:-1], fields, strict=True):
        at += len(piece)
        leaves[:, at : at + field.shape[1]] = field
        at += field.shape[1]
    return leaves


def _hex(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data.hex().encode(), np.uint8)


def again(
    predictor: Predictor, columns: Columns, records: bytes, *, served: int
) -> tuple[bytes, dict[int, str]]:
    """The records that the model makes of the same salts and inputs; and rows it refuses, why.

    `served` is how many rows were answered together: another engine runs them now. A batch is
    refused whole when its columns are not the model's.
    """
    own = (predictor.feature_names, predictor.output_names, predictor.decisions)
    if own != (columns.inputs, columns.outputs, columns.decisions):
        count = len(records) // columns.width
        return b"", dict.fromkeys(range(count), "other inputs, outputs or decisions than recorded")
    table = unpack(columns, records)
    outputs, decisions, refused = predictor.rerun_columns(table.inputs, served=served)
    made = pack(Table(table.salts, decisions, table.inputs, outputs))
    return made.tobytes(), refused


def show(columns: Columns, table: Table) -> dict[str, Any]:
    """A table's rows by column, as they are answered: decisions by name, integers, salts in hex."""
    salts = table.salts.tobytes().hex()
    step = 2 * SALT_BYTES
    return {
        "decision": [columns.decisions[number] for number in table.decisions.tolist()],
        **{n: table.outputs[:, i].tolist() for i, n in enumerate(columns.outputs)},
        "salt": [salts[at : at + step] for at in range(0, len(salts), step)],
    }
