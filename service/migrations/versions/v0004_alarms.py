"""What is still to be done about alarms, proposals and jobs; one runner over all hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "service_delivery",
        sa.Column("alarm_leaf", _WIDE, autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.String(24), nullable=True),
        sa.Column("error", sa.String(400), nullable=True),
        sa.PrimaryKeyConstraint("alarm_leaf", "channel"),
    )
    op.create_table(
        "service_proposal",
        sa.Column("proposal_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("proposer", sa.String(128), nullable=False),
        sa.Column("proposed_at", sa.String(24), nullable=False),
        sa.Column("decision", sa.String(16), nullable=True),
        sa.Column("decided_by", sa.String(128), nullable=True),
        sa.Column("decided_at", sa.String(24), nullable=True),
        sa.Column("leaf", _WIDE, nullable=True),
        sa.PrimaryKeyConstraint("proposal_id"),
    )
    op.create_table(
        "service_lease",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("heard_ms", _WIDE, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "service_job_run",
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(24), nullable=False),
        sa.Column("finished_at", sa.String(24), nullable=True),
        sa.Column("succeeded_at", sa.String(24), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(400), nullable=True),
        sa.PrimaryKeyConstraint("job"),
    )
