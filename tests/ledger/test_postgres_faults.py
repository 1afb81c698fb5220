"""PostgreSQL's own ways to fail: lost answers, killed and stopped writers, restarts, weak settings."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from ledger import store
from ledger.errors import LedgerUnavailable
from ledger.export import export
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.receipt import verify_receipt
from ledger.store import check_postgres, open_engine
from ledger.verify import verify_export
from logs import ROLES, create_log, key_of, only_postgres, open_log, refusal

ROOT = Path(__file__).parents[2]
FIRST = len(ROLES)
PRODUCER = key_of(Role.PRODUCER)
pytestmark = only_postgres
WAIT_S = 20

# Appends one entry and stops for good just before COMMIT, everything written and the head locked.
STUCK = """
import sys, time
from pathlib import Path
from ledger import store, writing
from ledger.errors import LedgerUnavailable
store.IDLE_TIMEOUT_MS = int(sys.argv[2])
from logs import open_log
log = open_log(Path(sys.argv[1]))
original = writing.write_head
def stop(*arguments):
    original(*arguments)
    print("holding", flush=True)
    sys.stdin.readline()
writing.write_head = stop
try:
    log.refuse(99, key="stuck")
except LedgerUnavailable as error:
    print("refused", flush=True)
"""


@contextmanager
def stuck_writer(directory, idle_ms):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(directory), str(idle_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def whole(log):
    """The log as a restart sees it, from nothing, has no findings."""
    again = open_log(log.directory)
    export(again.ledger, log.directory / "export", vault=again.vault)
    found = verify_export(DirectorySource(log.directory / "export"), log.ledger.vkey)
    again.engine.dispose()
    return found.findings == () and found.tree_size == log.ledger.size


def test_a_writer_killed_in_its_transaction_leaves_nothing_and_holds_nobody_up(log):
    with stuck_writer(log.directory, store.IDLE_TIMEOUT_MS) as process:
        os.kill(process.pid, signal.SIGKILL)
        began = time.monotonic()
        done = log.refuse(1)
    assert time.monotonic() - began < store.BUSY_TIMEOUT_MS / 1000
    assert done.index == FIRST
    assert not log.refuse(99, key="stuck").repeated
    assert whole(log)


def test_a_writer_that_stands_still_is_cut_off_and_told(log):
    """A host whose power or network went holds the head's row until the server gives up on it."""
    with stuck_writer(log.directory, 400) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert log.refuse(1).index == FIRST
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "refused\n"
    assert log.ledger.size == FIRST + 1
    assert whole(log)


def test_a_row_that_stays_locked_is_unavailable_and_free_again_later(log, monkeypatch):
    monkeypatch.setattr(store, "BUSY_TIMEOUT_MS", 200)
    other = open_log(log.directory)
    with stuck_writer(log.directory, store.IDLE_TIMEOUT_MS):
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            other.refuse(1)
        assert other.ledger.size == FIRST, "reading goes on"
    assert other.refuse(1).index == FIRST
    other.engine.dispose()
    assert whole(log)


# --- the answer to COMMIT ------------------------------------------------------------------------


def cut_at_commit(log, server, waiting_for):
    """Append, and terminate the server's process while it waits for something inside COMMIT."""
    told = []

    def attempt():
        try:
            told.append(log.refuse(7, key="cut"))
        except LedgerUnavailable as error:
            told.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if server.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query = 'COMMIT' AND state = 'active' AND wait_event = %s AND datname = %s",
            waiting_for,
            log.engine.url.database,
        ):
            break
        time.sleep(0.01)
    thread.join(WAIT_S)
    assert isinstance(told[0], LedgerUnavailable), told
    assert "appending failed" in str(told[0])


def test_a_commit_that_was_cut_and_not_kept_is_recorded_by_the_retry(log, postgres_server):
    with log.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ledger_checkpoint "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    cut_at_commit(log, postgres_server, "PgSleep")
    with log.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER slow ON ledger_checkpoint")
    assert log.ledger.size == FIRST
    again = log.refuse(7, key="cut")
    assert (again.index, again.repeated) == (FIRST, False)
    assert whole(log)


def test_a_commit_that_was_kept_and_whose_answer_was_cut_is_not_doubled(log, postgres_server):
    """The server waits for a standby that is not there: the commit is on disk, the answer is not."""
    postgres_server.configure("synchronous_standby_names", "nobody")
    try:
        cut_at_commit(log, postgres_server, "SyncRep")
    finally:
        postgres_server.configure("synchronous_standby_names", "")
    assert log.ledger.size == FIRST + 1
    again = log.refuse(7, key="cut")
    assert (again.index, again.repeated) == (FIRST, True)
    verify_receipt(again.receipt, log.ledger.vkey)
    assert log.ledger.size == FIRST + 1
    assert whole(log)


# --- the server ----------------------------------------------------------------------------------


def test_a_restarted_server_costs_no_caller_an_answer(log, postgres_server):
    log.refuse(1)
    postgres_server.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
        log.engine.url.database,
    )
    assert log.refuse(2).index == FIRST + 1


def test_a_server_that_is_not_there_is_unavailable(log, tmp_path):
    log.engine.dispose()
    event.listen(log.engine, "do_connect", _nowhere)
    with pytest.raises(LedgerUnavailable, match="connection"):
        log.refuse(1)
    event.remove(log.engine, "do_connect", _nowhere)
    assert log.refuse(1).index == FIRST


def _nowhere(_dialect, _record, _arguments, parameters):
    parameters["host"] = "/nowhere"


def test_a_database_that_turns_read_only_answers_nothing(log, postgres_server):
    name = log.engine.url.database
    postgres_server.admin(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    log.engine.dispose()
    with pytest.raises(LedgerUnavailable, match="read-only"):
        log.refuse(1)
    assert log.ledger.size == FIRST
    postgres_server.admin(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    log.engine.dispose()
    assert log.refuse(1).index == FIRST


def test_a_commit_is_on_disk_whatever_the_database_defaults_to(log, postgres_server):
    name = log.engine.url.database
    postgres_server.admin(f"ALTER DATABASE {name} SET synchronous_commit = off")
    log.engine.dispose()
    with log.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_weak_servers_are_refused_with_the_reason(database, postgres_server, tmp_path):
    good = {"fsync": "on", "encoding": "UTF8"}
    check_postgres(150_000, **good)
    for version, changed, reason in (
        (140_012, {}, "14 is too old"),
        (160_002, {"fsync": "off"}, "fsync=off"),
        (160_002, {"encoding": "LATIN1"}, "LATIN1"),
    ):
        with pytest.raises(LedgerUnavailable, match=reason):
            check_postgres(version, **{**good, **changed})
    with (
        postgres_server.database(
            "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ) as url,
        pytest.raises(LedgerUnavailable, match="LATIN1"),
    ):
        create_log(tmp_path / "latin", url)


def test_the_address_may_name_the_driver_or_not(log):
    for scheme in ("postgresql", "postgresql+psycopg"):
        url = log.engine.url.set(drivername=scheme).render_as_string(hide_password=False)
        engine = open_engine(url)
        assert engine.dialect.driver == "psycopg"
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        engine.dispose()


def test_a_table_is_not_emptied_at_one_stroke(log):
    from sqlalchemy.exc import DBAPIError

    for table in ("ledger_entry", "ledger_head", "ledger_opening", "ledger_checkpoint"):
        with pytest.raises(DBAPIError, match="append-only"), log.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")


def test_readers_see_one_moment(log):
    """A reader that has begun does not see what is appended meanwhile."""
    with log.engine.connect() as connection:
        count = "SELECT count(*) FROM ledger_entry"
        before = connection.exec_driver_sql(count).scalar()
        log.ledger.append_many([(refusal(n), PRODUCER) for n in range(5)])
        assert connection.exec_driver_sql(count).scalar() == before


def test_a_copy_that_fails_is_told_like_any_other_statement(log):
    """COPY goes past SQLAlchemy, whose errors the writer knows."""
    with log.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE disk_full; END'"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER full_disk BEFORE INSERT ON ledger_row "
            "FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    draft = log.prediction(["a", "b"])
    with pytest.raises(LedgerUnavailable, match="disk_full"):
        log.ledger.append(draft, PRODUCER)
    with log.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full_disk ON ledger_row")
    assert log.ledger.append(draft, PRODUCER).index == FIRST
    assert whole(log)
