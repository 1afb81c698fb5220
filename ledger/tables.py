"""The ledger's tables, all prefixed `ledger_`, and the triggers that make most of them append-only.

What is signed or hashed may only be inserted. Two tables change: `ledger_head` and
`ledger_sequence` move forward with each commit. Two lose rows: openings and subject keys, since
erasing a person means destroying them while the log stays as it is.

No table refers to a table of another package.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

# SQLite knows one integer type and wants it plain in a primary key.
WIDE: Final[Any] = BigInteger().with_variant(Integer(), "sqlite")


class EntryRow(SQLModel, table=True):
    """One entry: its exact bytes, and what it is looked up by."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        Index("ledger_entry_by_type", "type", "leaf_index"),
        Index("ledger_entry_by_ref", "ref", "type", "leaf_index"),
    )

    leaf_index: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    entry: bytes = Field(sa_type=LargeBinary)
    leaf_hash: bytes = Field(sa_type=LargeBinary)
    type: str = Field(max_length=32)
    ref: str | None = Field(default=None, max_length=256)
    idempotency_key: str | None = Field(default=None, max_length=128, unique=True)
    request_digest: str | None = Field(default=None, max_length=64)


class TileRow(SQLModel, table=True):
    """A full tile of 256 hashes, and the root over it (which is a hash of the level above)."""

    __tablename__ = "ledger_tile"

    level: int = Field(primary_key=True)
    n: int = Field(sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False})
    hashes: bytes = Field(sa_type=LargeBinary)
    root: bytes = Field(sa_type=LargeBinary)


class HeadRow(SQLModel, table=True):
    """The tree as it stands: one row. Updated in the transaction that appends."""

    __tablename__ = "ledger_head"

    id: int = Field(default=0, primary_key=True)
    origin: str
    size: int = Field(sa_type=WIDE)
    frontier: bytes = Field(sa_type=LargeBinary)


class SequenceRow(SQLModel, table=True):
    """The next sequence number of each producer key."""

    __tablename__ = "ledger_sequence"

    key_id: str = Field(primary_key=True, max_length=32)
    next_seq: int = Field(sa_type=WIDE)


class CheckpointRow(SQLModel, table=True):
    """Every checkpoint that was ever signed."""

    __tablename__ = "ledger_checkpoint"

    size: int = Field(sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False})
    note: str


class CosignatureRow(SQLModel, table=True):
    """What a witness signed under a checkpoint: one line, its key id in hex, its POSIX time."""

    __tablename__ = "ledger_cosignature"

    size: int = Field(sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False})
    witness: str = Field(primary_key=True, max_length=32)
    time: int = Field(sa_type=WIDE)
    line: str


class RowRow(SQLModel, table=True):
    """One row of a multi-row entry: the bytes of a leaf of its row tree."""

    __tablename__ = "ledger_row"

    leaf_index: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    row_index: int = Field(primary_key=True)
    row: bytes = Field(sa_type=LargeBinary)


class OpeningRow(SQLModel, table=True):
    """The encrypted opening of one row."""

    __tablename__ = "ledger_opening"

    leaf_index: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    row_index: int = Field(primary_key=True)
    subject: str = Field(index=True, max_length=128)
    sealed: bytes = Field(sa_type=LargeBinary)


class SubjectKeyRow(SQLModel, table=True):
    """A data subject's key, wrapped; destroyed to erase. A subject may have several."""

    __tablename__ = "ledger_subject_key"

    subject: str = Field(primary_key=True, max_length=128)
    wrapped_key: bytes = Field(sa_type=LargeBinary, primary_key=True)


class PartRow(SQLModel, table=True):
    """Leaf hashes of up to 1,024 rows of a batch, one after the other."""

    __tablename__ = "ledger_part"

    leaf_index: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    part: int = Field(primary_key=True)
    hashes: bytes = Field(sa_type=LargeBinary)


class SealedPartRow(SQLModel, table=True):
    """The encrypted records of the same rows; destroyed to erase."""

    __tablename__ = "ledger_sealed_part"

    leaf_index: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    part: int = Field(primary_key=True)
    subject: str = Field(index=True, max_length=128)
    row_count: int
    sealed: bytes = Field(sa_type=LargeBinary)


TABLES: Final = tuple(
    SQLModel.metadata.tables[name]
    for name in (
        "ledger_entry",
        "ledger_tile",
        "ledger_head",
        "ledger_sequence",
        "ledger_checkpoint",
        "ledger_cosignature",
        "ledger_row",
        "ledger_opening",
        "ledger_subject_key",
        "ledger_part",
        "ledger_sealed_part",
    )
)
ENTRIES: Final = SQLModel.metadata.tables["ledger_entry"]
OPENINGS: Final = SQLModel.metadata.tables["ledger_opening"]
# Table -> statements that abort there.
GUARDED: Final = {
    "ledger_entry": ("UPDATE", "DELETE"),
    "ledger_tile": ("UPDATE", "DELETE"),
    "ledger_checkpoint": ("UPDATE", "DELETE"),
    "ledger_cosignature": ("UPDATE", "DELETE"),
    "ledger_row": ("UPDATE", "DELETE"),
    "ledger_part": ("UPDATE", "DELETE"),
    "ledger_opening": ("UPDATE",),
    "ledger_sealed_part": ("UPDATE",),
    "ledger_subject_key": ("UPDATE",),
    "ledger_head": ("DELETE",),
    "ledger_sequence": ("DELETE",),
}
