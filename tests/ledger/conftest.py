"""A log, new for every test, on each database."""

import pytest

from logs import create_log


@pytest.fixture
def log(tmp_path, database):
    made = create_log(tmp_path / "log", database)
    yield made
    made.engine.dispose()
