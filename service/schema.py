"""The database's schema over the releases: which revision it is at, and how it gets to this one.

The steps are Alembic's, in `migrations/versions`, one list for SQLite and PostgreSQL. `assay init`
runs all of them on a new database, `assay migrate` the missing ones on an older. A house whose
database is at another revision than this program is not opened: nothing migrates by itself.

Serving asks for one row and never imports Alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from ledger.dialect import is_sqlite
from ledger.store import writer
from service.errors import ServiceError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

NEWEST: Final = "0005"  # the last file in migrations/versions; a test holds the two together
FIRST: Final = "0001"  # what release 0.1 made, before it kept count
_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_ONE_AT_A_TIME: Final = 0x_A55A_11  # an advisory lock's number, our own choice


def revision_of(engine: Engine) -> str | None:
    """The revision a database is at; None for an empty one."""
    with engine.connect() as connection:
        return _revision(connection)


def check(engine: Engine) -> None:
    """Refuse a database that is not at this program's revision, with the command that helps."""
    found = revision_of(engine)
    if found == NEWEST:
        return
    if found is None:
        raise ServiceError(500, "not-initialised", "the database is empty; run: assay init")
    remedy = "run: assay migrate" if found < NEWEST else "it needs a newer release of Assay"
    raise ServiceError(
        500, "schema-differs", f"the database's schema is at {found}, not {NEWEST}; {remedy}"
    )


def migrate(engine: Engine, *, to: str = NEWEST) -> tuple[str | None, str]:
    """Bring a database to a revision, all or nothing; returns where it was and where it is."""
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with writer(engine).begin() as connection:
        if not is_sqlite(connection):  # there BEGIN IMMEDIATE has locked everything already
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
        before = _revision(connection)
        if before is not None and before > to:
            raise ServiceError(
                409, "schema-differs", f"the schema is at {before}, past {to}: nothing goes back"
            )
        config.attributes["connection"] = connection
        if before == FIRST and not inspect(connection).has_table("alembic_version"):
            command.stamp(config, FIRST)
        command.upgrade(config, to)
    return before, to


def _revision(connection: Connection) -> str | None:
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return str(found)
    return FIRST if tables.has_table("ledger_head") else None
