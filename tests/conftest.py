"""The databases tests run on: SQLite always, PostgreSQL wherever its programs are installed."""

import postgres
import pytest


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL of this process's own, started by the first test that wants it."""
    programs, why_not = postgres.find_programs()
    if programs is None:
        pytest.skip(why_not)
    server = postgres.Server(programs)
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """The address of a new, empty database; None is SQLite where the test's own files are."""
    if request.param == "sqlite":
        yield None
        return
    with request.getfixturevalue("postgres_server").database() as url:
        yield url
