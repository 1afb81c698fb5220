"""Look and append as one act: what came in since the look decides, whoever brought it."""

import threading
from dataclasses import replace

import pytest

from ledger.commit import GroupCommit
from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from logs import DIGEST, ROLES, key_of, open_log, refusal

FIRST = len(ROLES)
PRODUCER = key_of(Role.PRODUCER)


def about(ref, n=0, **more):
    return replace(refusal(n, **more), ref=ref)


def unless(since, *refs):
    return Unless(since, frozenset(("refusal", ref) for ref in refs))


def test_a_condition_holds_as_long_as_nothing_of_the_kind_came_in(log):
    log.ledger.append(about("a"), PRODUCER)
    log.ledger.append(about("b"), PRODUCER)
    log.ledger.append(about("c"), PRODUCER, unless=unless(FIRST + 1, "a", "c"))
    with pytest.raises(Overtaken, match=f"refusal of b came in at leaf {FIRST + 1}") as told:
        log.ledger.append(about("c"), PRODUCER, unless=unless(FIRST + 1, "a", "b"))
    assert (told.value.kind, told.value.ref, told.value.leaf) == ("refusal", "b", FIRST + 1)
    assert log.ledger.size == FIRST + 3


def test_another_type_about_the_same_is_no_news(log):
    log.predict(["a"])
    done = log.ledger.append(about(DIGEST), PRODUCER, unless=unless(FIRST, DIGEST))
    assert done.index == FIRST + 1


def test_what_another_process_brought_counts(log):
    other = open_log(log.directory)
    since = log.ledger.size
    other.ledger.append(about("a"), PRODUCER)
    with pytest.raises(Overtaken):
        log.ledger.append(about("a"), PRODUCER, unless=unless(since, "a"))
    other.engine.dispose()


def test_a_retry_is_answered_though_its_own_first_time_came_in_since(log):
    condition = unless(FIRST, "a")
    first = log.ledger.append(about("a", key="k"), PRODUCER, unless=condition)
    again = log.ledger.append(about("a", key="k"), PRODUCER, unless=condition)
    assert again.repeated
    assert again.receipt == first.receipt


def test_within_one_commit_the_first_comes_first(log, monkeypatch):
    """Both looked at the same moment and share a commit: one is recorded, the other is told."""
    gathered, release, original = threading.Event(), threading.Event(), GroupCommit._take

    def wait(queue):
        gathered.set()
        release.wait(10)
        return original(queue)

    monkeypatch.setattr(GroupCommit, "_take", wait)
    done, told = [], []

    def race(ref):
        try:
            done.append(log.ledger.append(about(ref), PRODUCER, unless=unless(FIRST, "a")))
        except Overtaken as error:
            told.append(error)

    threads = [threading.Thread(target=race, args=(ref,)) for ref in ("a", "a", "b")]
    threads[0].start()
    gathered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(log.ledger._commit._queue) < 3:
        pass
    release.set()
    for thread in threads:
        thread.join(10)
    assert [appended.index for appended in done] == [FIRST]
    assert [error.leaf for error in told] == [FIRST, FIRST]


def test_many_racing_on_one_reference_record_one(log):
    since, barrier, done, told = log.ledger.size, threading.Barrier(16), [], []

    def race(n):
        barrier.wait()
        try:
            done.append(log.ledger.append(about("a", n), PRODUCER, unless=unless(since, "a")))
        except Overtaken as error:
            told.append(error)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 1
    assert len(told) == 15
    assert log.ledger.size == FIRST + 1
