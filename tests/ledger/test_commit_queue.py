"""Group commit by itself: who is answered, with what, whatever the writing does."""

import random
import threading
import time
from itertools import chain

import pytest

from ledger.commit import BATCH_BYTES, BATCH_ITEMS, QUEUE_MAX, GroupCommit
from ledger.errors import LedgerUnavailable, QueueFull


class Gate:
    """A write that waits to be let through, and does as it is told."""

    def __init__(self, act=None):
        self.entered, self.release, self.batches = threading.Event(), threading.Event(), []
        self._act = act
        self.queue = GroupCommit(self._write)

    def _write(self, groups):
        self.batches.append([list(group.items) for group in groups])
        self.entered.set()
        assert self.release.wait(20)
        for group in groups:
            if self._act:
                self._act(group)
            group.settle(list(group.items))

    def submit(self, answers, items, size=1):
        """Submit from a thread of its own; the answer or the error goes to `answers`."""

        def work():
            try:
                answers.append(self.queue.submit(items, size))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
                answers.append(error)

        first, before = not self.queue._led, len(self.queue._queue)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if first:
            assert self.entered.wait(10)
        while not first and len(self.queue._queue) == before:
            time.sleep(0.001)
        return thread


def join(threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a caller was left waiting"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_leader_that_is_stopped_does_not_stop_those_it_writes_for(stop):
    """A signal is raised in one thread; the others must not be told to end."""

    def act(group):
        if group.items == ["late"]:
            raise stop

    gate, answers = Gate(act), {name: [] for name in ("first", "leader", "written", "late", "last")}
    threads = [gate.submit(answers[name], [name]) for name in answers]
    gate.release.set()
    join(threads)
    assert isinstance(answers["leader"][0], stop)
    assert answers["first"] == [["first"]]
    assert answers["written"] == [["written"]], "what is durable is answered"
    assert [type(answers[name][0]) for name in ("late", "last")] == [LedgerUnavailable] * 2
    assert gate.queue.submit(["next"], 1) == ["next"]


def test_a_group_of_any_size_is_admitted_alone_and_refused_behind_others():
    gate, answers = Gate(), []
    gate.release.set()
    assert gate.queue.submit(range(QUEUE_MAX + 1), 1) == list(range(QUEUE_MAX + 1))
    gate.release.clear()
    gate.entered.clear()
    threads = [gate.submit(answers, ["first"]), gate.submit(answers, ["second"])]
    with pytest.raises(QueueFull):
        gate.queue.submit(range(QUEUE_MAX), 1)
    gate.release.set()
    join(threads)
    assert sorted(answers) == [["first"], ["second"]]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([(BATCH_ITEMS - 1, 1), (1, 1), (1, 1)], [2, 1]),
        ([(BATCH_ITEMS, 1), (1, 1)], [1, 1]),
        ([(BATCH_ITEMS + 1, 1), (1, 1)], [1, 1]),
        ([(1, BATCH_BYTES - 1), (1, 1), (1, 1)], [2, 1]),
        ([(1, BATCH_BYTES + 1), (1, 1)], [1, 1]),
        ([(3, 1)] * 5, [5]),
    ],
)
def test_a_batch_keeps_to_its_limits_and_to_the_order_of_arrival(groups, expected):
    gate, answers = Gate(), []
    threads = [gate.submit(answers, ["leader"])]
    for n, (items, size) in enumerate(groups):
        threads.append(gate.submit(answers, [n] * items, size))
    gate.release.set()
    join(threads)
    taken = [[group[0] for group in batch] for batch in gate.batches[1:]]
    assert [len(batch) for batch in taken] == expected
    assert list(chain(*taken)) == list(range(len(groups)))


class Unlucky(Exception):
    """What the write below fails with, now and then."""


@pytest.mark.parametrize("seed", range(4))
def test_everybody_gets_their_own_answer_whatever_fails(seed):
    """Writes that fail as a whole, fail a group, or work, among many threads in a hurry."""
    chance, durable = random.Random(seed), []

    def write(groups):
        if chance.random() < 0.2:
            raise Unlucky
        for group in groups:
            if chance.random() < 0.1:
                group.fail(Unlucky())
                continue
            durable.extend(group.items)
            group.settle([f"done {item}" for item in group.items])

    queue, told = GroupCommit(write), {}

    def work(thread):
        for n in range(100):
            items = [(thread, n, place) for place in range(1 + n % 3)]
            try:
                told[thread, n] = queue.submit(items, 1) == [f"done {item}" for item in items]
            except Unlucky:
                told[thread, n] = None

    threads = [threading.Thread(target=work, args=(t,), daemon=True) for t in range(16)]
    for thread in threads:
        thread.start()
    join(threads)
    assert len(told) == 1600
    assert False not in told.values()
    assert {(t, n) for t, n, _ in durable} == {key for key, answer in told.items() if answer}
    assert len(durable) == len(set(durable))
    assert (queue._waiting, queue._led, list(queue._queue)) == (0, False, [])
