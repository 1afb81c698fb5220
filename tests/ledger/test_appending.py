"""Append: receipts, numbers, retries, and nothing half done."""

import threading

import pytest

from ledger import log_signing, writing
from ledger.commit import QUEUE_MAX, GroupCommit
from ledger.dialect import run as run_sql
from ledger.errors import (
    DuplicateKeyConflict,
    LedgerError,
    LedgerInconsistent,
    LedgerUnavailable,
    QueueFull,
    RecordError,
)
from ledger.keys import Role
from ledger.merkle import verify_consistency, verify_inclusion
from ledger.note import open_checkpoint
from ledger.receipt import verify_receipt
from ledger.record import parse_entry
from logs import LOG_KEY, ROLES, drop_guard, key_of, open_log, refusal

FIRST = len(ROLES)  # entries of a new log: its keys
PRODUCER = key_of(Role.PRODUCER)


def numbers(log):
    """The sequence numbers of the producer's entries, in leaf order."""
    bodies = [parse_entry(stored.entry).body for stored in log.ledger.entries()]
    return [body["seq"] for body in bodies if body["producer"] == PRODUCER.key_id]


def test_each_receipt_verifies_and_the_log_has_no_gap(log):
    done = [log.refuse(n) for n in range(300)]
    for appended in done:
        verify_receipt(appended.receipt, log.ledger.vkey)
    assert [appended.index for appended in done] == list(range(FIRST, FIRST + 300))
    assert numbers(log) == list(range(300))


def test_many_in_one_commit_are_one_checkpoint(log):
    done = log.ledger.append_many([(refusal(n), PRODUCER) for n in range(600)])
    assert len({appended.receipt.checkpoint for appended in done}) == 1
    for appended in done:
        verify_receipt(appended.receipt, log.ledger.vkey)


def test_proofs_from_tables_hold_at_every_size(log):
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(520)])
    size = log.ledger.size
    root = open_checkpoint(log.ledger.checkpoint(), log.ledger.vkey).root
    for stored in log.ledger.entries():
        from ledger.merkle import leaf_hash

        path = log.ledger.prove(stored.index, size)
        verify_inclusion(leaf_hash(stored.entry), stored.index, size=size, path=path, root=root)
    for at, note in log.ledger.checkpoints():
        if at:
            old = open_checkpoint(note, log.ledger.vkey)
            verify_consistency(
                old_size=at,
                old_root=old.root,
                new_size=size,
                new_root=root,
                path=log.ledger.prove_consistency(at, size),
            )


def test_a_retry_gives_the_first_receipt_again(log):
    first = log.refuse(1, key="order-1")
    log.refuse(2)
    again = log.refuse(1, key="order-1")
    assert again.repeated
    assert again.receipt == first.receipt
    assert log.ledger.duplicate_of("order-1", refusal(1, key="order-1").request_digest) == again


def test_a_key_used_for_another_request_is_a_conflict(log):
    log.refuse(1, key="order-1")
    size = log.ledger.size
    with pytest.raises(DuplicateKeyConflict):
        log.refuse(2, key="order-1")
    assert log.ledger.size == size


def test_a_key_twice_in_one_commit_is_one_entry(log):
    one, two = log.ledger.append_many([(refusal(1, key="k"), PRODUCER)] * 2)
    assert one.index == two.index
    assert two.repeated
    assert log.ledger.size == FIRST + 1


def test_a_conflict_within_one_commit_records_nothing_of_it(log):
    with pytest.raises(DuplicateKeyConflict):
        log.ledger.append_many([(refusal(n, key="k", digest=str(n)), PRODUCER) for n in range(2)])
    assert log.ledger.size == FIRST


def test_threads_racing_on_one_key_record_one_entry(log):
    found, barrier = [], threading.Barrier(16)

    def race():
        barrier.wait()
        found.append(log.refuse(7, key="same"))

    run([race] * 16)
    assert len({appended.index for appended in found}) == 1
    assert sum(not appended.repeated for appended in found) == 1
    assert log.ledger.size == FIRST + 1


def test_a_bad_draft_is_refused_before_it_queues(log):
    bad = refusal(1)
    bad.data["surprise"] = 1
    with pytest.raises(RecordError):
        log.ledger.append_many([(refusal(0), PRODUCER), (bad, PRODUCER)])
    assert log.ledger.size == FIRST


def test_no_append_is_left_waiting(log):
    """Many threads, many small appends: a lost wake-up would leave one waiting for ever."""
    done = []
    run([lambda: done.extend(log.refuse(n) for n in range(40))] * 24, timeout=60)
    assert sorted(appended.index for appended in done) == list(range(FIRST, FIRST + 960))
    assert numbers(log) == list(range(960))


def test_a_conflicting_neighbour_in_the_batch_harms_nobody(log):
    log.refuse(0, key="taken")
    done, refused = [], []

    def good(n):
        return lambda: done.append(log.refuse(n))

    def bad():
        try:
            log.refuse(99, key="taken", digest="another")
        except DuplicateKeyConflict as error:
            refused.append(error)

    run([work for n in range(20) for work in (good(n), bad)])
    assert len(done) == len(refused) == 20
    assert log.ledger.size == FIRST + 21


def test_a_full_queue_refuses_at_once():
    entered, release = threading.Event(), threading.Event()

    def write(groups):
        entered.set()
        release.wait(10)
        for group in groups:
            group.settle([None] * len(group.items))

    queue = GroupCommit(write)
    leader = threading.Thread(target=queue.submit, args=([1], 1))
    leader.start()
    entered.wait(10)
    follower = threading.Thread(target=queue.submit, args=([0] * QUEUE_MAX, 1))
    follower.start()
    while queue._waiting < QUEUE_MAX:
        pass
    with pytest.raises(QueueFull):
        queue.submit([1], 1)
    release.set()
    leader.join(10)
    follower.join(10)
    assert queue.submit([1], 1) == [None]


STEPS = (
    "read_head",
    "insert_entries",
    "insert_beside",
    "read_back",
    "paths_for_batch",
    "insert_full_tiles",
    "sign_checkpoint",
    "write_head",
)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_an_exception_at_any_step_records_nothing_and_the_next_append_works(
    log, monkeypatch, step, when
):
    log.refuse(0)
    place = log_signing if step == "sign_checkpoint" else writing
    size, original = log.ledger.size, getattr(place, step)

    def fail(*args, **kwargs):
        if when == "after":
            original(*args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, step, fail)
    with pytest.raises(LedgerUnavailable, match="No space left"):
        log.refuse(1, key="k")
    monkeypatch.undo()
    assert log.ledger.size == size
    verify_receipt(log.refuse(1, key="k").receipt, log.ledger.vkey)
    assert numbers(log) == [0, 1]
    assert open_log(log.directory).ledger.size == size + 1


def test_every_waiting_caller_is_told_when_a_batch_fails(log, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writing, "write_head", fail)
    told = []

    def attempt():
        try:
            log.refuse(1)
        except LedgerUnavailable as error:
            told.append(error)

    run([attempt] * 12)
    assert len(told) == 12
    monkeypatch.undo()
    assert log.ledger.size == FIRST
    log.refuse(2)


def test_a_bit_that_flips_before_signing_is_noticed(log, monkeypatch):
    original = writing.insert_entries

    def rot(connection, fresh):
        original(connection, fresh)
        drop_guard(connection, "ledger_entry", "update")
        run_sql(
            connection,
            "UPDATE ledger_entry SET entry = ? WHERE leaf_index = ?",
            (fresh[0].entry.replace(b"number", b"bumber"), fresh[0].index),
        )

    monkeypatch.setattr(writing, "insert_entries", rot)
    with pytest.raises(LedgerInconsistent, match="as stored"):
        log.refuse(1)
    monkeypatch.undo()
    assert log.ledger.size == FIRST


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("ledger_entry", "type"),
        ("ledger_checkpoint", "note"),
        ("ledger_tile", "level"),
        ("ledger_row", "row_index"),
    ],
)
def test_what_is_signed_is_neither_updated_nor_deleted(log, table, column, statement):
    from sqlalchemy.exc import DBAPIError

    log.predict(["a", "b"])
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(300)])
    with pytest.raises(DBAPIError, match="append-only"), log.engine.begin() as connection:
        connection.exec_driver_sql(statement.format(table, column, column))


def test_a_log_opens_under_its_own_name_and_key_only(log):
    from ledger.keys import SigningKey
    from ledger.log import Ledger

    log.refuse(1)
    for origin, key in (
        ("other.example/log", LOG_KEY),
        ("test.example/log", SigningKey.generate()),
    ):
        with pytest.raises(LedgerError):
            Ledger.open(log.engine, origin=origin, log_key=key, data_dir=log.directory)


def test_entries_are_found_by_type_and_by_ref_in_both_directions(log):
    for n in range(600):
        log.ledger.append_many([(refusal(n), PRODUCER)]) if n % 200 == 0 else None
    log.predict(["a"])
    every = [stored.index for stored in log.ledger.entries()]
    assert every == list(range(log.ledger.size))
    backwards = [stored.index for stored in log.ledger.entries(newest=True)]
    assert backwards == every[::-1]
    assert [s.index for s in log.ledger.entries(first=3, limit=2)] == [3, 4]
    assert [s.index for s in log.ledger.entries(newest=True, first=3, limit=2)] == [2, 1]
    assert len(list(log.ledger.entries(type="refusal"))) == 3
    assert [s.index for s in log.ledger.entries(ref="sha256:" + "0" * 64)] == [every[-1]]


def run(works, timeout=30):
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "an append was never answered"
