"""Salted commitments to fields, the rows that carry them, and the openings that reveal them.

The log holds per field SHA-256 over a tag, a secret random salt, the name and the value; nobody
can guess a value from it, since the salt has 128 bits. The salt and value (the opening) are kept
encrypted beside the log. Destroying an opening erases the value for good and leaves every proof
standing. The bytes are in docs/formats/entry.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.canonical import canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


from ledger.opened import (
    CALLER_REFERENCE,
    FIELD_TAG,
    OPENING_SCHEMA,
    ROW_SCHEMA,
    SALT_BYTES,
    OpenedField,
    Opening,
    _committed,
    check_opening,
    check_row,
    commit_field,
    parse_row,
)

__all__ = [
    "CALLER_REFERENCE",
    "FIELD_TAG",
    "OPENING_SCHEMA",
    "ROW_SCHEMA",
    "SALT_BYTES",
    "OpenedField",
    "Opening",
    "SealedOpening",
    "check_opening",
    "check_row",
    "commit_field",
    "make_opening",
    "parse_row",
    "row_bytes",
    "row_object",
]


# --- rows ------------------------------------------------------------------------------------


def row_object(
    index: int, inputs: Mapping[str, str], outputs: Mapping[str, str], decision: str
) -> dict[str, object]:
    """A row as recorded: commitments in hex by field name, and the decision in clear."""
    row = {
        "schema": ROW_SCHEMA,
        "row_index": index,
        "inputs": dict(inputs),
        "outputs": dict(outputs),
        "decision": decision,
    }
    check_row(row, "row")
    return row


def row_bytes(row: Mapping[str, object]) -> bytes:
    """The bytes of a row: a leaf of the row tree."""
    return canonical_bytes(dict(row))


@dataclass(frozen=True, slots=True)
class SealedOpening:
    """An opening encrypted for one data subject; what a draft carries beside its entry.

    `wrapped_key` is the subject's data key under the house's key. It is stored in the transaction
    that stores the entry, unless the subject already has one.
    """

    subject: str
    row_index: int
    sealed: bytes
    wrapped_key: bytes | None = None


def make_opening(
    row_index: int,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    random: Callable[[int], bytes],
) -> tuple[Opening, dict[str, str], dict[str, str]]:
    """Commit to every field of a row under fresh salts from `random(byte_count)`.

    Returns the opening, and the commitments in hex of the inputs and of the outputs.
    """
    salts = random(SALT_BYTES * (len(inputs) + len(outputs)))
    fields = []
    at = 0
    for group in (inputs, outputs):
        opened = {}
        for name, value in group.items():
            opened[name] = OpenedField(salts[at : at + SALT_BYTES], value)
            at += SALT_BYTES
        fields.append(opened)
    opening = Opening(row_index, fields[0], fields[1])
    return opening, _committed(opening.inputs), _committed(opening.outputs)
