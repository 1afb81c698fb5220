"""Rows of a batch by columns: one entry, one signature, and a record of fixed size for each row.

A prediction entry with `columns` names inputs, outputs and decisions once; `rows_root` is the
RFC 6962 root over its rows. A row is kept as a record and hashed as text, which a reader can check
with nothing but SHA-256 (docs/formats/batch.md):

    record  salt 16 | decision 1 | inputs 4 each (float32) | outputs 8 each (integer), big-endian
    leaf    {"decision":"01","inputs":"<hex>","outputs":"<hex>","row_index":"0000002a",
             "salt":"<hex>","schema":"assay/row/v2"}

Every field is the record's own bytes in hex; the text is canonical JSON. The salt is random and
secret, so a leaf's hash is the commitment to its row: nobody can guess the row from it. Records lie
encrypted beside the log, 1,024 to a part, and leaf hashes lie there in clear: destroying the
records erases every row and leaves every proof standing.

Decision n of a row is the n-th name of `decisions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ledger.grammar import FIELD_NAME, ROWS_MAX, Fields, check_fields, list_of, one_of, text
from ledger.refusals import RecordError
from ledger.tree import EMPTY_ROOT, HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLUMNS: Final = "columns"  # the key in an entry's data
COLUMNS_SCHEMA: Final = "assay/columns/v1"
ROW_SCHEMA: Final = "assay/row/v2"
PART_ROWS: Final = 1024  # a power of two, so that a part is a subtree; 100 kB for 19 inputs
SALT_BYTES: Final = 16
DECISIONS_MAX: Final = 256  # one byte
_HEAD: Final = SALT_BYTES + 1
_ROW: Final = re.compile(
    r'\{"decision":"([0-9a-f]{2})","inputs":"([0-9a-f]*)","outputs":"([0-9a-f]*)",'
    r'"row_index":"([0-9a-f]{8})","salt":"([0-9a-f]{32})","schema":"assay/row/v2"\}'
)


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """One row in words: inputs as 8 hex digits of a float32, outputs as integers, by name."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, int]
    decision: str


@dataclass(frozen=True, slots=True)
class Columns:
    """What the records of one entry hold, in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    decisions: tuple[str, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Columns:
        """Read the columns of an entry's data. Raises RecordError."""
        reason = check_columns(data.get(COLUMNS))
        if reason:
            raise RecordError(f"data.{COLUMNS}", reason)
        found = data[COLUMNS]
        return cls(tuple(found["inputs"]), tuple(found["outputs"]), tuple(found["decisions"]))

    def to_json(self) -> dict[str, object]:
        """As it stands in an entry."""
        return {
            "schema": COLUMNS_SCHEMA,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "decisions": list(self.decisions),
        }

    @property
    def width(self) -> int:
        """Bytes of a record."""
        return _HEAD + 4 * len(self.inputs) + 8 * len(self.outputs)

    def texts(self, records: bytes, first: int = 0) -> Iterator[bytes]:
        """The leaf of each record; `first` is the row index of the first."""
        digits, width = records.hex(), 2 * self.width
        salt, head = 2 * SALT_BYTES, 2 * _HEAD
        outputs = head + 8 * len(self.inputs)
        for index, at in enumerate(range(0, len(digits), width), first):
            row = digits[at : at + width]
            yield (
                f'{{"decision":"{row[salt:head]}","inputs":"{row[head:outputs]}",'
                f'"outputs":"{row[outputs:]}","row_index":"{index:08x}",'
                f'"salt":"{row[:salt]}","schema":"assay/row/v2"}}'
            ).encode()

    def hashes(self, records: bytes, first: int = 0) -> bytes:
        """The leaf hash of each record, one after the other."""
        return b"".join([sha256(b"\0" + leaf).digest() for leaf in self.texts(records, first)])

    def row(self, record: bytes) -> ColumnRow:
        """A record in words. Raises RecordError when it has another size or decision."""
        if len(record) != self.width:
            raise RecordError("row", f"{len(record)} bytes; a record has {self.width}")
        if record[SALT_BYTES] >= len(self.decisions):
            raise RecordError("row.decision", f"there is no decision {record[SALT_BYTES]}")
        at = _HEAD + 4 * len(self.inputs)
        patterns = record[_HEAD:at].hex()
        return ColumnRow(
            inputs={n: patterns[8 * i : 8 * i + 8] for i, n in enumerate(self.inputs)},
            outputs={
                name: int.from_bytes(record[at + 8 * i : at + 8 * i + 8], "big", signed=True)
                for i, name in enumerate(self.outputs)
            },
            decision=self.decisions[record[SALT_BYTES]],
        )

    def record(self, leaf: str) -> tuple[int, bytes]:
        """Row index and record of a leaf's text. Raises RecordError."""
        found = _ROW.fullmatch(leaf)
        if found is None:
            raise RecordError("row", f"is not a row of {ROW_SCHEMA}")
        decision, inputs, outputs, index, salt = found.groups()
        record = bytes.fromhex(salt + decision + inputs + outputs)
        if (len(inputs), len(outputs)) != (8 * len(self.inputs), 16 * len(self.outputs)):
            raise RecordError("row", "has other inputs or outputs than the entry's columns")
        self.row(record)
        return int(index, 16), record


# --- the row tree ----------------------------------------------------------------------------


def row_root(hashes: bytes) -> bytes:
    """The RFC 6962 root over leaf hashes, one after the other."""
    level = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(level) > 1:
        above = [
            sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:  # a last node without a sibling moves up as it is
            above.append(level[-1])
        level = above
    return level[0] if level else EMPTY_ROOT


# --- grammar ---------------------------------------------------------------------------------


def check_columns(value: object) -> str | None:
    """Say what is wrong with the columns of an entry; None when nothing is."""
    if not isinstance(value, dict):
        return "expected an object"
    try:
        check_fields(value, _COLUMNS, COLUMNS)
    except RecordError as error:
        return str(error)
    names = [*value["inputs"], *value["outputs"]]
    if len(set(names)) != len(names) or not value["inputs"] or not value["outputs"]:
        return "expected at least one input and output, and no name twice"
    if len(set(value["decisions"])) != len(value["decisions"]) or not value["decisions"]:
        return "expected at least one decision, and none twice"
    return None


_COLUMNS: Fields = {
    "schema": one_of(COLUMNS_SCHEMA),
    "inputs": list_of(FIELD_NAME),
    "outputs": list_of(FIELD_NAME),
    "decisions": list_of(text(128)),
}
assert ROWS_MAX <= 1 << 32  # noqa: S101 - a row index has 8 hex digits
