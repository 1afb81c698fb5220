"""Several processes on one log, on one host and on two, and processes that die in the middle."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.errors import LedgerUnavailable
from ledger.export import export
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.receipt import Receipt, verify_receipt
from ledger.store import SQLITE_MINIMUM, check_sqlite, truncate_wal
from ledger.verify import verify_export
from logs import ROLES, create_log, key_of, only_postgres, only_sqlite, open_log, refusal

ROOT = Path(__file__).parents[2]
FIRST = len(ROLES)
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])

# Appends by 8 threads under numbered idempotency keys; prints each receipt once it has it.
WRITER = """
import json, sys, threading
from pathlib import Path
from logs import key_of, open_log, refusal
from ledger.keys import Role
directory, name, each = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log, lock = open_log(directory), threading.Lock()
def work(thread):
    for n in range(each):
        key = f"{name}-{thread}-{n}"
        done = log.ledger.append(refusal(n, key=key), key_of(Role.PRODUCER))
        with lock:
            print(json.dumps({"key": key, "receipt": done.receipt.to_json()}), flush=True)
threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
print("ready", flush=True)
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


class Writer:
    """A writer process whose output goes to a file, so that it never waits for its reader."""

    def __init__(self, directory, name, each):
        self._output = directory.parent / f"{name}.out"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(directory), name, str(each)],
                stdout=output,
                env={**os.environ, "PYTHONPATH": PYTHONPATH},
            )

    def wait_ready(self):
        """Until it opened the log and begins to append."""
        while not self._output.read_bytes().startswith(b"ready"):
            assert self.process.poll() is None
            time.sleep(0.01)

    def answers(self):
        """What it printed, a last line cut off by its death aside."""
        self.process.wait()
        found = {}
        for line in self._output.read_text("utf-8").splitlines():
            if line.startswith("{") and line.endswith("}"):
                answer = json.loads(line)
                found[answer["key"]] = Receipt.from_json(answer["receipt"])
        return found


def check(directory, receipts):
    """Every receipt holds, and the whole log verifies from its export."""
    log = open_log(directory)
    for receipt in receipts.values():
        verify_receipt(receipt, log.ledger.vkey)
        assert log.ledger.entry(receipt.leaf_index).entry == receipt.entry
    export(log.ledger, directory / "export", vault=log.vault)
    assert verify_export(DirectorySource(directory / "export"), log.ledger.vkey).findings == ()
    return log


def a_log(tmp_path, database):
    """A new log that nobody has open."""
    create_log(tmp_path / "log", database).engine.dispose()


def test_processes_append_to_one_log_without_a_gap(tmp_path, database):
    a_log(tmp_path, database)
    writers = [Writer(tmp_path / "log", f"w{n}", 30) for n in range(3)]
    watcher = open_log(tmp_path / "log")
    while any(writer.process.poll() is None for writer in writers):
        truncate_wal(watcher.engine)  # checkpoints in between, as often as they can be had
        assert watcher.ledger.receipt(0)
        time.sleep(0.01)
    receipts = {}
    for writer in writers:
        receipts |= writer.answers()
        assert writer.process.returncode == 0
    assert len(receipts) == 3 * 8 * 30
    log = check(tmp_path / "log", receipts)
    assert log.ledger.size == FIRST + len(receipts)


@only_postgres
def test_hosts_append_to_one_database_without_a_gap(tmp_path, database):
    """A host is a process with a data directory of its own: no file is shared, no file lock helps."""
    a_log(tmp_path, database)
    for name in ("east", "west"):
        open_log(tmp_path / name, database).engine.dispose()
    hosts = [Writer(tmp_path / name, name, 60) for name in ("east", "west")]
    receipts = {}
    for host in hosts:
        receipts |= host.answers()
        assert host.process.returncode == 0
    assert len(receipts) == 2 * 8 * 60
    log = check(tmp_path / "log", receipts)
    assert log.ledger.size == FIRST + len(receipts)
    by_place = sorted(receipts, key=lambda key: receipts[key].leaf_index)
    turns = sum(a[:4] != b[:4] for a, b in itertools.pairwise(by_place))
    assert turns > 4, "they took turns, else nothing was tried"


@pytest.mark.slow
def test_kill_nine_again_and_again_loses_no_receipt_and_doubles_nothing(tmp_path, database):
    a_log(tmp_path, database)
    receipts = {}
    for attempt in range(6):
        writer = Writer(tmp_path / "log", f"a{attempt}", 10_000)
        writer.wait_ready()
        time.sleep(0.05 + 0.07 * attempt)
        os.kill(writer.process.pid, signal.SIGKILL)
        receipts |= writer.answers()
    assert len(receipts) > 50
    log = check(tmp_path / "log", receipts)
    size = log.ledger.size
    for key, receipt in list(receipts.items())[:100]:
        n = int(key.rpartition("-")[2])
        again = log.ledger.append(refusal(n, key=key), key_of(Role.PRODUCER))
        assert (again.index, again.receipt.entry) == (receipt.leaf_index, receipt.entry)
    assert log.ledger.size == size


@only_sqlite
def test_a_disk_that_turns_read_only_answers_nothing(log):
    """SQLite's own refusal to write stands for any: what is told is that nothing is known."""
    log.engine.dispose()
    from sqlalchemy import event

    event.listen(log.engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only=ON"))
    with pytest.raises(LedgerUnavailable, match="readonly"):
        log.refuse(1)


@only_sqlite
def test_a_full_disk_answers_nothing_and_the_log_goes_on_afterwards(log):
    from sqlalchemy import event

    log.engine.dispose()
    limit = ["PRAGMA max_page_count=1"]

    def cap(raw, _):
        raw.execute(limit[0])

    event.listen(log.engine, "connect", cap)
    with pytest.raises(LedgerUnavailable, match="full"):
        log.ledger.append_many([(refusal(n), key_of(Role.PRODUCER)) for n in range(2000)])
    limit[0] = "PRAGMA max_page_count=1000000"
    log.engine.dispose()
    before = log.ledger.size
    assert log.refuse(1).index == before


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2), (3, 7, 0)])
def test_an_sqlite_that_can_lose_pages_is_refused_with_the_reason(version):
    with pytest.raises(LedgerUnavailable, match="WAL-reset"):
        check_sqlite(version)
    check_sqlite(SQLITE_MINIMUM)


def test_another_database_is_refused_by_name():
    from ledger.store import open_engine

    with pytest.raises(LedgerUnavailable, match="oracle"):
        open_engine("oracle://somewhere/log")


def test_a_fork_after_opening_still_appends_alone(tmp_path, database):
    """The append lock is taken by each process on a descriptor, or a connection, of its own."""
    log = create_log(tmp_path / "log", database)
    log.refuse(0)
    log.engine.dispose()
    child = os.fork()
    if child == 0:
        os._exit(0 if _append_some(tmp_path / "log", log) else 1)
    assert _append_some(tmp_path / "log", log)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    check(tmp_path / "log", {})
    assert log.ledger.size == FIRST + 1 + 2 * 50


def _append_some(_directory, log):
    for n in range(50):
        log.refuse(n)
    return True
