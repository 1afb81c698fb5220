"""Export: what the auditor gets. Every size verifies; every changed byte or file is found."""

import random
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.destination import DirectoryDestination
from ledger.errors import LedgerInconsistent
from ledger.export import export
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.record import parse_entry
from ledger.verify import verify_export
from logs import ROLES, create_log, key_of, refusal

PRODUCER = key_of(Role.PRODUCER)


def grow(log, size):
    """Entries of several kinds up to a size: single and many rows, refusals, a seal."""
    while log.ledger.size < size:
        left = size - log.ledger.size
        if left > 40:
            log.ledger.append_many([(refusal(n), PRODUCER) for n in range(30)])
        log.predict([f"value {n}" for n in range(1 + left % 3)])
        if left % 7 == 0 and log.ledger.size < size:
            log.seal(sealed_until(log))


def sealed_until(log):
    """Where the next seal begins."""
    for stored in log.ledger.entries(type="seal", newest=True, limit=1):
        data = parse_entry(stored.entry).data
        return data["first_index"] + data["count"]
    return 0


def findings(log, directory):
    return verify_export(DirectorySource(directory), log.ledger.vkey)


@pytest.mark.parametrize("size", [4, 5, 6, 255, 256, 257, 600])
def test_an_export_of_any_size_has_no_findings(log, tmp_path, size):
    grow(log, size)
    assert export(log.ledger, tmp_path / "x", vault=log.vault) == log.ledger.size == size
    found = findings(log, tmp_path / "x")
    assert found.findings == ()
    assert found.tree_size == size
    assert sum(found.entry_counts.values()) == size


def test_an_export_grows_and_leaves_no_stale_file(log, tmp_path):
    for size in (30, 250, 256, 300, 513):
        grow(log, size)
        export(log.ledger, tmp_path / "x", vault=log.vault)
        assert findings(log, tmp_path / "x").findings == ()


def test_a_second_export_rewrites_nothing_that_is_there(log, tmp_path):
    grow(log, 300)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "x").rglob("*") if p.is_file()}
    export(log.ledger, tmp_path / "x", vault=log.vault)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "x").rglob("*") if p.is_file()} == before


def test_withheld_openings_are_said_to_be(log, tmp_path):
    grow(log, 20)
    export(log.ledger, tmp_path / "x", vault=None)
    found = findings(log, tmp_path / "x")
    assert found.findings == ()
    assert found.openings_withheld


def test_another_logs_export_is_left_alone(log, tmp_path):
    grow(log, 20)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    shorter = create_log(tmp_path / "shorter")
    with pytest.raises(LedgerInconsistent, match="longer"):
        export(shorter.ledger, tmp_path / "x", vault=shorter.vault)
    assert findings(log, tmp_path / "x").findings == ()


def test_a_directory_of_somebody_elses_is_left_alone(log, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("mine")
    with pytest.raises(LedgerInconsistent, match="no export"):
        export(log.ledger, tmp_path / "x", vault=log.vault)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "mine"


def test_a_failing_disk_leaves_the_old_export_whole(log, tmp_path, monkeypatch):
    grow(log, 200)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    size = log.ledger.size
    grow(log, 320)
    import os

    original, calls = os.fsync, []

    def fail(descriptor):
        calls.append(descriptor)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        export(log.ledger, tmp_path / "x", vault=log.vault)
    monkeypatch.undo()
    assert (tmp_path / "x" / "checkpoint").read_text().split("\n")[1] == str(size)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    assert findings(log, tmp_path / "x").findings == ()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One export of two bundles, with rows, openings and a seal, in memory."""
    directory = tmp_path_factory.mktemp("flips")
    log = create_log(directory / "log")
    grow(log, 290)
    export(log.ledger, directory / "x", vault=log.vault)
    source = DirectorySource(directory / "x")
    return log, {path: source.read(path) for path in source.list()}


class Memory:
    """A source in memory."""

    def __init__(self, files):
        self.files = files

    def list(self):
        return sorted(self.files)

    def read(self, path):
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def lines(self, path):
        yield from self.read(path).splitlines(keepends=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_a_finding(exported, data):
    log, files = exported
    path = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[path]) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(files[path])
    changed[at] ^= 1 << bit
    found = verify_export(Memory({**files, path: bytes(changed)}), log.ledger.vkey)
    assert found.failed, f"bit {bit} of byte {at} of {path}"
    assert all(finding.subject for finding in found.findings)


def test_any_missing_file_is_a_finding(exported):
    log, files = exported
    for path in files:
        rest = {name: data for name, data in files.items() if name != path}
        assert verify_export(Memory(rest), log.ledger.vkey).failed, path


@pytest.mark.parametrize(
    "path",
    ["surprise", "tile/0/001", "tile/entries/000.p/7", "rows/999.jsonl", "blobs/" + "0" * 64],
)
def test_any_added_file_is_a_finding(exported, path):
    log, files = exported
    found = verify_export(Memory({**files, path: b"x"}), log.ledger.vkey)
    assert any(finding.subject == path or path in finding.got for finding in found.findings)


def test_a_flipped_entry_byte_names_its_leaf(exported):
    log, files = exported
    (path,) = [p for p in files if p.startswith("tile/entries/000")]
    chance = random.Random(7)
    for _ in range(10):
        leaf, at = chance.randrange(256), 0
        for _ in range(leaf):
            at += 2 + int.from_bytes(files[path][at : at + 2], "big")
        changed = bytearray(files[path])
        changed[at + 40] ^= 1
        found = verify_export(Memory({**files, path: bytes(changed)}), log.ledger.vkey)
        assert leaf in {finding.leaf for finding in found.findings}


def test_keys_of_the_log_are_told(exported):
    log, files = exported
    found = verify_export(Memory(files), log.ledger.vkey)
    assert {key.role for key in found.keys.values()} == set(ROLES)


def test_exports_into_one_directory_take_turns(log, tmp_path):
    """A server makes one for a download while a report makes one for itself."""
    grow(log, 30)
    failed, ends = [], time.monotonic() + 1.5

    def keep_exporting():
        while time.monotonic() < ends:
            try:
                export(log.ledger, tmp_path / "x", vault=log.vault)
            except Exception as error:  # noqa: BLE001 - any would be the finding
                failed.append(error)

    def keep_growing():
        while time.monotonic() < ends:
            log.predict(["a", "b"])

    works = (keep_exporting, keep_exporting, keep_exporting, keep_growing)
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert findings(log, tmp_path / "x").findings == ()


def test_a_reader_can_keep_the_directory_as_it_was_exported(log, tmp_path):
    grow(log, 20)
    place = DirectoryDestination(tmp_path / "x")
    other = threading.Thread(
        target=export, args=(log.ledger, tmp_path / "x"), kwargs={"vault": None}
    )
    with place.held() as directory:
        size = export(log.ledger, place, vault=log.vault)
        log.predict(["a"])
        other.start()
        other.join(0.3)
        assert other.is_alive()
        assert findings(log, directory).tree_size == size
    other.join(30)
    assert findings(log, tmp_path / "x").tree_size == size + 1
