"""One scheduler for a house, over every host: a lease in the database, kept by a heartbeat.

Two locks in a row. The lock file (`locks.py`) covers one host and ends with whoever held it, so a
scheduler that died is succeeded at once. The lease covers the hosts of one PostgreSQL: its holder
writes every `BEAT_S` that it is there; one that was not heard of for `LEASE_S` is gone, and another
may take over. Time is the database server's on PostgreSQL, so hosts need not agree on it.

A holder that finds itself unheard, because it was suspended or the database was away, starts no job
any more: `held` is asked before each. A job in hand goes on to its end; jobs are safe to run twice,
since what they record is recorded once (`ledger/condition.py`, idempotency keys).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text

from ledger.dialect import DRIVER_ERRORS, for_update, is_sqlite
from ledger.store import writer
from service.errors import ServiceError
from service.locks import lease as host_lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from service.assembly import Assembly

NAME: Final = "scheduler"
LEASE_S: Final = 30  # unheard for so long, a holder counts as gone
BEAT_S: Final = 5  # between two heartbeats: five may fail in a row
SURE_S: Final = 20  # since the last heartbeat; past it nobody knows whether we still hold it


class Lease:
    """A held lease. Its heartbeat runs in a thread."""

    def __init__(self, engine: Engine, holder: str) -> None:
        self._engine = writer(engine)
        self._holder = holder
        self._heard = time.monotonic()
        self._lost = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def held(self) -> bool:
        """Whether we are sure to hold it still."""
        return not self._lost and time.monotonic() - self._heard < SURE_S

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def end(self) -> None:
        """Stop beating and give it back, so that a successor need not wait."""
        self._ending.set()
        self._thread.join()
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    text("DELETE FROM service_lease WHERE name = :name AND holder = :holder"),
                    {"name": NAME, "holder": self._holder},
                )
        except DRIVER_ERRORS:
            structlog.get_logger("jobs").warning("lease not given back", holder=self._holder)

    def beat(self) -> None:
        """Say that we are there; learn whether somebody took over."""
        before = time.monotonic()
        with self._engine.begin() as connection:
            found = connection.execute(
                text(
                    "UPDATE service_lease SET heard_ms = :now WHERE name = :name "
                    "AND holder = :holder"
                ),
                {"now": _now_ms(connection), "name": NAME, "holder": self._holder},
            )
        if found.rowcount == 1:
            self._heard = before
        else:
            self._lost = True

    def _beat(self) -> None:
        while not self._ending.wait(BEAT_S) and not self._lost:
            try:
                self.beat()
            except DRIVER_ERRORS:
                structlog.get_logger("jobs").warning("heartbeat failed", holder=self._holder)
        if self._lost:
            structlog.get_logger("jobs").error("another scheduler took over", holder=self._holder)


@contextmanager
def running(house: Assembly) -> Iterator[Lease]:
    """Be the house's one scheduler. Raises ServiceError when another process is."""
    with host_lease(house.settings):
        lease = _take(house)
        lease.start()
        try:
            yield lease
        finally:
            lease.end()


def _take(house: Assembly) -> Lease:
    place = f"{socket.gethostname()}:{house.settings.data_dir.resolve()}"[-96:]
    holder = f"{place}:{os.getpid()}:{time.time_ns()}"[-128:]
    with writer(house.engine).begin() as connection:
        now = _now_ms(connection)
        asked = "SELECT holder, heard_ms FROM service_lease WHERE name = :name"
        asked += for_update(connection)
        found = connection.execute(text(asked), {"name": NAME}).one_or_none()
        # Ours by place: we hold the lock file there, so whoever wrote it is gone.
        if found is not None and not found.holder.startswith(place + ":"):
            silent_s = (now - found.heard_ms) / 1000
            if silent_s < LEASE_S:
                raise _taken(found.holder, silent_s)
        values = {"name": NAME, "holder": holder, "now": now}
        if found is None:
            connection.execute(
                text(
                    "INSERT INTO service_lease (name, holder, heard_ms) "
                    "VALUES (:name, :holder, :now) ON CONFLICT (name) DO NOTHING"
                ),
                values,
            )
        else:
            connection.execute(
                text(
                    "UPDATE service_lease SET holder = :holder, heard_ms = :now WHERE name = :name"
                ),
                values,
            )
    lease = Lease(house.engine, holder)
    lease.beat()
    if not lease.held:  # two found none and inserted at once: the first row stands
        raise _taken("another that started at the same moment", 0)
    return lease


def _taken(holder: str, silent_s: float) -> ServiceError:
    return ServiceError(
        409,
        "scheduler-running",
        f"another scheduler ({holder}) holds the house's lease and was heard of {silent_s:.0f} s "
        f"ago; stop it first, or wait until it is silent for {LEASE_S} s",
    )


def heard_of(engine: Engine) -> tuple[str, float] | None:
    """Who holds the lease, and how many seconds ago it was heard of."""
    with engine.connect() as connection:
        now = _now_ms(connection)
        found = connection.execute(
            text("SELECT holder, heard_ms FROM service_lease WHERE name = :name"), {"name": NAME}
        ).one_or_none()
    return None if found is None else (str(found.holder), (now - found.heard_ms) / 1000)


def _now_ms(connection: Connection) -> int:
    """Milliseconds since 1970: this host's with SQLite, the server's with PostgreSQL."""
    if is_sqlite(connection):
        return time.time_ns() // 1_000_000
    found = connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000"))
    return int(found.scalar_one())
