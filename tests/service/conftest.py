"""A house and an API over it: new for every test, or one for tests that change nothing in it."""

import pytest

from houses import Api, make_house


@pytest.fixture
def house(tmp_path, database):
    made = make_house(tmp_path / "house", database_url=database or "")
    yield made
    made.engine.dispose()


@pytest.fixture
def api(house):
    return Api(house)


@pytest.fixture(scope="module")
def open_api(tmp_path_factory, module_database):
    """One house for the tests of a file that leave it as they find it, or do not mind what others do."""
    directory = tmp_path_factory.mktemp("open") / "house"
    made = make_house(directory, database_url=module_database or "")
    yield Api(made)
    made.engine.dispose()
