"""A failure at every statement of a commit, and at COMMIT itself: nothing answered, nothing half done."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger.dialect import is_sqlite, sqlite
from ledger.errors import LedgerInconsistent, LedgerUnavailable
from ledger.export import export
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.receipt import verify_receipt
from ledger.record import parse_entry
from ledger.store import truncate_wal
from ledger.verify import verify_export
from logs import ROLES, TIME, create_log, key_of, open_log, refusal

FIRST = len(ROLES)
PRODUCER = key_of(Role.PRODUCER)
BROKEN = OSError(5, "Input/output error")


class Fault:
    """Fails at the n-th statement from now on, before or after it ran; n 0 only counts.

    On SQLite it sits in the driver's cursor, since statements go past SQLAlchemy there.
    """

    now = None  # the one at work

    def __init__(self, engine, at, when):
        self._engine, self._at, self._when, self.seen = engine, at, when, 0
        self._event = f"{when}_cursor_execute"

    def __enter__(self):
        if is_sqlite(self._engine):
            Fault.now = self
        else:
            event.listen(self._engine, self._event, self._hit)
        return self

    def __exit__(self, *_):
        if is_sqlite(self._engine):
            Fault.now = None
        else:
            event.remove(self._engine, self._event, self._hit)

    def run(self, execute, *arguments):
        """Run a statement of SQLite's, or fail before or after it."""
        if self._when == "before":
            self._hit()
        done = execute(*arguments)
        if self._when == "after":
            self._hit()
        return done

    def _hit(self, *_):
        self.seen += 1
        if self.seen == self._at:
            raise BROKEN


class Cursor(sqlite.Cursor):
    """Every statement is the fault's to run."""

    def execute(self, *arguments):
        run = super().execute
        return Fault.now.run(run, *arguments) if Fault.now else run(*arguments)

    def executemany(self, *arguments):
        run = super().executemany
        return Fault.now.run(run, *arguments) if Fault.now else run(*arguments)


class Connection(sqlite.Connection):
    def cursor(self, factory=Cursor):
        return super().cursor(factory)


def told_of_statements(log):
    """The log on connections of such cursors."""
    if is_sqlite(log.engine):
        log.engine.dispose()
        event.listen(log.engine, "do_connect", lambda *told: told[3].update(factory=Connection))
        assert log.ledger.size == FIRST  # and connected again: a pool looks at the clock for that
    return log


@contextmanager
def failing(dialect, name, *, first):
    """A call of the dialect that fails, before it does anything or after it has done it."""
    original = getattr(dialect, name)

    def fail(connection):
        if first:
            original(connection)
        raise BROKEN

    setattr(dialect, name, fail)
    try:
        yield
    finally:
        setattr(dialect, name, original)


def batch(log):
    """What touches every table: rows, openings, a known key, a twin, and a tile that fills up."""
    prediction = log.prediction(["a", "b"])
    return [
        (refusal(0, key="known"), PRODUCER),
        (replace(prediction, idempotency_key="many"), PRODUCER),
        (refusal(1, key="new"), PRODUCER),
        (refusal(1, key="new"), PRODUCER),
        *((refusal(n), PRODUCER) for n in range(4)),
    ]


@pytest.fixture
def log(tmp_path):
    """A log on SQLite, whose every statement is told of."""
    made = told_of_statements(create_log(tmp_path / "log"))
    yield made
    made.engine.dispose()


@pytest.fixture
def filled(log):
    """A log that the batch takes over the edge of its first tile."""
    return fill(log)


@pytest.fixture
def filled_on_each(tmp_path, database):
    """The same on each database."""
    made = fill(told_of_statements(create_log(tmp_path / "log", database)))
    yield made
    made.engine.dispose()


def fill(log):
    log.refuse(0, key="known")
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(253 - log.ledger.size)])
    return log


def verified(log):
    """The whole log, read again from nothing, has no findings."""
    again = open_log(log.directory)
    export(again.ledger, log.directory / "export", vault=again.vault)
    found = verify_export(DirectorySource(log.directory / "export"), log.ledger.vkey)
    again.engine.dispose()
    return found.findings == () and found.tree_size == log.ledger.size


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failure_at_any_statement_records_nothing(filled_on_each, when):
    log, drafts = filled_on_each, batch(filled_on_each)
    with Fault(log.engine, 0, when) as counted:
        size = log.ledger.size
        known = log.ledger.entry(FIRST).entry
        reads = counted.seen
    steps = 0
    while True:
        with Fault(log.engine, steps + 1, when) as fault:
            try:
                done = log.ledger.append_many(drafts)
                break
            except LedgerUnavailable:
                assert fault.seen == steps + 1
        steps += 1
        assert log.ledger.size == size
    assert steps > reads + 10, "head, checkpoint, keys, numbers, six tables, read-back"
    for appended in done:
        verify_receipt(appended.receipt, log.ledger.vkey)
    assert [appended.repeated for appended in done[:4]] == [True, False, False, True]
    assert log.ledger.size == size + 6
    assert log.ledger.entry(FIRST).entry == known == done[0].receipt.entry
    assert verified(log)


@pytest.mark.parametrize("rollback", [False, True], ids=["rollback works", "rollback fails too"])
def test_a_commit_that_fails_records_nothing(filled, rollback):
    log, size = filled, filled.ledger.size
    with ExitStack() as broken:
        broken.enter_context(failing(log.engine.dialect, "do_commit", first=False))
        if rollback:
            broken.enter_context(failing(log.engine.dialect, "do_rollback", first=False))
        with pytest.raises(LedgerUnavailable, match="Input/output error"):
            log.ledger.append_many(batch(log))
    assert log.ledger.size == size
    assert log.refuse(9).index == size
    assert verified(log)


def test_a_commit_whose_answer_is_lost_is_found_by_its_key(filled):
    """Durable, and reported as failed: only the idempotency key can tell."""
    log, size = filled, filled.ledger.size
    with (
        failing(log.engine.dialect, "do_commit", first=True),
        pytest.raises(LedgerUnavailable),
    ):
        log.refuse(7, key="lost")
    assert log.ledger.size == size + 1
    again = log.refuse(7, key="lost")
    assert (again.index, again.repeated) == (size, True)
    verify_receipt(again.receipt, log.ledger.vkey)
    assert verified(log)


@pytest.mark.parametrize(
    ("table", "rot", "told"),
    [
        (
            "ledger_entry",
            "entry = CAST(entry || ' ' AS BLOB) WHERE leaf_index = (SELECT max(leaf_index) FROM ledger_entry)",
            "as stored",
        ),
        ("ledger_entry", "leaf_hash = zeroblob(32) WHERE leaf_index = 254", "entry 254 as stored"),
        ("ledger_row", "row = x'7b7d' WHERE row_index = 1", "rows stored"),
    ],
    ids=["an entry", "a leaf hash", "a row"],
)
def test_what_rots_on_its_way_to_the_disk_is_not_signed(filled, monkeypatch, table, rot, told):
    from ledger import writing

    log, size = filled, filled.ledger.size
    original = writing.read_back

    def rotten(connection, first, fresh):
        connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
        connection.exec_driver_sql(f"UPDATE {table} SET {rot}")
        original(connection, first, fresh)

    with monkeypatch.context() as rotting:
        rotting.setattr(writing, "read_back", rotten)
        with pytest.raises(LedgerInconsistent, match=told):
            log.ledger.append_many(batch(log))
    assert log.ledger.size == size
    log.ledger.append_many(batch(log))
    assert verified(log)


def test_a_wal_that_does_not_move_costs_no_answer(log, monkeypatch):
    """What was committed is answered: a reader in the way, or no connection, only postpones it."""
    from ledger import writing

    monkeypatch.setattr(writing, "WAL_EVERY", 1)
    with log.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM ledger_entry").scalar()
        verify_receipt(log.refuse(1).receipt, log.ledger.vkey)

    def none_left():
        raise PoolTimeout("QueuePool limit reached")

    with monkeypatch.context() as without:
        without.setattr(type(log.engine), "raw_connection", lambda _: none_left())
        truncate_wal(log.engine)
    wal = log.directory / "log.db-wal"
    assert wal.stat().st_size > 0
    log.refuse(2)
    assert wal.stat().st_size == 0


def test_no_clock_is_asked(log, monkeypatch):
    """Order is the log's own. A clock that jumps, or an event time in the past, changes nothing."""
    import time

    def no_clock(*_):
        pytest.fail("the ledger asked the clock")

    times = ["2026-11-25T03:20:00.123Z", "1999-01-01T00:00:00.000Z", TIME]
    with monkeypatch.context() as without:
        for name in ("time", "time_ns"):
            without.setattr(time, name, no_clock)
        done = [
            log.ledger.append(replace(refusal(n), event_time=at), PRODUCER)
            for n, at in enumerate(times)
        ]
    assert [appended.index for appended in done] == [FIRST, FIRST + 1, FIRST + 2]
    bodies = [parse_entry(appended.receipt.entry).body for appended in done]
    assert [(body["seq"], body["event_time"]) for body in bodies] == list(enumerate(times))
    assert verified(log)
