"""The schema's steps give what the tables say, on both databases; nothing migrates by itself."""

import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from houses import make_house
from ledger.dialect import is_sqlite
from ledger.store import create_schema, open_engine, writer
from service import schema, tables  # noqa: F401 - the service's tables, for the metadata
from service.assembly import assemble
from service.cli import main
from service.errors import ServiceError

GOLDEN = Path(__file__).parents[1] / "golden" / "schema-0.1.sql"
OURS = ("ledger_", "service_")


@pytest.fixture
def engine(tmp_path, database):
    made = open_engine(database or f"sqlite:///{tmp_path / 'migrated.db'}")
    yield made
    made.dispose()


@pytest.fixture
def declared(tmp_path, database, request):
    """A second database, its tables made out of what the code declares."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'declared.db'}"
        if database:
            url = stack.enter_context(request.getfixturevalue("postgres_server").database())
        made = open_engine(url)
        create_schema(made)
        wanted = [table for name, table in SQLModel.metadata.tables.items() if _service(name)]
        SQLModel.metadata.create_all(writer(made), tables=wanted)
        yield made
        made.dispose()


def _service(name):
    return name.startswith("service_")


def described(engine):
    """Everything a schema consists of, as text by name."""
    if is_sqlite(engine):
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql != ''"))
            return {name: " ".join(sql.split()) for name, sql in rows if "alembic" not in name}
    found, facts = {}, inspect(engine)
    for table in facts.get_table_names():
        if not table.startswith(OURS):
            continue
        found[table] = [
            (c["name"], str(c["type"]), c["nullable"]) for c in facts.get_columns(table)
        ]
        found[f"{table} key"] = facts.get_pk_constraint(table)["constrained_columns"]
        found[f"{table} indexes"] = sorted(map(str, facts.get_indexes(table)))
    with engine.connect() as connection:
        for kind, query in (
            ("trigger", "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger"),
            ("function", "SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'ledger%'"),
        ):
            found |= {f"{kind} {name}": told for name, told in connection.execute(text(query))}
    return found


def test_the_steps_make_what_the_tables_declare(engine, declared):
    schema.migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, _metadata()) == []
    assert described(engine) == described(declared)


def _metadata():
    """Our tables alone: a test's own, or another package's, are none of this schema."""
    from sqlalchemy import MetaData

    mine = MetaData()
    for name, table in SQLModel.metadata.tables.items():
        if name.startswith(OURS):
            table.to_metadata(mine)
    return mine


def test_the_first_step_is_the_schema_of_release_0_1(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    schema.migrate(engine, to="0001")
    old = sqlite3.connect(tmp_path / "old.db")
    old.executescript(GOLDEN.read_text("utf-8"))
    rows = old.execute("SELECT name, sql FROM sqlite_master WHERE sql != ''")
    assert described(engine) == {name: " ".join(sql.split()) for name, sql in rows}
    old.close()
    engine.dispose()


def test_the_newest_revision_is_the_one_the_program_asks_for():
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [schema.NEWEST]
    steps = [step.revision for step in scripts.walk_revisions()]
    assert sorted(steps, reverse=True) == steps, "revisions are compared as text"


def test_a_step_that_fails_leaves_nothing_behind(engine, monkeypatch):
    from alembic import op

    def fail(name, *_, **__):
        message = f"no room for {name}"
        raise OSError(message)

    schema.migrate(engine, to="0001")
    before = described(engine)
    monkeypatch.setattr(op, "execute", fail)
    with pytest.raises(OSError, match="no room"):
        schema.migrate(engine)
    monkeypatch.undo()
    assert described(engine) == before
    assert schema.revision_of(engine) == "0001"
    assert schema.migrate(engine) == ("0001", schema.NEWEST)


def test_a_house_of_release_0_1_is_refused_until_it_is_migrated(tmp_path, database):
    """Release 0.1 kept no count: its house is known by its tables."""
    house = make_house(tmp_path / "house", models=(), **_url(database))
    size = house.ledger.size
    later = {"ledger_part", "ledger_sealed_part"}
    later |= {"service_delivery", "service_proposal", "service_lease", "service_job_run"}
    later |= {"ledger_part", "ledger_sealed_part"}
    with house.engine.begin() as connection:
        for table in ("ledger_cosignature", "service_hold", "alembic_version", *sorted(later)):
            connection.execute(text(f"DROP TABLE {table}"))
    house.engine.dispose()
    with pytest.raises(ServiceError, match=r"is at 0001, not .*; run: assay migrate"):
        assemble(house.settings)
    environment = {"ASSAY_DATABASE_URL": database or ""}
    command = ["migrate", "--data-dir", str(house.settings.data_dir)]
    told = CliRunner().invoke(main, command, env=environment)
    assert told.output == f"the schema is at {schema.NEWEST}; it was at 0001\n"
    told = CliRunner().invoke(main, command, env=environment)
    assert told.output == f"the schema is at {schema.NEWEST}\n"
    again = assemble(house.settings)
    assert again.ledger.size == size
    again.engine.dispose()


def test_a_database_of_a_later_release_is_left_alone(tmp_path, database):
    house = make_house(tmp_path / "house", models=(), **_url(database))
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ServiceError, match="newer release"):
        assemble(house.settings)
    with pytest.raises(ServiceError, match="nothing goes back"):
        schema.migrate(house.engine)
    house.engine.dispose()


def test_an_empty_database_is_never_filled_on_opening(tmp_path, database):
    house = make_house(tmp_path / "house", models=(), **_url(database))
    house.engine.dispose()
    elsewhere = house.settings.model_copy(
        update={"database_url": f"sqlite:///{tmp_path / 'another.db'}"}
    )
    with pytest.raises(Exception, match="no database at"):
        assemble(elsewhere)


def test_a_second_house_is_not_made_in_the_database_of_a_first(tmp_path, database):
    house = make_house(tmp_path / "house", models=(), **_url(database))
    url = house.settings.url
    with pytest.raises(ServiceError, match="holds a house already"):
        make_house(tmp_path / "second", models=(), database_url=url)
    assert not (tmp_path / "second" / "keys").exists()
    house.engine.dispose()


def _url(database):
    return {"database_url": database} if database else {}
