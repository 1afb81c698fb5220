"""Entries, read: envelope, canonical form, and the grammar of their type (docs/formats/entry.md).

Tables of fields are in `grammar.py`. What is written is in `record.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.canonical import parse_canonical
from ledger.columns import COLUMNS, check_columns
from ledger.envelope import (
    Envelope,
    open_envelope,
)
from ledger.grammar import (
    BODY,
    DATA,
    HEX64,
    MANY_ROWS,
    ONE_ROW,
    check_fields,
)
from ledger.opened import check_row
from ledger.refusals import CanonicalError, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.grammar import Fields


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry read back: its body, and its envelope with the exact bytes that were signed."""

    body: dict[str, Any]
    envelope: Envelope

    @property
    def type(self) -> str:
        """The entry's type."""
        return str(self.body["type"])

    @property
    def data(self) -> dict[str, Any]:
        """What the type says beside the common fields."""
        return dict(self.body["data"])


# --- read ------------------------------------------------------------------------------------


def parse_entry(entry: bytes) -> Entry:
    """Read an entry in full: layout, canonical form, grammar. The signature is not checked.

    Raises RecordError, naming the field.
    """
    envelope = open_envelope(entry)
    try:
        body = parse_canonical(envelope.body)
    except CanonicalError as error:
        raise RecordError("body", str(error)) from error
    if not isinstance(body, dict):
        raise RecordError("body", "expected an object")
    check_body(body)
    return Entry(body, envelope)


def check_body(body: Mapping[str, Any]) -> None:
    """Hold a body against the grammar of its type. Raises RecordError."""
    check_fields(body, BODY, "body")
    kind, data = body["type"], body["data"]
    if kind == "prediction":
        one = _PREDICTION_OF_ONE if data.get("row_count") == 1 else _PREDICTION_OF_MANY
        fields = _PREDICTION_BY_COLUMNS if COLUMNS in data else one
    elif kind in DATA:
        fields = DATA[kind]
    else:
        raise RecordError("type", f"{kind!r} is not an entry type of this release")
    check_fields(data, fields, "data")


def _only_row(value: object) -> str | None:
    check_row(value, f"data.{ONE_ROW}")
    return None if isinstance(value, dict) and value["row_index"] == 0 else "expected row 0"


_PREDICTION_OF_ONE: Fields = {**DATA["prediction"], ONE_ROW: _only_row}
_PREDICTION_OF_MANY: Fields = {**DATA["prediction"], MANY_ROWS: HEX64}
_PREDICTION_BY_COLUMNS: Fields = {**_PREDICTION_OF_MANY, COLUMNS: check_columns}
