"""Export onto a disk that fills up or fails, into places that are not its own, of logs that are small."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from ledger.errors import LedgerInconsistent
from ledger.export import export
from ledger.keys import Role, SigningKey
from ledger.layout import DirectorySource
from ledger.log import Ledger
from ledger.merkle import EMPTY_ROOT
from ledger.store import create_schema, open_engine
from ledger.verify import verify_export
from logs import LOG_KEY, ORIGIN, ROLES, create_log, introduction, key_of, refusal

PRODUCER = key_of(Role.PRODUCER)


@pytest.fixture
def log(tmp_path):
    made = create_log(tmp_path / "log")
    yield made
    made.engine.dispose()


def grow(log, count):
    """Entries of one row, of many, and of none."""
    for n in range(count // 10):
        log.predict([f"value {n}", f"other {n}"][: 1 + n % 2])
    left = count - count // 10
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(left)])


def audited(log, directory):
    """The tree size of an export without findings."""
    found = verify_export(DirectorySource(directory), log.ledger.vkey)
    assert found.findings == ()
    return found.tree_size


# --- a failing disk ---


def is_directory(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


# What writing drafts asks of the system, and what showing them does.
WRITING = ((Path, "open", None), (os, "fsync", lambda fd: not is_directory(fd)))
SHOWING = ((Path, "replace", None), (os, "fsync", is_directory), (Path, "unlink", None))


class Failing:
    """The n-th of some calls fails, before it does anything."""

    def __init__(self, monkeypatch, calls, at, error):
        self._patch, self._at, self._error, self.seen = monkeypatch, at, error, 0
        for owner, name, meant in calls:
            self._wrap(owner, name, meant or (lambda *_: True))

    def _wrap(self, owner, name, meant):
        original = getattr(owner, name)

        def call(*args, **kwargs):
            if meant(*args[:1]):
                self.seen += 1
                if self.seen == self._at:
                    raise self._error
            return original(*args, **kwargs)

        self._patch.setattr(owner, name, call)


def every_failure(monkeypatch, attempt, calls, error):
    """Let an attempt fail at each of some calls in turn, until it succeeds."""
    at = 0
    while True:
        at += 1
        with monkeypatch.context() as patch:
            failing = Failing(patch, calls, at, error)
            try:
                attempt()
            except OSError as raised:
                if raised is not error:
                    raise
            else:
                assert failing.seen < at
                return
        yield at


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), OSError(5, "Input/output error")],
    ids=["ENOSPC", "EIO"],
)
def test_a_disk_that_fails_while_files_are_written_leaves_the_old_export_whole(
    log, tmp_path, monkeypatch, error
):
    grow(log, 250)
    old = export(log.ledger, tmp_path / "x", vault=log.vault)
    before = {path: path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    grow(log, 20)
    blobs = ([f"sha256:{hashlib.sha256(b'model').hexdigest()}"], lambda _: b"model")

    def attempt():
        export(log.ledger, tmp_path / "x", vault=log.vault, blobs=blobs)

    steps = 0
    for steps in every_failure(monkeypatch, attempt, WRITING, error):  # noqa: B007
        after = {path: path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()}
        assert after == before
    assert steps >= 2 * 10, "tiles, bundles, rows, openings, history, index, checkpoint"
    assert audited(log, tmp_path / "x") == log.ledger.size > old


def test_a_disk_that_fails_while_files_are_renamed_is_made_up_for(log, tmp_path, monkeypatch):
    """Names cannot all change at once: the checkpoint changes last, and the next export mends."""
    grow(log, 250)
    for round_ in range(3):
        old = export(log.ledger, tmp_path / "x", vault=log.vault)
        grow(log, 20)

        def attempt():
            export(log.ledger, tmp_path / "x", vault=log.vault)

        error = OSError(5, "Input/output error")
        for step in every_failure(monkeypatch, attempt, SHOWING, error):
            shown = int((tmp_path / "x" / "checkpoint").read_text().split("\n")[1])
            assert shown in {old, log.ledger.size}
            if step == round_ * 3 + 2:
                break
        export(log.ledger, tmp_path / "x", vault=log.vault)
        assert audited(log, tmp_path / "x") == log.ledger.size


def test_nothing_is_shown_before_all_is_written_and_the_checkpoint_comes_last(
    log, tmp_path, monkeypatch
):
    grow(log, 300)
    done = []
    written, renamed, synced = os.fsync, Path.replace, os.open
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), written(fd))[1])
    monkeypatch.setattr(os, "open", lambda *a, **k: (done.append(str(a[0])), synced(*a, **k))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (done.append(to.name), renamed(self, to))[1]
    )
    export(log.ledger, tmp_path / "x", vault=log.vault)
    names = [name for name in done if name != "sync" and "/" not in name]
    assert names[-2:] == ["index.json", "checkpoint"]
    first, last = done.index(names[0]), done.index("checkpoint")
    assert done[:first].count("sync") == len(names), "every draft is on disk before one is shown"
    before, after = done[first:last], done[last:]
    for directory in ("", "/tile", "/tile/0", "/tile/entries", "/rows", "/openings"):
        assert f"{tmp_path}/x{directory}" in before, "a new directory is durable before"
    assert after == ["checkpoint", f"{tmp_path}/x", "sync"]


@pytest.mark.parametrize("first", [True, False], ids=["the first export", "a refresh"])
def test_drafts_that_a_killed_export_left_are_removed_by_the_next(log, tmp_path, first):
    grow(log, 20)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    if first:
        (tmp_path / "x" / "checkpoint").unlink()
    for name in ("index.json.part", "tile/entries/000.p/30.part"):
        (tmp_path / "x" / name).write_bytes(b"half of it")
    export(log.ledger, tmp_path / "x", vault=log.vault)
    assert audited(log, tmp_path / "x") == log.ledger.size


def test_an_export_cut_off_before_its_first_checkpoint_is_gone_on_with(log, tmp_path, monkeypatch):
    grow(log, 300)
    with monkeypatch.context() as patch:
        Failing(patch, [(Path, "replace", None)], 5, OSError(5, "Input/output error"))
        with pytest.raises(OSError, match="Input"):
            export(log.ledger, tmp_path / "x", vault=log.vault)
    assert not (tmp_path / "x" / "checkpoint").exists()
    export(log.ledger, tmp_path / "x", vault=log.vault)
    assert audited(log, tmp_path / "x") == log.ledger.size


# --- other people's places ---


@pytest.mark.parametrize(
    "name", ["thesis.txt", "blobs/mine", "rows/1.jsonl", "tile/notes", "index.json.bak"]
)
def test_files_that_are_no_export_stay(log, tmp_path, name):
    place = tmp_path / "x" / name
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(LedgerInconsistent, match="no export"):
        export(log.ledger, tmp_path / "x", vault=log.vault)
    assert place.read_text() == "mine"


def test_a_checkpoint_file_of_something_else_stays(log, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "checkpoint").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(LedgerInconsistent, match="no export"):
        export(log.ledger, tmp_path / "x", vault=log.vault)


@pytest.mark.parametrize("more", [0, 1], ids=["same size", "no checkpoint of that size"])
def test_another_log_of_the_same_name_is_refused(log, tmp_path, more):
    """A house set up anew under its old name must not overwrite what the old one recorded."""
    grow(log, 30)
    size = export(log.ledger, tmp_path / "x", vault=log.vault)
    other = create_log(tmp_path / "other")
    missing = size + more - other.ledger.size
    other.ledger.append_many([(refusal(n), PRODUCER) for n in range(missing)])
    with pytest.raises(LedgerInconsistent, match="another log"):
        export(other.ledger, tmp_path / "x", vault=other.vault)
    assert audited(log, tmp_path / "x") == size
    other.engine.dispose()


# --- small logs ---


@pytest.fixture
def empty(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    create_schema(engine)
    yield Ledger.create(engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=tmp_path)
    engine.dispose()


@pytest.mark.parametrize("size", range(len(ROLES)))
def test_a_log_of_few_entries_exports_and_verifies(empty, tmp_path, size):
    for role in ROLES[:size]:
        empty.append(introduction(role), key_of(Role.OPERATOR))
    assert export(empty, tmp_path / "x", vault=None) == size
    found = verify_export(DirectorySource(tmp_path / "x"), empty.vkey)
    assert (found.findings, found.tree_size) == ((), size)
    if not size:
        assert found.root == EMPTY_ROOT
        assert DirectorySource(tmp_path / "x").list() == [
            "checkpoint",
            "checkpoints.jsonl",
            "index.json",
        ]


def test_an_export_under_another_key_is_a_finding(empty, tmp_path):
    from ledger.note import NoteSigner

    export(empty, tmp_path / "x", vault=None)
    stranger = NoteSigner(ORIGIN, SigningKey.generate()).vkey
    found = verify_export(DirectorySource(tmp_path / "x"), stranger)
    assert [finding.check for finding in found.findings] == ["checkpoint"]
