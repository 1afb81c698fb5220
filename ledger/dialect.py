"""SQLite and PostgreSQL side by side: everything the ledger says differently to one and the other.

Statements are written once, with `?` for each value, and run through `run` or `run_many`. The rest
is four differences: who may append (a file lock, or the head's row locked), how many rows go in at
once (executemany, or binary COPY, which was 1.5 to 3 times faster from 64 rows on), how a list of
values is looked up, and in which language a trigger is written. What a connection is told when it
opens is in `store.py`.

SQLite's statements go past SQLAlchemy to the driver, within the transaction it began.

psycopg's quirks, kept here: it wants `%s`; COPY goes past SQLAlchemy, so its errors are wrapped by
hand; binary COPY wants each column's exact type. It is imported where there is a PostgreSQL, only.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Integer, LargeBinary
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel import SQLModel

__all__ = ["DRIVER_ERRORS", "POSTGRES", "SQLITE", "for_update", "guards", "insert"]
__all__ += ["insert_missing", "is_sqlite"]
__all__ += ["run", "run_among", "run_many", "sqlite"]

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # only Linux has the wheel; the version check in `store.py` decides
    import sqlite3 as sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    Values = Sequence[Any]

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"
ROWS_AT_ONCE: Final = (64, 16, 4, 1)  # of an insert; a statement holds 32,766 values
DRIVER_ERRORS: Final = (SQLAlchemyError, sqlite.Error)
# The most specific first: BigInteger is an Integer.
_COPIED_AS: Final = ((BigInteger, "int8"), (Integer, "int4"), (LargeBinary, "bytea"))


def is_sqlite(at: Connection | Engine) -> bool:
    """Whether this is SQLite; else it is PostgreSQL."""
    return at.dialect.name == SQLITE


# --- statements ------------------------------------------------------------------------------


class Rows:
    """What a query found: rows as tuples, read once."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 - either driver's
        self._cursor = cursor

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def all(self) -> list[Any]:
        """Every row."""
        return list(self._cursor.fetchall())

    def first(self) -> Any:  # noqa: ANN401 - a tuple of whatever was asked for
        """The first row; None when there is none."""
        return self._cursor.fetchone()

    def scalar(self) -> Any:  # noqa: ANN401 - whatever was asked for
        """The first value of the first row; None when there is none."""
        row = self._cursor.fetchone()
        return None if row is None else row[0]


def run(connection: Connection, statement: str, values: Values = ()) -> Rows:
    """Run one statement; `?` stands for each value."""
    if is_sqlite(connection):
        return _run_sqlite(connection, "execute", statement, values)
    return Rows(connection.exec_driver_sql(_with_percent(statement), tuple(values) or None))


def run_many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement once for each row."""
    if is_sqlite(connection):
        _run_sqlite(connection, "executemany", statement, rows)
    else:
        connection.exec_driver_sql(_with_percent(statement), list(rows))


def _run_sqlite(connection: Connection, how: str, statement: str, values: Values) -> Rows:
    """Past SQLAlchemy, whose own work was half of a commit's time; errors come as it gives them."""
    if not connection.in_transaction():
        connection.begin()
    raw: Any = connection.connection.driver_connection
    try:
        return Rows(getattr(raw, how)(statement, values))
    except sqlite.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite.Error) from error


def insert(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows, their values in the order of the table's columns."""
    if not rows:
        return
    if is_sqlite(connection):
        for first, count in _chunks(len(rows)):
            chunk = chain.from_iterable(rows[first : first + count])
            run(connection, _insert_into(table, count), tuple(chunk))
        return
    statement, types = _copy_into(table)
    raw: Any = connection.connection.driver_connection
    driver: Any = connection.dialect.loaded_dbapi
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except driver.Error as error:
        raise DBAPIError(statement, None, error) from error


def insert_missing(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows, but for those that are there already."""
    for first, count in _chunks(len(rows)):
        statement = _insert_into(table, count) + " ON CONFLICT DO NOTHING"
        run(connection, statement, tuple(chain.from_iterable(rows[first : first + count])))


def run_among(connection: Connection, statement: str, values: Iterable[str], *more: object) -> Rows:
    """Run a statement that ends in a column's name, over the rows where it is one of the values."""
    wanted = list(values)
    if is_sqlite(connection):
        ending = " IN (SELECT value FROM json_each(?))"
        return run(connection, statement + ending, (*more, json.dumps(wanted)))
    return run(connection, statement + " = ANY(?)", (*more, wanted))


def for_update(connection: Connection) -> str:
    """What a query ends in to lock its rows. On SQLite BEGIN IMMEDIATE has locked everything."""
    return "" if is_sqlite(connection) else " FOR UPDATE"


@lru_cache(maxsize=256)
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    """Rows by the statement. Few sizes, so that each is compiled once.

    The driver lets go of the interpreter's lock at every step of a statement, and steps once a row
    in executemany: with other threads at work that cost more than the inserts.
    """
    first = 0
    for size in ROWS_AT_ONCE:
        while count - first >= size:
            yield first, size
            first += size


@lru_cache(maxsize=64)
def _insert_into(table: str, rows: int) -> str:
    marks = ", ".join("?" for _ in SQLModel.metadata.tables[table].columns)
    values = ", ".join([f"({marks})"] * rows)
    return f"INSERT INTO {table} VALUES {values}"  # noqa: S608 - our own names


@lru_cache(maxsize=64)
def _copy_into(table: str) -> tuple[str, list[str]]:
    columns = SQLModel.metadata.tables[table].columns
    names = ", ".join(f'"{column.name}"' for column in columns)
    types = [
        next((name for kind, name in _COPIED_AS if isinstance(column.type, kind)), "text")
        for column in columns
    ]
    return f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)", types


# --- triggers --------------------------------------------------------------------------------


def guards(guarded: dict[str, tuple[str, ...]], *, sqlite_: bool) -> list[str]:
    """The triggers that abort what must not happen to a table.

    On PostgreSQL a table with any guard cannot be emptied by TRUNCATE either, which no trigger for
    DELETE sees.
    """
    if sqlite_:
        return [
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: no {act}'); END"
            for table, acts in guarded.items()
            for act in acts
        ]
    return [
        REFUSE,
        *(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
            for table, acts in guarded.items()
            for act in (*acts, "TRUNCATE")
        ),
    ]


REFUSE: Final = """\
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only: no ' || TG_OP;
END
$$"""
