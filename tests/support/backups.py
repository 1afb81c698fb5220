"""Backups of a house's database and their restoring, as an operator would: SQLite's file, pg_dump.

`backup` may run while others append. `restore` puts an old state in the place of the present one
and leaves everything else as it is, the anchor above all.
"""

import contextlib
import subprocess

import psycopg

import postgres
from ledger.dialect import is_sqlite, sqlite


def backup(house, target):
    """A whole state of the database in a file, taken while it is in use."""
    if not is_sqlite(house.engine):
        _run("pg_dump", "-Fc", "-f", target, "-d", _address(house))
        return
    source = f"file:{house.engine.url.database}?mode=ro"
    with (
        contextlib.closing(sqlite.connect(source, uri=True)) as live,
        contextlib.closing(sqlite.connect(target)) as copy,
    ):
        live.backup(copy)


def restore(house, source):
    """Put a backup in the database's place; None: an empty place."""
    house.engine.dispose()
    if not is_sqlite(house.engine):
        name = house.engine.url.database
        with psycopg.connect(_address(house, "postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name}")
        if source is not None:
            _run("pg_restore", "--exit-on-error", "-d", _address(house), source)
        return
    place = house.settings.data_dir / "assay.db"
    for path in place.parent.glob("assay.db*"):
        path.unlink()
    if source is not None:
        place.write_bytes(source.read_bytes())


def environment(house):
    """What a command needs to be told to find the house's database."""
    return {"ASSAY_DATABASE_URL": house.settings.database_url or ""}


def _address(house, database=None):
    url = house.engine.url.set(drivername="postgresql")
    url = url if database is None else url.set(database=database)
    return url.render_as_string(hide_password=False)


def _run(program, *arguments):
    programs, why_not = postgres.find_programs()
    assert programs, why_not
    subprocess.run([programs / program, *map(str, arguments)], check=True, capture_output=True)
