"""A house and an API over it: new for every test, or one for tests that change nothing in it."""

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


@pytest.fixture(scope="module")
def open_api(tmp_path_factory):
    """One house for the tests of a file that leave it as they find it, or do not mind what others do."""
    made = make_house(tmp_path_factory.mktemp("open") / "house")
    yield Api(made)
    made.engine.dispose()
