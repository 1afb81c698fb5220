"""The database under the log: one engine, what its connections are told, its schema.

SQLite through `pysqlite3`, which brings its own library. What to know about it:

- 3.7.0 to 3.51.2 have the WAL-reset bug (sqlite.org/wal.html#walresetbug): two connections that
  write or checkpoint at the same instant can lose committed pages. An older one is refused;
- the driver's own transaction handling is switched off (`isolation_level = None`): we say BEGIN,
  and BEGIN IMMEDIATE when `immediate` is among a connection's execution options, so that a writer
  waits at the start and never fails half-way for a lock;
- automatic checkpoints are off: the holder of the append lock checkpoints (`log.py`).

PostgreSQL 15 or newer through `psycopg` 3. What to know about it:

- a commit answers when it is on disk: `synchronous_commit=on` is said on every connection, whatever
  the role's or database's default, and a server with `fsync=off` is refused;
- readers see one snapshot (REPEATABLE READ). Writers read what is committed (READ COMMITTED), for
  they wait on the head's row first and must then see what its last holder wrote;
- a host that dies while it holds that row is cut off by `idle_in_transaction_session_timeout`;
- settings belong to a session, so no pooler in transaction mode may stand in between.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

from ledger.dialect import POSTGRES, SQLITE, guards, is_sqlite, run, sqlite
from ledger.errors import LedgerInconsistent, LedgerUnavailable
from ledger.tables import GUARDED, TABLES

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

SQLITE_MINIMUM: Final = (3, 51, 3)
POSTGRES_MINIMUM: Final = 150_000  # as the server counts: 15.0
BUSY_TIMEOUT_MS: Final = 5_000  # a commit is one fsync; five seconds of waiting means a stuck disk
IDLE_TIMEOUT_MS: Final = 30_000  # a writer between two statements this long is gone
CONNECT_TIMEOUT_S: Final = 5
UNHEARD_TIMEOUT_MS: Final = 10_000  # what was sent and never acknowledged: the other host is gone
POOL_SIZE: Final = 64  # a connection per request thread, with room for the scheduler's
# A server connection is a process: few are kept, and the default limit of a server is 100.
POSTGRES_POOL: Final = 8
POSTGRES_OVERFLOW: Final = 24
PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA recursive_triggers=ON",  # or REPLACE deletes rows past the triggers
    "PRAGMA secure_delete=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


def open_engine(url: str) -> Engine:
    """An engine on the house's database. Raises LedgerUnavailable for one that cannot be used."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerUnavailable("opening the database", "its address is not a URL") from error
    kind = parsed.get_backend_name()
    if kind == SQLITE:
        return _open_sqlite(parsed)
    if kind == POSTGRES:
        return _open_postgres(parsed)
    raise LedgerUnavailable("opening the database", f"{kind} is neither SQLite nor PostgreSQL")


def _open_sqlite(url: URL) -> Engine:
    check_sqlite(tuple(sqlite.sqlite_version_info))
    engine = create_engine(
        url,
        module=sqlite,
        poolclass=QueuePool,  # for a database in memory too, which is then refused
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgres(url: URL) -> Engine:
    wanted = {"connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": UNHEARD_TIMEOUT_MS}
    engine = create_engine(
        url.set(drivername=f"{POSTGRES}+psycopg"),
        isolation_level="REPEATABLE READ",
        pool_size=POSTGRES_POOL,
        max_overflow=POSTGRES_OVERFLOW,
        pool_pre_ping=True,  # a restarted server costs no caller an answer
        connect_args={name: value for name, value in wanted.items() if name not in url.query},
    )
    event.listen(engine, "connect", _prepare_postgres)
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


def check_postgres(version: int, *, fsync: str, encoding: str) -> None:
    """Refuse a server that is too old, that may lose what it confirmed, or that alters text."""
    if version < POSTGRES_MINIMUM:
        reason = f"PostgreSQL {version // 10_000} is too old; 15 or newer is needed"
    elif fsync != "on":
        reason = "the server runs with fsync=off: it can lose what it confirmed; set fsync=on"
    elif encoding != "UTF8":
        reason = f"the database is encoded as {encoding}; create it with ENCODING 'UTF8'"
    else:
        return
    raise LedgerUnavailable("opening the database", reason)


def writer(engine: Engine) -> Engine:
    """The same engine for those who write: see the notes above on BEGIN and on snapshots."""
    if is_sqlite(engine):
        return engine.execution_options(immediate=True)
    return engine.execution_options(isolation_level="READ COMMITTED")


def check_exists(engine: Engine) -> None:
    """Refuse a database without a log; the driver would make an empty file of it."""
    name = engine.url.database
    if is_sqlite(engine) and not (name and Path(name).is_file()):
        raise LedgerInconsistent(f"there is no database at {name}")
    if not holds_log(engine):
        raise LedgerInconsistent(f"the database {name} holds no log")


def holds_log(engine: Engine) -> bool:
    """Whether a log was created here. On SQLite, asking makes the file when there is none."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("ledger_head"):
            return False
        return bool(run(connection, "SELECT count(*) FROM ledger_head").scalar() == 1)


def create_schema(engine: Engine) -> None:
    """Create the ledger's tables and triggers in an empty database."""
    with writer(engine).begin() as connection:
        SQLModel.metadata.create_all(connection, tables=list(TABLES), checkfirst=False)
        for trigger in guards(GUARDED, sqlite_=is_sqlite(engine)):
            connection.exec_driver_sql(trigger)


def truncate_wal(engine: Engine) -> None:
    """Move the write-ahead log into the database file; a reader in the way only postpones it.

    Only for the holder of the append lock. Never fails: what was committed stays committed.
    PostgreSQL looks after its own.
    """
    if not is_sqlite(engine):
        return
    with (
        contextlib.suppress(sqlite.Error, SQLAlchemyError),
        contextlib.closing(engine.raw_connection()) as raw,
    ):
        cursor = raw.cursor()
        cursor.execute("PRAGMA busy_timeout=0")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()


def scrub(engine: Engine) -> None:
    """After deleting for ever: leave no copy of what was deleted in the database's own files.

    SQLite overwrites deleted content (`secure_delete`); what remains is the write-ahead log, which
    is moved and cut. PostgreSQL needs a VACUUM, and keeps copies in its own log and archives until
    they expire.
    """
    if is_sqlite(engine):
        with contextlib.closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for table in ("ledger_opening", "ledger_subject_key"):
            connection.exec_driver_sql(f"VACUUM {table}")


def _prepare_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's type
    connection.isolation_level = None
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":  # said of a database in memory, and where files cannot be shared as memory
        reason = f"it needs a write-ahead log on a local disk; SQLite gives journal mode {mode}"
        raise LedgerUnavailable("opening the database", reason)
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _prepare_postgres(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's type
    *_, fsync, encoding = connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false), "
        f"set_config('lock_timeout', '{BUSY_TIMEOUT_MS}', false), "
        f"set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT_MS}', false), "
        "current_setting('fsync'), current_setting('server_encoding')"
    ).fetchone()
    connection.commit()
    check_postgres(connection.info.server_version, fsync=fsync, encoding=encoding)
