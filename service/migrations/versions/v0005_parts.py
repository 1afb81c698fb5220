"""Rows of a batch by columns: leaf hashes of a part in clear, its records encrypted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.migrations.guarding import guard

revision = "0005"
down_revision = "0004"

WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the two tables and their guards."""
    op.create_table(
        "ledger_part",
        sa.Column("leaf_index", WIDE, autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", "part"),
    )
    op.create_table(
        "ledger_sealed_part",
        sa.Column("leaf_index", WIDE, autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", "part"),
    )
    op.create_index("ix_ledger_sealed_part_subject", "ledger_sealed_part", ["subject"])
    guard("ledger_part", "UPDATE", "DELETE")
    guard("ledger_sealed_part", "UPDATE")
