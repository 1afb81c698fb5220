"""What the database is told when it opens, what importing does not do, and what triggers stop."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.errors import LedgerInconsistent, LedgerUnavailable
from ledger.keys import Role
from ledger.store import open_engine
from ledger.tables import GUARDED
from logs import create_log, key_of, refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path):
    made = create_log(tmp_path / "log")
    yield made
    made.engine.dispose()


def python(program, *options):
    """Run a program in a fresh interpreter; its output, and nothing on stderr."""
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("wal_autocheckpoint", 0),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("recursive_triggers", 1),
        ("secure_delete", 1),
        ("busy_timeout", 5000),
        ("mmap_size", 0),
    ],
)
def test_every_connection_is_told_how_to_keep_what_it_is_given(log, pragma, value):
    with log.engine.connect() as one, log.engine.connect() as two:
        for connection in (one, two):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_write_ahead_log_is_refused(url):
    with pytest.raises(LedgerUnavailable, match="journal mode memory"):
        open_engine(url).connect()


STATEMENTS = {"UPDATE": "UPDATE {0} SET {1} = {1}", "DELETE": "DELETE FROM {0}"}
COLUMN = {"ledger_opening": "sealed", "ledger_subject_key": "wrapped_key"}


SIGNED = ("entry", "tile", "checkpoint", "cosignature", "row")
# Rows of tables that the log below leaves empty.
MADE = {
    "ledger_cosignature": "1, 'w', 2, 'line'",
    "ledger_part": "1, 0, 'x'",
    "ledger_sealed_part": "1, 0, 's', 1, 'x'",
}
MUST_ABORT = [
    *((f"ledger_{name}", act) for name in SIGNED for act in ("UPDATE", "DELETE")),
    *(("ledger_part", act) for act in ("UPDATE", "DELETE")),
    *((f"ledger_{name}", "UPDATE") for name in ("opening", "subject_key", "sealed_part")),
    *((f"ledger_{name}", "DELETE") for name in ("head", "sequence")),
]


def test_no_guard_was_added_without_a_test():
    assert {(table, act) for table, acts in GUARDED.items() for act in acts} == set(MUST_ABORT)


@pytest.mark.parametrize(("table", "act"), MUST_ABORT)
def test_every_guarded_table_aborts_what_it_guards_against(log, table, act):
    log.predict(["a", "b"])
    log.ledger.append_many([(refusal(n), key_of(Role.PRODUCER)) for n in range(300)])
    with log.engine.begin() as connection:
        (column, *_) = connection.exec_driver_sql(f"SELECT * FROM {table}").keys()
        if table in MADE:
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({MADE[table]})")
        assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
    statement = STATEMENTS[act].format(table, COLUMN.get(table, column))
    with pytest.raises(DBAPIError, match="append-only"), log.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_replacing_an_entry_is_deleting_it(log):
    with (
        pytest.raises(DBAPIError, match="append-only: no DELETE"),
        log.engine.begin() as connection,
    ):
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry WHERE leaf_index = 1"
        )


@pytest.mark.parametrize("length", [0, 5, 12, 20, 28])
@pytest.mark.parametrize(
    ("table", "column"), [("ledger_opening", "sealed"), ("ledger_subject_key", "wrapped_key")]
)
def test_what_is_cut_short_does_not_open(log, table, column, length):
    done = log.predict(["a"])
    with log.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = substr({column}, 1, {length})")
    with pytest.raises(LedgerInconsistent, match=r"does not (decrypt|unwrap)"):
        log.vault.open(done.index)


def test_seal_is_the_only_one_to_hear_merkletools_warn():
    assert python("import ledger.seal", "-W", "error") == ""
    program = "import warnings, ledger.seal; print(warnings.filters == before)"
    assert python(f"import warnings; before = list(warnings.filters)\n{program}") == "True\n"


def test_importing_starts_nothing_that_a_fork_would_share():
    """A server forks after its imports: no thread, no descriptor, no random state before that."""
    program = """
import os, threading
before = set(os.listdir("/proc/self/fd"))
import ledger.log, ledger.vault, ledger.seal, ledger.export, ledger.store
print(threading.active_count(), set(os.listdir("/proc/self/fd")) == before)
"""
    assert python(program) == "1 True\n"


def test_a_child_forked_after_import_appends_beside_its_parent(tmp_path):
    """Each opens the log for itself; what they append is one log without a gap."""
    create_log(tmp_path / "log").engine.dispose()
    program = f"""
import os, sys
sys.path.insert(0, "tests/support")
from pathlib import Path
from ledger.keys import Role
from logs import key_of, open_log, refusal
children = []
for child in range(3):
    pid = os.fork()
    if not pid:
        log = open_log(Path({str(tmp_path / "log")!r}))
        done = [log.refuse(n, key=f"{{child}}-{{n}}").index for n in range(20)]
        os._exit(0 if done == sorted(done) else 1)
    children.append(pid)
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
log = open_log(Path({str(tmp_path / "log")!r}))
print(log.ledger.size, len(set(s.index for s in log.ledger.entries())))
"""
    assert python(program) == "64 64\n"
    assert (tmp_path / "log" / "ledger.append.lock").exists()
