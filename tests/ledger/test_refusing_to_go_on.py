"""What the log refuses: a head, tiles or entries that rotted, and drafts that would harm others."""

import threading
from dataclasses import replace

import pytest

from ledger import store
from ledger.commit import GroupCommit
from ledger.dialect import run
from ledger.errors import LedgerInconsistent, LedgerUnavailable, RecordError
from ledger.keys import Role
from ledger.log import Ledger
from ledger.record import Draft, SealedOpening
from ledger.store import open_engine
from logs import LOG_KEY, ORIGIN, ROLES, TIME, drop_guard, key_of, only_sqlite, open_log, refusal

FIRST = len(ROLES)
PRODUCER = key_of(Role.PRODUCER)
OUTCOMES = key_of(Role.OUTCOME_SOURCE)


def alter(log, statement, *values, guard=None):
    """Change the database the way rot or an editor would."""
    with log.engine.begin() as connection:
        if guard:
            drop_guard(connection, guard, "update")
        run(connection, statement, values)


def rot_head(log):
    with log.engine.connect() as connection:
        frontier = bytearray(run(connection, "SELECT frontier FROM ledger_head").scalar())
    frontier[3] ^= 1
    alter(log, "UPDATE ledger_head SET frontier = ?", bytes(frontier))


def reopen(log):
    """The log as a restart opens it, on the same engine."""
    return Ledger.open(log.engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=log.directory)


def test_no_checkpoint_is_signed_over_a_head_that_rotted(log):
    """Two inconsistent checkpoints are a split view, whoever caused the first flipped bit."""
    log.refuse(1)
    notes = dict(log.ledger.checkpoints())
    rot_head(log)
    with pytest.raises(LedgerInconsistent, match="root of the head"):
        log.refuse(2)
    assert dict(log.ledger.checkpoints()) == notes


def test_no_checkpoint_is_signed_over_a_head_without_one(log):
    alter(log, "UPDATE ledger_head SET size = size + 1, frontier = ?", bytes(64))
    with pytest.raises(LedgerInconsistent, match="not signed"):
        log.refuse(1)


def test_no_checkpoint_is_signed_over_another_keys_checkpoint(log):
    note = log.ledger.checkpoint()
    line = note.rindex(" ") + 12
    forged = note[:line] + ("A" if note[line] != "A" else "B") + note[line + 1 :]
    fresh = reopen(log)
    alter(
        log,
        "UPDATE ledger_checkpoint SET note = ? WHERE size = ?",
        forged,
        FIRST,
        guard="ledger_checkpoint",
    )
    with pytest.raises(Exception, match="signature"):
        fresh.append(refusal(1), PRODUCER)
    assert fresh.size == FIRST


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        ("ledger_tile", "UPDATE ledger_tile SET root = ?", "root of the tiles"),
        (
            "ledger_entry",
            "UPDATE ledger_entry SET leaf_hash = ? WHERE leaf_index = 300",
            "entry 300 as stored",
        ),
        (
            "ledger_entry",
            "UPDATE ledger_entry SET entry = ? WHERE leaf_index = 399",
            "entry 399 as stored",
        ),
    ],
)
def test_a_log_does_not_open_on_what_leads_elsewhere(log, table, change, told):
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(400)])
    reopen(log)
    alter(log, change, bytes(32), guard=table)
    with pytest.raises(LedgerInconsistent, match=told):
        reopen(log)


def test_a_rotten_head_stops_the_start(log):
    log.refuse(1)
    rot_head(log)
    with pytest.raises(LedgerInconsistent, match="root of the head"):
        reopen(log)


def test_opening_creates_nothing(tmp_path):
    with pytest.raises(LedgerInconsistent, match="no database at"):
        open_log(tmp_path)
    assert list(tmp_path.iterdir()) == []
    engine = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE other (x)")
    engine.dispose()
    with pytest.raises(LedgerInconsistent, match="holds no log"):
        open_log(tmp_path)


@only_sqlite
def test_no_connection_to_be_had_is_unavailable_not_unforeseen(log, monkeypatch):
    monkeypatch.setattr(store, "POOL_SIZE", 1)  # and one more beyond it
    again = open_log(log.directory)
    again.engine.pool._timeout = 0.1
    with again.engine.connect(), again.engine.connect(), pytest.raises(LedgerUnavailable):
        again.refuse(1)
    assert again.refuse(1).index == FIRST
    again.engine.dispose()


def outcome(**changes):
    data = {
        "prediction_leaf": 0,
        "row_index": 0,
        "value": "0" * 64,
        "observed_at": TIME,
        "kind": "k",
        "revises": None,
        "reason": None,
    }
    return replace(Draft(type="outcome", actor_id="t", data=data, event_time=TIME), **changes)


def opening(subject="s", sealed=b"x", wrapped_key=b"k"):
    return SealedOpening(subject, 0, sealed, wrapped_key=wrapped_key)


BAD = {
    "two openings of one row": outcome(openings=(opening(), opening())),
    "a refusal with an opening": replace(refusal(1), openings=(opening(),)),
    "a subject that is too long": outcome(openings=(opening(subject="s" * 129),)),
    "a subject without a UTF-8 form": outcome(openings=(opening(subject="\ud800"),)),
    "an opening that is nothing": outcome(openings=(opening(sealed=None),)),
    "a key that is text": outcome(openings=(opening(wrapped_key="k"),)),
    "a ref that is no text": replace(refusal(1), ref=5),
    "an empty ref": replace(refusal(1), ref=""),
    "a ref that is too long": replace(refusal(1), ref="x" * 257),
    "a ref without a UTF-8 form": replace(refusal(1), ref="\ud800"),
    "a parent from the future": replace(refusal(1), parents=(10_000,)),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_draft_fails_alone(log, bad):
    """Everybody's batch is one transaction: a draft that a table refuses must not get there."""
    done, refused, barrier = [], [], threading.Barrier(13)

    def good(n):
        barrier.wait(10)
        done.append(log.refuse(n))

    def evil():
        barrier.wait(10)
        try:
            log.ledger.append(bad, OUTCOMES if bad.type == "outcome" else PRODUCER)
        except RecordError as error:
            refused.append(error)

    threads = [threading.Thread(target=good, args=(n,)) for n in range(12)]
    threads.append(threading.Thread(target=evil))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 1
    assert len(done) == 12
    assert log.ledger.size == FIRST + 12


def test_rows_and_openings_count_towards_a_batch():
    from ledger.storing import Prepared

    draft = replace(outcome(openings=(opening(sealed=b"x" * 100),)), rows=(b"y" * 30, b"z" * 3))
    assert Prepared(draft, b"b" * 7, PRODUCER).size == 140


class Interrupted(BaseException):
    """What a signal raises in a waiting thread."""


class Gate:
    """A GroupCommit whose first write waits to be let through."""

    def __init__(self):
        self.entered, self.release, self.written = threading.Event(), threading.Event(), []
        self.queue = GroupCommit(self.write)
        self.leader = threading.Thread(target=self.queue.submit, args=(["leader"], 1), daemon=True)
        self.leader.start()
        assert self.entered.wait(10)

    def write(self, groups):
        self.entered.set()
        assert self.release.wait(10)
        for group in groups:
            self.written.extend(group.items)
            group.settle([None] * len(group.items))


class Broken:
    """An event whose waiter is interrupted, before or after it is set."""

    def __init__(self, inner, after):
        self._inner, self._after = inner, after

    def set(self):
        self._inner.set()

    def wait(self):
        if self._after:
            self._inner.wait()
        raise Interrupted


@pytest.mark.parametrize("after", [False, True], ids=["while queued", "when given the lead"])
@pytest.mark.parametrize("behind", [0, 3])
def test_a_caller_interrupted_while_waiting_does_not_stop_the_rest(monkeypatch, after, behind):
    gate = Gate()
    inner = threading.Event()
    from ledger import commit

    real, mark = commit.Group, []

    def group(items, size, deadline):
        made = real(items, size, deadline)
        if items == ["unlucky"]:
            made.woken = Broken(inner, after)
        return made

    monkeypatch.setattr(commit, "Group", group)

    def unlucky():
        try:
            gate.queue.submit(["unlucky"], 1)
        except Interrupted:
            mark.append("told")

    threads = [threading.Thread(target=unlucky, daemon=True)]
    threads[0].start()
    while after and gate.queue._waiting < 1:
        pass
    if not after:
        threads[0].join(10)
    for n in range(behind):
        thread = threading.Thread(target=gate.queue.submit, args=([n], 1), daemon=True)
        thread.start()
        threads.append(thread)
    while gate.queue._waiting < behind + after:
        pass
    gate.release.set()
    for thread in [gate.leader, *threads]:
        thread.join(10)
        assert not thread.is_alive(), "a caller was left waiting"
    assert mark == ["told"]
    assert "unlucky" not in gate.written
    assert gate.queue._waiting == 0
    assert gate.queue.submit(["next"], 1) == [None]
    assert gate.written == ["leader", *sorted(gate.written[1:-1]), "next"]


def test_a_log_is_not_made_twice(log):
    with pytest.raises(LedgerInconsistent, match="holds a log already"):
        Ledger.create(log.engine, origin=ORIGIN, log_key=LOG_KEY, data_dir=log.directory)
