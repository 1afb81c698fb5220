"""Group commit: many callers wait, one of them writes for all.

The first caller to find nobody writing leads: it takes what is queued, writes it in one
transaction, wakes those it served, and hands the lead to the longest waiting caller, if any. While
a leader writes, the next batch gathers by itself.

A caller that cannot wait, an event loop's, leaves its group with `submit_soon`, and says
`write_soon` when it has no more to add: until then the batch gathers. Such groups are led by a
thread of the queue's own, and their caller told through its `Waker`, once for all of a batch:
waking threads one by one took a third of a busy server's time.

No wake-up can be lost: a caller is queued, and a leader retires or names a successor, under the
same mutex; and each caller waits on an event of its own. A caller that is interrupted while it
waits leaves the queue, and hands on the lead if it was just given it. A stress test holds this.

A caller may name a moment after which it no longer wants to be written: a group that is still
queued by then is failed, not written. One that a leader has taken is written, however late.

This file knows nothing of entries or databases.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from ledger.errors import DeadlinePassed, LedgerUnavailable, QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

I = TypeVar("I")  # noqa: E741 - one item to be written
R = TypeVar("R")  # what writing it gave

QUEUE_MAX: Final = 4096  # items waiting; at 3,000 entries a second more than a second of them
BATCH_ITEMS: Final = 512  # past this a bigger batch gains nothing and its first caller waits longer
BATCH_BYTES: Final = 1 << 20


class Waker(Protocol):
    """Tells callers that do not wait in a thread; called from whichever thread wrote."""

    def wake(self, groups: Sequence[Group[Any, Any]]) -> None:
        """Settled or failed, all of them, if any. Others may wait: `write_soon` is to be said.

        Must not raise.
        """


@dataclass(slots=True, eq=False)
class Group(Generic[I, R]):
    """Items of one caller: written together or not at all."""

    items: Sequence[I]
    size: int  # bytes, for the batch's limit
    deadline: float | None = None  # of time.monotonic()
    waker: Waker | None = None  # whom to tell instead of waking a thread
    results: list[R] = field(default_factory=list)
    error: Exception | None = None
    settled: bool = False
    leads: bool = False
    woken: threading.Event = field(default_factory=threading.Event)

    def settle(self, results: list[R]) -> None:
        """Written: give the caller its results."""
        self.results, self.settled = results, True

    def fail(self, error: Exception) -> None:
        """Not written: give the caller the error."""
        self.error, self.settled = error, True


class GroupCommit(Generic[I, R]):
    """The queue. `write` gets whole groups and must settle or fail each of them."""

    def __init__(self, write: Callable[[list[Group[I, R]]], None]) -> None:
        self._write = write
        self._mutex = threading.Lock()
        self._queue: deque[Group[I, R]] = deque()
        self._waiting = 0
        self._led = False
        self._summons = threading.Lock()  # released to call the queue's own thread to lead
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many items wait to be taken."""
        return self._waiting

    def submit_soon(
        self, items: Sequence[I], size: int, deadline: float | None, waker: Waker
    ) -> Group[I, R]:
        """Queue items and return at once; `waker` gets the group when it is settled or failed.

        Raises QueueFull.
        """
        group: Group[I, R] = Group(items, size, deadline, waker)
        with self._mutex:
            self._admit(group)
        return group

    def write_soon(self) -> None:
        """Have what is queued written, unless somebody is writing: then the waker is told again."""
        with self._mutex:
            if self._queue and not self._led:
                self._led = True
                self._summon()

    def submit(self, items: Sequence[I], size: int, deadline: float | None = None) -> list[R]:
        """Write items with whatever else is waiting; returns when they are durable.

        Raises QueueFull at once when too many wait, DeadlinePassed when it was not taken in time,
        else what `write` failed the group with. A group of any size is admitted when nothing else
        waits, or it could never be.
        """
        group: Group[I, R] = Group(items, size, deadline)
        with self._mutex:
            self._admit(group)
            if not self._led:
                self._led = group.leads = True
        try:
            if not group.leads:
                group.woken.wait()
            if group.leads:
                self._lead(group)
        except BaseException:
            self._abandon(group)
            raise
        if group.error is not None:
            raise group.error
        return group.results

    def _admit(self, group: Group[I, R]) -> None:
        """Queue a group. The mutex is held."""
        if self._waiting and self._waiting + len(group.items) > QUEUE_MAX:
            raise QueueFull(QUEUE_MAX)
        self._queue.append(group)
        self._waiting += len(group.items)

    def _summon(self) -> None:
        """Have the queue's own thread lead. The mutex is held, and nobody else leads."""
        if self._thread is None:
            self._summons.acquire()
            self._thread = threading.Thread(target=self._serve, name="group-commit", daemon=True)
            self._thread.start()
        self._summons.release()

    def _serve(self) -> None:
        while True:
            self._summons.acquire()
            self._lead(None)

    def _lead(self, own: Group[I, R] | None) -> None:
        """Write one batch, which holds the leader's own group if it is in time, then step down."""
        batch: list[Group[I, R]] = []
        late: list[Group[I, R]] = []
        try:
            batch, late = self._take()
            _fail(late, DeadlinePassed())
            if batch:
                self._write(batch)
        except Exception as error:  # noqa: BLE001 - it is raised again, in each caller's thread
            _fail(batch, error)
        except BaseException as error:  # the leader's own thread is being stopped, not the others
            _fail(batch, LedgerUnavailable("appending", f"its writer was stopped ({error!r})"))
            raise
        finally:
            self._step_down()
            _wake([group for group in (*batch, *late) if group is not own])

    def _take(self) -> tuple[list[Group[I, R]], list[Group[I, R]]]:
        """The groups of the next batch, and those met on the way whose moment has passed."""
        batch: list[Group[I, R]] = []
        late: list[Group[I, R]] = []
        items = size = 0
        with self._mutex:
            now = time.monotonic()
            while self._queue:
                following = self._queue[0]
                if following.deadline is not None and following.deadline < now:
                    late.append(self._queue.popleft())
                    continue
                items += len(following.items)
                size += following.size
                if batch and (items > BATCH_ITEMS or size > BATCH_BYTES):
                    break
                batch.append(self._queue.popleft())
            self._waiting -= sum(len(group.items) for group in (*batch, *late))
            return batch, late

    def _step_down(self) -> None:
        with self._mutex:
            self._hand_on()
            waiting = None if self._led or not self._queue else self._queue[0].waker
        if waiting is not None:
            waiting.wake(())

    def _abandon(self, group: Group[I, R]) -> None:
        """Take back a group whose caller was interrupted; one already taken is being written."""
        with self._mutex:
            if group not in self._queue:
                return
            self._queue.remove(group)
            self._waiting -= len(group.items)
            if group.leads:
                self._hand_on()

    def _hand_on(self) -> None:
        """Name the longest waiting caller the leader. The mutex is held."""
        if not self._queue or self._queue[0].waker is not None:
            self._led = False  # the waker is told, and says when
        else:
            successor = self._queue[0]
            successor.leads = True
            successor.woken.set()


def _wake(groups: Sequence[Group[I, R]]) -> None:
    """Tell the callers of groups: threads each by itself, others together."""
    told: dict[int, tuple[Waker, list[Group[I, R]]]] = {}
    for group in groups:
        if group.waker is None:
            group.woken.set()
        else:
            told.setdefault(id(group.waker), (group.waker, []))[1].append(group)
    for waker, theirs in told.values():
        waker.wake(theirs)


def _fail(batch: Sequence[Group[I, R]], error: Exception) -> None:
    for group in batch:
        if not group.settled:
            group.fail(error)
