"""Two slots in one file: whatever a crash leaves of a write, one whole record is there."""

import errno
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import slots
from ledger.slots import RECORD_MAX, SLOT_BYTES, SlotFile

SECTOR = 512


@pytest.fixture
def file(tmp_path):
    made = SlotFile(tmp_path / "kept")
    with made.held():
        made.make(b"first")
    return made


def write(file, data):
    with file.held():
        file.write(data, file.read(held=True))


def test_records_follow_each_other_in_turn(file):
    places = []
    for n in range(5):
        write(file, b"record %d" % n)
        kept = file.read()
        assert (kept.generation, kept.data) == (n + 1, b"record %d" % n)
        places.append(kept.slot)
    assert places[:2] in ([0, 1], [1, 0])
    assert places == places[:2] * 2 + places[:1]
    assert file.path.stat().st_size == slots.SLOTS * SLOT_BYTES


def torn(before, after, size):
    """Every state a torn write can leave: any set of sectors new, and any one cut in a sector."""
    changed = [at for at in range(size) if before[at : at + 1] != after[at : at + 1]]
    return range(changed[0], changed[-1] + 2)


@pytest.mark.parametrize("length", [1, 400, 700])
def test_a_write_torn_at_any_byte_leaves_the_old_record_or_the_new(file, length):
    write(file, b"a" * 300)
    write(file, b"b" * 500)
    before = file.path.read_bytes()
    write(file, b"c" * length)
    after = file.path.read_bytes()
    found = set()
    for cut in torn(before, after, len(before)):
        file.path.write_bytes(after[:cut] + before[cut:])
        kept = SlotFile(file.path).read()
        found.add((kept.generation, kept.data))
    assert found == {(2, b"b" * 500), (3, b"c" * length)}


@given(sectors=st.sets(st.integers(0, 3)), length=st.integers(1, 1900), rot=st.integers(0, 255))
def test_sectors_that_arrive_in_any_order_leave_the_old_record_or_the_new(
    tmp_path_factory, sectors, length, rot
):
    file = SlotFile(tmp_path_factory.mktemp("slots") / "kept")
    with file.held():
        file.make(b"first")
    write(file, b"old" * 600)
    before = file.path.read_bytes()
    write(file, bytes([rot]) * length)
    after = file.path.read_bytes()
    at = file.read().slot * SLOT_BYTES
    mixed = bytearray(before)
    for sector in sectors:
        place = at + sector * SECTOR
        mixed[place : place + SECTOR] = after[place : place + SECTOR]
    file.path.write_bytes(mixed)
    kept = SlotFile(file.path).read()
    assert kept.data in (b"old" * 600, bytes([rot]) * length)
    # What was torn does not count: the next write goes there, and nothing is lost on the way.
    write(file, b"next")
    assert SlotFile(file.path).read().data == b"next"
    assert SlotFile(file.path).read().generation == kept.generation + 1


def test_rot_in_one_slot_costs_one_record_and_in_both_the_file(file):
    write(file, b"older")
    write(file, b"newer")
    kept = file.read()
    data = bytearray(file.path.read_bytes())
    data[kept.slot * SLOT_BYTES + 93] ^= 1
    file.path.write_bytes(data)
    assert SlotFile(file.path).read().data == b"older"
    data[(1 - kept.slot) * SLOT_BYTES + 3] ^= 1
    file.path.write_bytes(data)
    assert SlotFile(file.path).read() is None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_what_was_not_flushed_is_taken_back(file, monkeypatch, code):
    def fail(_descriptor):
        raise OSError(code, os.strerror(code))

    write(file, b"flushed")
    with monkeypatch.context() as broken:
        broken.setattr(slots.os, "fdatasync", fail)
        with pytest.raises(OSError, match=os.strerror(code)):
            write(file, b"not flushed")
    for reader in (file, SlotFile(file.path)):
        assert reader.read().data == b"flushed"


def test_nobody_is_shown_a_record_before_it_is_on_disk(file, monkeypatch):
    real, flushing, go_on = os.fdatasync, threading.Event(), threading.Event()

    def slow(descriptor):
        flushing.set()
        assert go_on.wait(10)
        real(descriptor)
        flushed.append(True)

    flushed, shown = [], []
    monkeypatch.setattr(slots.os, "fdatasync", slow)
    other = SlotFile(file.path)  # as another process has it
    writing = threading.Thread(target=write, args=(file, b"second"))
    writing.start()
    assert flushing.wait(10)

    def look(reader):
        kept = reader.read()
        shown.append((kept.data, bool(flushed)))

    readers = [threading.Thread(target=look, args=(reader,)) for reader in (file, other)]
    for reader in readers:
        reader.start()
    readers[0].join(0.2)
    assert not shown  # both wait for the flush
    go_on.set()
    for thread in (writing, *readers):
        thread.join(10)
    assert shown == [(b"second", True)] * 2


def test_a_file_put_in_its_place_is_not_believed_for_the_old_ones_sake(file, monkeypatch):
    """A new file counts from 0 again: what was known of the old one's flushes says nothing of it."""
    for n in range(5):
        write(file, b"record %d" % n)
    assert file.read().generation == 5
    other = SlotFile(file.path)
    with other.held():
        other.make(b"another")
    locked = []
    real = SlotFile._nobody_writing
    monkeypatch.setattr(SlotFile, "_nobody_writing", lambda self: locked.append(1) or real(self))
    assert file.read().data == b"another"
    assert locked
    locked.clear()
    assert file.read().data == b"another"
    assert not locked


def test_a_record_that_does_not_fit_is_refused(file):
    write(file, b"x" * RECORD_MAX)
    with pytest.raises(OSError, match="at most"):
        write(file, b"x" * (RECORD_MAX + 1))
    assert len(file.read().data) == RECORD_MAX
