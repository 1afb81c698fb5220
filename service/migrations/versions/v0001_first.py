"""The schema of release 0.1, which did not count revisions yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.migrations.guarding import create_refusal, guard

revision = "0001"
down_revision = None

WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table of the ledger and of the service, and the guards."""
    _entries()
    _tree()
    _beside()
    _callers()
    create_refusal()
    for table in ("ledger_entry", "ledger_tile", "ledger_checkpoint", "ledger_row"):
        guard(table, "UPDATE", "DELETE")
    for table in ("ledger_opening", "ledger_subject_key"):
        guard(table, "UPDATE")
    for table in ("ledger_head", "ledger_sequence"):
        guard(table, "DELETE")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, WIDE, autoincrement=False, nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _entries() -> None:
    op.create_table(
        "ledger_entry",
        _number("leaf_index"),
        _bytes("entry"),
        _bytes("leaf_hash"),
        _text("type", 32),
        _text("ref", 256, nullable=True),
        _text("idempotency_key", 128, nullable=True),
        _text("request_digest", 64, nullable=True),
        sa.PrimaryKeyConstraint("leaf_index"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index("ledger_entry_by_ref", "ledger_entry", ["ref", "type", "leaf_index"])
    op.create_index("ledger_entry_by_type", "ledger_entry", ["type", "leaf_index"])


def _tree() -> None:
    op.create_table(
        "ledger_tile",
        sa.Column("level", sa.Integer(), nullable=False),
        _number("n"),
        _bytes("hashes"),
        _bytes("root"),
        sa.PrimaryKeyConstraint("level", "n"),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("origin"),
        _number("size"),
        _bytes("frontier"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ledger_sequence",
        _text("key_id", 32),
        _number("next_seq"),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "ledger_checkpoint", _number("size"), _text("note"), sa.PrimaryKeyConstraint("size")
    )


def _beside() -> None:
    op.create_table(
        "ledger_row",
        _number("leaf_index"),
        sa.Column("row_index", sa.Integer(), nullable=False),
        _bytes("row"),
        sa.PrimaryKeyConstraint("leaf_index", "row_index"),
    )
    op.create_table(
        "ledger_opening",
        _number("leaf_index"),
        sa.Column("row_index", sa.Integer(), nullable=False),
        _text("subject", 128),
        _bytes("sealed"),
        sa.PrimaryKeyConstraint("leaf_index", "row_index"),
    )
    op.create_index("ix_ledger_opening_subject", "ledger_opening", ["subject"])
    op.create_table(
        "ledger_subject_key",
        _text("subject", 128),
        _bytes("wrapped_key"),
        sa.PrimaryKeyConstraint("subject", "wrapped_key"),
    )


def _callers() -> None:
    op.create_table(
        "service_api_key",
        _text("key_id", 16),
        _text("secret_sha256", 64),
        _text("actor_id", 128),
        _text("scopes", 256),
        _text("created_at", 24),
        _text("revoked_at", 24, nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "service_sign_in_link",
        _text("token_sha256", 64),
        _text("key_id", 16),
        _text("expires_at", 24),
        _text("used_at", 24, nullable=True),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
