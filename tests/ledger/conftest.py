"""A log, new for every test."""

import pytest

from logs import create_log


@pytest.fixture
def log(tmp_path):
    made = create_log(tmp_path / "log")
    yield made
    made.engine.dispose()
