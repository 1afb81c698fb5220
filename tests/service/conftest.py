"""A house and an API over it, new for every test."""

import pytest

from houses import Api, make_house


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house")
    yield made
    made.engine.dispose()


@pytest.fixture
def api(house):
    return Api(house)
