"""Group commit: many callers wait, one of them writes for all.

There is no committer thread. The first caller to find nobody writing leads: it takes what is
queued, writes it in one transaction, wakes those it served, and hands the lead to the longest
waiting caller, if any. While a leader writes, the next batch gathers by itself.

No wake-up can be lost: a caller is queued, and a leader retires or names a successor, under the
same mutex; and each caller waits on an event of its own. A caller that is interrupted while it
waits leaves the queue, and hands on the lead if it was just given it. A stress test holds this.

This file knows nothing of entries or databases.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ledger.errors import LedgerUnavailable, QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

I = TypeVar("I")  # noqa: E741 - one item to be written
R = TypeVar("R")  # what writing it gave

QUEUE_MAX: Final = 4096  # items waiting; at 3,000 entries a second more than a second of them
BATCH_ITEMS: Final = 512  # past this a bigger batch gains nothing and its first caller waits longer
BATCH_BYTES: Final = 1 << 20


@dataclass(slots=True, eq=False)
class Group(Generic[I, R]):
    """Items of one caller: written together or not at all."""

    items: Sequence[I]
    size: int  # bytes, for the batch's limit
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

    def submit(self, items: Sequence[I], size: int) -> list[R]:
        """Write items with whatever else is waiting; returns when they are durable.

        Raises QueueFull at once when too many wait, else what `write` failed the group with. A
        group of any size is admitted when nothing else waits, or it could never be.
        """
        group: Group[I, R] = Group(items, size)
        with self._mutex:
            if self._waiting and self._waiting + len(items) > QUEUE_MAX:
                raise QueueFull(QUEUE_MAX)
            self._queue.append(group)
            self._waiting += len(items)
            if not self._led:
                self._led = group.leads = True
        try:
            if not group.leads:
                group.woken.wait()
            if group.leads:
                self._lead()
        except BaseException:
            self._abandon(group)
            raise
        if group.error is not None:
            raise group.error
        return group.results

    def _lead(self) -> None:
        """Write one batch, which begins with the leader's own group, then step down."""
        batch: list[Group[I, R]] = []
        try:
            batch = self._take()
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - it is raised again, in each caller's thread
            _fail(batch, error)
        except BaseException as error:  # the leader's own thread is being stopped, not the others
            _fail(batch, LedgerUnavailable("appending", f"its writer was stopped ({error!r})"))
            raise
        finally:
            self._step_down()
            for group in batch[1:]:
                group.woken.set()

    def _take(self) -> list[Group[I, R]]:
        with self._mutex:
            batch = [self._queue.popleft()]
            items, size = len(batch[0].items), batch[0].size
            while self._queue:
                following = self._queue[0]
                items += len(following.items)
                size += following.size
                if items > BATCH_ITEMS or size > BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
            self._waiting -= sum(len(group.items) for group in batch)
            return batch

    def _step_down(self) -> None:
        with self._mutex:
            self._hand_on()

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
        if self._queue:
            successor = self._queue[0]
            successor.leads = True
            successor.woken.set()
        else:
            self._led = False


def _fail(batch: Sequence[Group[I, R]], error: Exception) -> None:
    for group in batch:
        if not group.settled:
            group.fail(error)
