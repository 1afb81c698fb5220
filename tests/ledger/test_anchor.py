"""The anchor: moved after each commit and before any receipt; a database behind it appends nothing."""

import errno
import os
import shutil
import subprocess
import sys
import threading

import pytest

from ledger import slots
from ledger.anchor import Anchor
from ledger.dialect import run
from ledger.errors import AnchorLost, AnchorRefused, LedgerUnavailable, NotFound, RolledBack
from ledger.export import export
from ledger.keys import Role
from ledger.log import Ledger
from ledger.note import open_checkpoint
from ledger.store import create_schema, open_engine, truncate_wal
from logs import (
    LOG_KEY,
    ORIGIN,
    ROLES,
    Log,
    introduction,
    key_of,
    only_postgres,
    only_sqlite,
    refusal,
)

FIRST = len(ROLES)
PRODUCER = key_of(Role.PRODUCER)
SUPPORT = os.path.join(os.path.dirname(__file__), "..", "support")  # noqa: PTH118, PTH120


def address(directory, database):
    return database or f"sqlite:///{directory / 'log.db'}"


@pytest.fixture
def anchored(tmp_path, database):
    """A log of four entries with an anchor, on each database."""
    engine = open_engine(address(tmp_path, database))
    create_schema(engine)
    ledger = Ledger.create(
        engine,
        origin=ORIGIN,
        log_key=LOG_KEY,
        data_dir=tmp_path,
        anchor=tmp_path / "anchor.json",
    )
    for role in ROLES:
        ledger.append(introduction(role), key_of(Role.OPERATOR))
    yield Log(tmp_path, engine, ledger, None)
    engine.dispose()


def reopen(log, anchor="anchor.json"):
    """The log again, as a restart or another process sees it."""
    return Ledger.open(
        log.engine,
        origin=ORIGIN,
        log_key=LOG_KEY,
        data_dir=log.directory,
        anchor=log.directory / anchor,
    )


def standing(log):
    return Anchor(log.directory / "anchor.json", log.ledger.vkey).read()


def backup(log, name="backup.db"):
    truncate_wal(log.engine)
    shutil.copy(log.directory / "log.db", log.directory / name)
    return name


def restore(log, name="backup.db"):
    """Put a backup in the database's place, under a running process."""
    log.engine.dispose()
    for path in log.directory.glob("log.db*"):
        path.unlink()
    shutil.copy(log.directory / name, log.directory / "log.db")


def unwritable(monkeypatch, code):
    """Let no new anchor reach the disk."""

    def fail(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(slots.os, "fdatasync", fail)


def test_the_anchor_is_the_newest_checkpoint_after_each_commit(anchored):
    assert standing(anchored).size == FIRST
    receipt = anchored.refuse(1).receipt
    now = standing(anchored)
    assert (now.size, now.note) == (FIRST + 1, receipt.checkpoint)
    assert now.root == open_checkpoint(receipt.checkpoint, anchored.ledger.vkey).root
    assert (now.since, now.reason) == (0, "the log was made")


@only_sqlite
def test_yesterdays_backup_does_not_open_and_the_error_names_the_command(anchored):
    name = backup(anchored)
    anchored.refuse(1)
    restore(anchored, name)
    with pytest.raises(RolledBack, match="assay ledger recover EXPORT_DIR") as told:
        reopen(anchored)
    assert (told.value.size, told.value.found_size) == (FIRST + 1, FIRST)


@only_sqlite
def test_a_backup_restored_under_a_running_process_signs_nothing(anchored):
    name = backup(anchored)
    kept = anchored.refuse(1).receipt
    restore(anchored, name)
    with pytest.raises(RolledBack):
        anchored.refuse(2)
    assert anchored.ledger.size == FIRST
    with pytest.raises(RolledBack):
        anchored.ledger.check_anchor()
    with pytest.raises(RolledBack):
        anchored.ledger.checkpoint()
    assert standing(anchored).note == kept.checkpoint


@only_sqlite
def test_a_longer_log_that_forked_is_refused(anchored):
    name = backup(anchored)
    anchored.refuse(1)
    restore(anchored, name)
    blind = Ledger.open(
        anchored.engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=anchored.directory
    )
    blind.append_many([(refusal(n), PRODUCER) for n in range(2, 6)])
    for act in (lambda: reopen(anchored), lambda: anchored.refuse(9)):
        with pytest.raises(RolledBack, match="is another's"):
            act()
    assert blind.size == FIRST + 4


@only_sqlite
@pytest.mark.parametrize("other", ["the same history", "another history", "a longer one"])
def test_an_anchor_moved_meanwhile_must_be_of_this_log(anchored, monkeypatch, other):
    """On PostgreSQL another worker may anchor between our check and our turn."""
    path = anchored.directory / "anchor.json"
    four, name = path.read_bytes(), backup(anchored)
    for n in range(3 if other == "a longer one" else 1):
        anchored.refuse(n)
    moved = path.read_bytes()
    if other != "the same history":
        restore(anchored, name)
        blind = Ledger.open(
            anchored.engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=anchored.directory
        )
        blind.append(refusal(7), PRODUCER)
    path.write_bytes(four)
    real = Anchor.check

    def check(self, *args):
        found = real(self, *args)
        path.write_bytes(moved)
        return found

    monkeypatch.setattr(Anchor, "check", check)
    if other == "the same history":
        assert anchored.refuse(8).index == FIRST + 1
        assert standing(anchored).size == FIRST + 2
        return
    with pytest.raises(RolledBack):
        anchored.refuse(8)
    assert path.read_bytes() == moved


def test_a_database_ahead_moves_the_anchor_at_the_next_start(anchored, monkeypatch):
    anchored.refuse(1)
    with monkeypatch.context() as broken:
        unwritable(broken, errno.EIO)
        with pytest.raises(LedgerUnavailable):
            anchored.refuse(2)
    assert standing(anchored).size == FIRST + 1
    assert anchored.ledger.size == FIRST + 2
    opened = reopen(anchored)
    assert standing(anchored).size == FIRST + 2
    assert opened.append(refusal(3), PRODUCER).index == FIRST + 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_what_cannot_be_anchored_is_not_answered_and_found_by_its_key(anchored, monkeypatch, code):
    with monkeypatch.context() as broken:
        unwritable(broken, code)
        with pytest.raises(LedgerUnavailable, match="anchor"):
            anchored.refuse(1, key="k")
        # It is durable, and no way leads to a signature over it.
        digest = refusal(1, key="k").request_digest
        assert anchored.ledger.size == FIRST + 1
        assert anchored.ledger.entry(FIRST)
        for ask in (
            lambda: anchored.refuse(1, key="k"),
            lambda: anchored.ledger.duplicate_of("k", digest),
            lambda: anchored.ledger.receipt(FIRST),
        ):
            with pytest.raises(LedgerUnavailable):
                ask()
        with pytest.raises(NotFound):
            anchored.ledger.checkpoint(FIRST + 1)
        newest = open_checkpoint(anchored.ledger.checkpoint(), anchored.ledger.vkey)
        assert newest.size == FIRST
        assert [size for size, _ in anchored.ledger.checkpoints()][-1] == FIRST
    found = anchored.refuse(1, key="k")
    assert (found.index, found.repeated) == (FIRST, True)
    assert standing(anchored).note == found.receipt.checkpoint


def test_a_receipt_asked_for_later_moves_the_anchor_first(anchored, monkeypatch):
    with monkeypatch.context() as broken:
        unwritable(broken, errno.EIO)
        with pytest.raises(LedgerUnavailable):
            anchored.refuse(1, key="k")
    found = anchored.ledger.duplicate_of("k", refusal(1, key="k").request_digest)
    assert found.index == FIRST
    assert standing(anchored).size == FIRST + 1
    assert anchored.ledger.receipt(FIRST).tree_size == FIRST + 1


def test_the_anchor_of_an_older_release_goes_on(anchored):
    """It was one JSON object in a file replaced by each commit; the first commit makes slots."""
    path = anchored.directory / "anchor.json"
    path.write_bytes(slots.SlotFile(path).read().data)
    receipt = reopen(anchored).append(refusal(1), PRODUCER).receipt
    assert path.stat().st_size == slots.SLOTS * slots.SLOT_BYTES
    assert standing(anchored).note == receipt.checkpoint
    assert anchored.refuse(2).index == FIRST + 1


def test_what_is_in_the_way_of_a_file_with_slots_answers_nothing(anchored):
    path = anchored.directory / "anchor.json"
    path.write_bytes(slots.SlotFile(path).read().data)
    in_the_way = anchored.directory / "anchor.json.part"
    in_the_way.mkdir()
    with pytest.raises(LedgerUnavailable):
        anchored.refuse(1, key="k")
    in_the_way.rmdir()
    assert anchored.refuse(1, key="k").index == FIRST


def test_a_lost_anchor_is_not_made_anew(anchored):
    (anchored.directory / "anchor.json").unlink()
    for act in (lambda: anchored.refuse(1), lambda: reopen(anchored), anchored.ledger.checkpoint):
        with pytest.raises(AnchorLost, match="assay ledger anchor --create"):
            act()
    assert not (anchored.directory / "anchor.json").exists()
    assert anchored.ledger.size == FIRST


def test_an_anchor_is_made_once(anchored):
    with pytest.raises(AnchorRefused, match="never edited"):
        Anchor(anchored.directory / "anchor.json", anchored.ledger.vkey).create(
            anchored.ledger.checkpoint(), reason="again"
        )


BROKEN = {
    "empty": lambda _: b"",
    "cut": lambda data: data[:40],
    "not an object": lambda _: b"[]",
    "another root than its note": lambda data: data.replace(b'"root":"', b'"root":"0')[:-1] + b"}",
    "another size than its note": lambda data: data.replace(b'"size":4}', b'"size":3}'),
    "an altered note": lambda data: data.replace(b"test.example", b"best.example"),
    "one more field": lambda data: data[:-1] + b',"x":1}',
}


@pytest.mark.parametrize("framed", [True, False], ids=["in a whole slot", "as the file"])
@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_an_anchor_that_was_edited_is_refused(anchored, change, framed):
    path = anchored.directory / "anchor.json"
    file, data = path.read_bytes(), slots.SlotFile(path).read().data
    assert change(data) != data
    path.write_bytes(change(data))
    if framed:
        slots.SlotFile(path).make(change(data))
    with pytest.raises(Exception, match=r"anchor|signed note|signature"):
        anchored.refuse(1)
    assert anchored.ledger.size == FIRST
    path.write_bytes(file)
    assert anchored.refuse(1).index == FIRST


def test_another_logs_anchor_is_refused(anchored, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    engine = open_engine(f"sqlite:///{other / 'log.db'}")
    create_schema(engine)
    Ledger.create(
        engine, origin="other.example/log", log_key=LOG_KEY, data_dir=other, anchor=other / "a"
    )
    engine.dispose()
    with pytest.raises(Exception, match="signed note"):
        reopen(anchored, "other/a")


def test_two_processes_move_one_anchor(anchored):
    """Here two ledgers with locks of their own; no receipt leaves before the anchor is at it."""
    ledgers = [reopen(anchored), reopen(anchored)]
    behind, done = [], []

    def work(ledger):
        for n in range(20):
            # Looked at in this order: what somebody else is given meanwhile is not judged here.
            mine = ledger.append(refusal(n), PRODUCER).receipt
            now = standing(anchored)
            if now.size < mine.tree_size:
                behind.append((now.size, mine.tree_size))
            done.append(mine)

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in ledgers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not behind
    assert len(done) == 80
    assert standing(anchored).size == anchored.ledger.size == FIRST + 80
    assert standing(anchored).note == anchored.ledger.checkpoint()


WRITER = """
import sys
from pathlib import Path
from ledger.anchor import Anchor
from ledger.keys import Role
from ledger.log import Ledger
from ledger.store import open_engine
sys.path.insert(0, {support!r})
from logs import LOG_KEY, ORIGIN, key_of, refusal

own, shared = Path(sys.argv[1]), Path({directory!r}) / "anchor.json"
own.mkdir()
log = Ledger.open(open_engine({url!r}), origin=ORIGIN, log_key=LOG_KEY, data_dir=own, anchor=shared)
for n in range(40):
    size = log.append(refusal(n), key_of(Role.PRODUCER)).receipt.tree_size
    now = Anchor(shared, log.vkey).read().size
    assert now >= size, f"anchor at {{now}} after a receipt of {{size}}"
"""


@only_postgres
def test_two_hosts_that_share_an_anchor_never_move_it_back(anchored):
    """Processes with data directories of their own: the anchor's lock is all they have in common."""
    code = WRITER.format(
        support=SUPPORT,
        directory=str(anchored.directory),
        url=str(anchored.engine.url.render_as_string(hide_password=False)),
    )
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(anchored.directory / name)], stderr=subprocess.PIPE
        )
        for name in ("one", "two")
    ]
    seen = []
    while any(host.poll() is None for host in hosts):
        seen.append(standing(anchored).size)
    errors = [host.communicate()[1].decode() for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], errors
    assert seen == sorted(seen)
    assert standing(anchored).size == anchored.ledger.size == FIRST + 80


def test_another_hosts_anchor_follows_when_it_appends(anchored):
    """Each host of a PostgreSQL log has an anchor of its own; it lags, and is never behind wrongly."""
    here = anchored.directory / "anchor.json"
    there = anchored.directory / "there.json"
    shutil.copy(here, there)
    other = reopen(anchored, "there.json")
    for n in range(3):
        anchored.refuse(n)
    assert Anchor(there, anchored.ledger.vkey).read().size == FIRST
    assert other.append(refusal(9), PRODUCER).index == FIRST + 3
    assert Anchor(there, anchored.ledger.vkey).read().size == FIRST + 4
    assert anchored.refuse(10).index == FIRST + 4
    assert standing(anchored).size == FIRST + 5


KILLED = """
import os, sys
from pathlib import Path
from ledger import anchor
from ledger.keys import Role
from ledger.log import Ledger
from ledger.store import open_engine
sys.path.insert(0, {support!r})
from logs import LOG_KEY, ORIGIN, key_of, refusal

class Dies(anchor.Anchor):
    def advance(self, engine, note):
        os.kill(os.getpid(), 9)

import ledger.log
ledger.log.Anchor = Dies
directory = Path({directory!r})
log = Ledger.open(open_engine({url!r}), origin=ORIGIN, log_key=LOG_KEY, data_dir=directory,
                  anchor=directory / "anchor.json")
log.append(refusal(1, key="k"), key_of(Role.PRODUCER))
"""


def test_killed_between_commit_and_anchor_the_next_start_goes_on(anchored, database):
    code = KILLED.format(
        support=SUPPORT,
        directory=str(anchored.directory),
        url=address(anchored.directory, database),
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert standing(anchored).size == FIRST
    opened = reopen(anchored)
    assert (standing(anchored).size, opened.size) == (FIRST + 1, FIRST + 1)
    again = opened.append(refusal(1, key="k"), PRODUCER)
    assert (again.index, again.repeated) == (FIRST, True)


def test_an_export_ends_where_the_anchor_stands(anchored, monkeypatch):
    with monkeypatch.context() as broken:
        unwritable(broken, errno.EIO)
        with pytest.raises(LedgerUnavailable):
            anchored.refuse(1)
    size = export(anchored.ledger, anchored.directory / "export", vault=None)
    assert size == FIRST
    with anchored.engine.connect() as connection:
        assert run(connection, "SELECT size FROM ledger_head").scalar() == FIRST + 1
