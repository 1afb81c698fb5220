"""The triggers of append-only tables, for steps that make such a table."""

from __future__ import annotations

from alembic import op

REFUSE = """\
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only: no ' || TG_OP;
END
$$"""


def create_refusal() -> None:
    """Make what PostgreSQL's triggers call; SQLite's say it themselves."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSE)


def guard(table: str, *acts: str) -> None:
    """Abort these acts on a table; on PostgreSQL TRUNCATE too."""
    if op.get_bind().dialect.name == "postgresql":
        for act in (*acts, "TRUNCATE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
            )
        return
    for act in acts:
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: no {act}'); END"
        )
