"""The databases tests run on: SQLite always, PostgreSQL wherever its programs are installed.

ASSAY_TEST_DATABASES=sqlite (or postgresql) keeps to one of them.
"""

import os
from contextlib import contextmanager

import pytest
from hypothesis import settings

import postgres

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")

DATABASES = os.environ.get("ASSAY_TEST_DATABASES", "sqlite,postgresql").split(",")


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL of this process's own, started by the first test that wants it."""
    programs, why_not = postgres.find_programs()
    if programs is None:
        pytest.skip(why_not)
    server = postgres.Server(programs)
    yield server
    server.stop()


@contextmanager
def _new_database(request):
    if request.param == "sqlite":
        yield None
        return
    with request.getfixturevalue("postgres_server").database() as url:
        yield url


@pytest.fixture(params=DATABASES)
def database(request):
    """The address of a new, empty database; None is SQLite where the test's own files are."""
    with _new_database(request) as url:
        yield url


@pytest.fixture(scope="module", params=DATABASES)
def module_database(request):
    """The same, one for all tests of a file."""
    with _new_database(request) as url:
        yield url
