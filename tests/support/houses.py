"""Small real houses for tests: keys, ledger on SQLite, the reference models, an HTTP client per scope.

Training takes a second, so the packages are trained once. Making a house takes a dozen commits, so
one of each kind is made and every test gets a copy of its own: same keys, same first entries.
"""

import atexit
import functools
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ledger.store import writer
from models.reference import credit_default, trade_signal, value_at_risk
from models.reference.data import load_credit, load_sp500
from models.reference.market import days
from service.app import create_app
from service.assembly import assemble, initialise
from service.auth import Identity, Scope
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.settings import Settings

ENVIRONMENT = "sha256:" + "0" * 64
ORIGIN = "test.example/log"
HEAD_TABLES = ("ledger_head", "ledger_checkpoint")


@functools.cache
def packages():
    recipes = (credit_default.train, value_at_risk.train_baseline, trade_signal.train)
    return {p.manifest.name: p for p in (make(environment_digest=ENVIRONMENT) for make in recipes)}


def make_house(directory, models=("credit-default", "trade-signal"), **settings):
    """A house with some models in production."""
    wanted = Settings(data_dir=directory, origin=ORIGIN, **settings)
    if wanted.database_url:  # what is in a database elsewhere cannot be copied
        return build_house(wanted, models)
    shutil.copytree(template(tuple(models)), directory)
    return assemble(wanted)


@functools.cache
def template(models):
    directory = Path(tempfile.mkdtemp(prefix="assay-house-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    wanted = Settings(data_dir=directory / "house", origin=ORIGIN, database_url="")
    build_house(wanted, models).engine.dispose()
    return wanted.data_dir


def build_house(settings, models):
    house = initialise(settings)
    for name in models:
        digest = publish_package(house, packages()[name], actor_id=DEVELOPER)
        put_to_work(house, digest, reason="a test", actor_id=VALIDATOR)
    return house


def credit_rows(count, part="replay"):
    found = load_credit().rows(part, credit_default.FEATURES)
    return [next(found)[1] for _ in range(count)]


def signal_days(count):
    every = days(load_sp500(), "2007-01-01", "2009-12-31")
    return [next(every) for _ in range(count)]


@dataclass
class Caller:
    """A Flask test client with one key."""

    client: object
    key: str

    def _headers(self, idempotency):
        headers = {"Authorization": f"Bearer {self.key}"}
        return headers | ({"Idempotency-Key": idempotency} if idempotency else {})

    @property
    def key_id(self):
        return self.key.split("_")[1]

    def get(self, path, **kwargs):
        return self.client.get(path, headers=self._headers(None), **kwargs)

    def post(self, path, body, idempotency=None):
        return self.client.post(path, json=body, headers=self._headers(idempotency))

    def post_raw(self, path, data, content_type="application/json"):
        return self.client.post(
            path, data=data, content_type=content_type, headers=self._headers(None)
        )


class Api:
    """An application over a house, and one caller per scope. A second one is another process."""

    def __init__(self, house):
        self.house = house
        self.app = create_app(house)
        self.app.testing = False
        for scope in Scope:
            key = house.callers.issue(f"{scope}-person", [scope])
            setattr(self, scope.value, Caller(self.app.test_client(), key))
        self.nobody = self.app.test_client()

    def predict(self, row=None, idempotency=None, **more):
        body = {"model": "credit-default", "features": row or credit_rows(1)[0], **more}
        return self.trader.post("/v1/predictions", body, idempotency)

    def caller(self, actor, *scopes):
        """One more caller."""
        return Caller(self.app.test_client(), self.house.callers.issue(actor, scopes))

    def browser(self, caller):
        """A reader of the pages, signed in with a one-time link of the caller's key."""
        client = self.app.test_client()
        token = self.house.callers.make_link(caller.key_id)
        assert client.get(f"/sign-in?token={token}").status_code == 302
        return client


def problem_of(response):
    """The problem in an answer; fails when it is none, or names what no problem may."""
    text = response.get_data(as_text=True)
    assert response.content_type == "application/problem+json", text
    assert not any(word in text for word in ("Traceback", ".py", "sqlite", "SELECT", "INSERT"))
    found = json.loads(text)
    assert found["status"] == response.status_code
    assert {"type", "title", "detail", "instance"} <= set(found)
    return found


DESK = Identity(key_id="0" * 16, actor_id="desk", scopes=frozenset({Scope.TRADER}))


def reporter():
    return Identity(key_id="1" * 16, actor_id="back-office", scopes=frozenset({Scope.OUTCOMES}))


def break_storage(house):
    """Take the log's head and checkpoints away, as damage would: reads and commits fail now."""
    with writer(house.engine).begin() as connection:
        for table in HEAD_TABLES:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_gone")


def mend_storage(house):
    with writer(house.engine).begin() as connection:
        for table in HEAD_TABLES:
            connection.exec_driver_sql(f"ALTER TABLE {table}_gone RENAME TO {table}")
