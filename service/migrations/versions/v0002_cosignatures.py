"""Witnesses' cosignatures, beside the checkpoints they are of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.migrations.guarding import guard

revision = "0002"
down_revision = "0001"

WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table and its guards."""
    op.create_table(
        "ledger_cosignature",
        sa.Column("size", WIDE, autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(32), nullable=False),
        sa.Column("time", WIDE, nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness"),
    )
    guard("ledger_cosignature", "UPDATE", "DELETE")
