"""Rows and openings, checked: does what was opened lead to what was recorded?

A commitment is SHA-256 over a tag, a salt of 16 random bytes, the field's name and its value
(docs/formats/entry.md). Making them is in `commitment.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.grammar import (
    FIELD_NAME,
    HEX64,
    ROWS_MAX,
    check_fields,
    integer,
    matching,
    one_of,
    text,
)
from ledger.refusals import CanonicalError, OpeningMismatch, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.grammar import Fields

FIELD_TAG: Final = b"assay/field/v1\0"
SALT_BYTES: Final = 16
ROW_SCHEMA: Final = "assay/row/v1"
OPENING_SCHEMA: Final = "assay/opening/v1"
CALLER_REFERENCE: Final = "caller_reference"  # opened among the outputs of row 0

_SALT = matching("[0-9a-f]{32}", "a salt of 32 hex digits")


def commit_field(name: str, value: str, salt: bytes) -> bytes:
    """The 32-byte commitment to one field. The salt has exactly 16 bytes."""
    if len(salt) != SALT_BYTES:
        raise RecordError(name, f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    named = name.encode()
    return sha256(
        FIELD_TAG + salt + len(named).to_bytes(4, "big") + named + value.encode()
    ).digest()


def parse_row(data: bytes) -> dict[str, Any]:
    """Read a row's bytes. Raises RecordError."""
    try:
        row = parse_canonical(data)
    except CanonicalError as error:
        raise RecordError("row", str(error)) from error
    check_row(row, "row")
    return dict(row)


def check_row(row: object, where: str) -> None:
    """Hold a row against its grammar. Raises RecordError."""
    if not isinstance(row, dict):
        raise RecordError(where, "expected an object")
    check_fields(row, _ROW, where)


def _commitments(value: object) -> str | None:
    if not isinstance(value, dict):
        return "expected an object of commitments"
    for name, commitment in value.items():
        reason = FIELD_NAME(name) or HEX64(commitment)
        if reason or name == CALLER_REFERENCE:
            return f"{name!r:.80}: {reason or 'the name is taken'}"
    return None


_ROW: Fields = {
    "schema": one_of(ROW_SCHEMA),
    "row_index": integer(0, ROWS_MAX - 1),
    "inputs": _commitments,
    "outputs": _commitments,
    "decision": text(128),
}


# --- openings --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedField:
    """What a commitment commits to."""

    salt: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Opening:
    """Every field of one row, opened. Secret: it holds what the log does not."""

    row_index: int
    inputs: Mapping[str, OpenedField]
    outputs: Mapping[str, OpenedField]

    def with_caller_reference(self, value: str, salt: bytes) -> Opening:
        """The same opening, opening the caller's own reference too."""
        return replace(self, outputs={**self.outputs, CALLER_REFERENCE: OpenedField(salt, value)})

    def to_json(self) -> dict[str, object]:
        """The opening as plain JSON, salts in hex."""
        return {
            "schema": OPENING_SCHEMA,
            "row_index": self.row_index,
            "inputs": _fields_json(self.inputs),
            "outputs": _fields_json(self.outputs),
        }

    def to_bytes(self) -> bytes:
        """The canonical bytes, as they are encrypted."""
        return canonical_bytes(self.to_json())

    @classmethod
    def from_json(cls, value: object) -> Opening:
        """Read an opening. Raises RecordError."""
        if not isinstance(value, dict):
            raise RecordError("opening", "expected an object")
        check_fields(value, _OPENING, "opening")
        return cls(value["row_index"], _fields(value["inputs"]), _fields(value["outputs"]))

    @classmethod
    def from_bytes(cls, data: bytes) -> Opening:
        """Read an opening's bytes. Raises RecordError."""
        try:
            return cls.from_json(parse_canonical(data))
        except CanonicalError as error:
            raise RecordError("opening", str(error)) from error


def check_opening(
    opening: Opening,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    caller_reference: str | None = None,
) -> None:
    """Hold an opening against recorded commitments, all of them and no others.

    Raises OpeningMismatch, naming the first field that opens to something else.
    """
    expected = dict(outputs)
    if caller_reference is not None:
        expected[CALLER_REFERENCE] = caller_reference
    for group, recorded in ((opening.inputs, inputs), (opening.outputs, expected)):
        opened = _committed(group)
        if opened == recorded:
            continue
        for name in sorted(opened.keys() | recorded.keys()):
            if opened.get(name) != recorded.get(name):
                raise OpeningMismatch(name, expected=recorded.get(name), got=opened.get(name))


def _committed(fields: Mapping[str, OpenedField]) -> dict[str, str]:
    return {
        name: commit_field(name, field.value, field.salt).hex() for name, field in fields.items()
    }


def _fields(group: Mapping[str, Mapping[str, str]]) -> dict[str, OpenedField]:
    return {
        name: OpenedField(bytes.fromhex(field["salt"]), field["value"])
        for name, field in group.items()
    }


def _fields_json(fields: Mapping[str, OpenedField]) -> dict[str, dict[str, str]]:
    return {
        name: {"salt": field.salt.hex(), "value": field.value} for name, field in fields.items()
    }


def _opened(value: object) -> str | None:
    if not isinstance(value, dict):
        return "expected an object of opened fields"
    for name, field in value.items():
        if not isinstance(field, dict) or field.keys() != {"salt", "value"}:
            return f"{name!r:.80}: expected salt and value"
        if not isinstance(field["value"], str):
            return f"{name!r:.80}: expected a text value"
        reason = FIELD_NAME(name) or _SALT(field["salt"])
        if reason:
            return f"{name!r:.80}: {reason}"
    return None


_OPENING: Fields = {
    "schema": one_of(OPENING_SCHEMA),
    "row_index": integer(0, ROWS_MAX - 1),
    "inputs": _opened,
    "outputs": _opened,
}
