"""A small real log: engine, keys, a few drafts. Everything below the service, nothing of it."""

import hashlib
import os
from dataclasses import dataclass

import pytest

from ledger.dialect import is_sqlite
from ledger.keys import Role, SigningKey
from ledger.log import Ledger
from ledger.merkle import leaf_hash
from ledger.record import Draft, make_opening, row_bytes, row_object
from ledger.seal import RowTree, period_root
from ledger.store import create_schema, open_engine
from ledger.vault import Vault

ORIGIN = "test.example/log"
TIME = "2026-11-25T03:20:00.123Z"
DIGEST = "sha256:" + "0" * 64
LOG_KEY = SigningKey(bytes(range(32)))
# On a test that is about SQLite itself: its pragmas, its file, its limits.
only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
ROLES = (Role.OPERATOR, Role.PRODUCER, Role.OUTCOME_SOURCE, Role.REPORTER)


def key_of(role):
    """The same key for a role in every run and process."""
    return SigningKey(hashlib.sha256(f"test key of {role}".encode()).digest())


def refusal(n=0, *, key=None, digest=None):
    """The smallest draft there is; with an idempotency key when given."""
    return Draft(
        type="refusal",
        actor_id="tester",
        data={"cause": "Test", "model_digest": None, "detail": f"number {n}"},
        event_time=TIME,
        idempotency_key=key,
        request_digest=hashlib.sha256((digest or str(n)).encode()).hexdigest() if key else None,
    )


def drop_guard(connection, table, act):
    """Take away the trigger that forbids an act, to do what it forbids."""
    where = "" if is_sqlite(connection) else f" ON {table}"
    connection.exec_driver_sql(f"DROP TRIGGER {table}_no_{act}{where}")


@dataclass
class Log:
    """A ledger with everything beside it."""

    directory: object
    engine: object
    ledger: Ledger
    vault: Vault

    def refuse(self, n=0, **kwargs):
        return self.ledger.append(refusal(n, **kwargs), key_of(Role.PRODUCER))

    def predict(self, rows, subject="sub_1"):
        """Append a prediction of some rows."""
        return self.ledger.append(self.prediction(rows, subject), key_of(Role.PRODUCER))

    def prediction(self, rows, subject="sub_1"):
        """A prediction of some rows of one input and one output each, with openings."""
        objects, openings = [], []
        for place, value in enumerate(rows):
            opening, inputs, outputs = make_opening(
                place, {"x": value}, {"margin_q16": str(place)}, os.urandom
            )
            objects.append(row_object(place, inputs, outputs, "long"))
            openings.append(self.vault.seal(subject, place, opening.to_bytes()))
        data = {
            "model_digest": DIGEST,
            "model_name": "m",
            "policy_digest": DIGEST,
            "environment_digest": DIGEST,
            "verification_mode": "signed",
            "as_of": None,
            "caller_reference": None,
            "row_count": len(rows),
        }
        leaves = [row_bytes(item) for item in objects]
        many = len(rows) > 1
        data |= {"rows_root": RowTree(leaves).root.hex()} if many else {"row": objects[0]}
        return Draft(
            type="prediction",
            actor_id="tester",
            data=data,
            event_time=TIME,
            ref=DIGEST,
            rows=tuple(leaves) if many else (),
            openings=tuple(openings),
        )

    def seal(self, first):
        """Seal everything from a leaf on."""
        size = self.ledger.size
        hashes = [
            leaf_hash(stored.entry)
            for stored in self.ledger.entries(first=first, limit=size - first)
        ]
        data = {
            "period": "2026-11-25",
            "first_index": first,
            "count": len(hashes),
            "root": period_root(hashes).hex(),
            "checkpoint_size": size,
        }
        draft = Draft(type="seal", actor_id="tester", data=data, event_time=TIME)
        return self.ledger.append(draft, key_of(Role.REPORTER))


def introduction(role):
    """The `key.added` draft of a role's key."""
    import base64

    from ledger.canonical import canonical_bytes
    from ledger.keys import POSSESSION_TAG

    key = key_of(role)
    claim = {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public).decode(),
        "role": str(role),
        "holder": "tester",
    }
    possession = base64.b64encode(key.sign(POSSESSION_TAG + canonical_bytes(claim))).decode()
    return Draft(
        type="key.added",
        actor_id="tester",
        data={**claim, "possession": possession},
        event_time=TIME,
    )


def address_of(directory, url):
    """Where a directory's log is; told once, it is remembered there."""
    told = directory / "database.url"
    if url:
        told.write_text(url)
    return told.read_text() if told.exists() else f"sqlite:///{directory / 'log.db'}"


def create_log(directory, url=None):
    """A new log whose keys are introduced: 4 entries. `url`: where, unless in SQLite's own file."""
    directory.mkdir(exist_ok=True)
    engine = open_engine(address_of(directory, url))
    create_schema(engine)
    ledger = Ledger.create(engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=directory)
    for role in ROLES:
        ledger.append(introduction(role), key_of(Role.OPERATOR))
    return Log(directory, engine, ledger, Vault(b"k" * 32, engine))


def open_log(directory, url=None):
    """The log again, as another process, host or a restart sees it."""
    directory.mkdir(exist_ok=True)
    engine = open_engine(address_of(directory, url))
    ledger = Ledger.open(engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=directory)
    return Log(directory, engine, ledger, Vault(b"k" * 32, engine))
