"""Alembic's way in: the steps run in the transaction that `service/schema.py` began."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # SQLite can, whatever Alembic assumes of it
)
context.run_migrations()
