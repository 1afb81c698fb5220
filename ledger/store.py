"""The database under the log: one engine, its pragmas, its schema.

SQLite through `pysqlite3`, which brings its own library. What to know about it:

- 3.7.0 to 3.51.2 have the WAL-reset bug (sqlite.org/wal.html#walresetbug): two connections that
  write or checkpoint at the same instant can lose committed pages. An older one is refused;
- the driver's own transaction handling is switched off (`isolation_level = None`): we say BEGIN,
  and BEGIN IMMEDIATE when `immediate` is among a connection's execution options, so that a writer
  waits at the start and never fails half-way for a lock;
- automatic checkpoints are off: the holder of the append lock checkpoints (`log.py`).

PostgreSQL is a later release's; its place is `open_engine`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlmodel import SQLModel

from ledger.errors import LedgerUnavailable
from ledger.tables import TABLES, guards

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # only Linux has the wheel; the version check below decides
    import sqlite3 as sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection

SQLITE_MINIMUM: Final = (3, 51, 3)
BUSY_TIMEOUT_MS: Final = 5_000  # a commit is one fsync; five seconds of waiting means a stuck disk
POOL_SIZE: Final = 64  # a connection per request thread, with room for the scheduler's
PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA secure_delete=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


def open_engine(url: str) -> Engine:
    """An engine on the house's database. Raises LedgerUnavailable for one that cannot be used."""
    if not url.startswith("sqlite:///"):
        raise LedgerUnavailable("opening the database", f"{url.split(':', 1)[0]} is not SQLite")
    check_sqlite(tuple(sqlite.sqlite_version_info))
    engine = create_engine(url, module=sqlite, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def check_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a library that can lose committed pages."""
    if version < SQLITE_MINIMUM:
        found, wanted = (".".join(map(str, v)) for v in (version, SQLITE_MINIMUM))
        raise LedgerUnavailable(
            "opening the database",
            f"SQLite {found} can lose committed pages (WAL-reset bug); {wanted} or newer is "
            "needed: install the pysqlite3 wheel",
        )


def writer(engine: Engine) -> Engine:
    """The same engine, its transactions taking the write lock at their start."""
    return engine.execution_options(immediate=True)


def create_schema(engine: Engine) -> None:
    """Create the ledger's tables and triggers in an empty database."""
    with writer(engine).begin() as connection:
        SQLModel.metadata.create_all(connection, tables=list(TABLES), checkfirst=False)
        for trigger in guards():
            connection.exec_driver_sql(trigger)


def truncate_wal(engine: Engine) -> None:
    """Move the write-ahead log into the database file; a reader in the way only postpones it.

    Only for the holder of the append lock. Never fails: what was committed stays committed.
    """
    with contextlib.suppress(sqlite.Error), contextlib.closing(engine.raw_connection()) as raw:
        cursor = raw.cursor()
        cursor.execute("PRAGMA busy_timeout=0")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's type
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
