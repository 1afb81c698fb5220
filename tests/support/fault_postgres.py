"""The same bench over PostgreSQL: what the client asks of the system fails, or what its server does.

A log is copied as a template database, which is slow, so several attempts are made on one copy; and
a server calls the system as often as its own state wants. So a point may not be met: `met` says how
many were. A server whose process was killed, or could not sync its write-ahead log, restarts by
itself and recovers; `settled` waits for that.
"""

import time

import psycopg

from fault_acts import make_template
from fault_promises import RAISED, Bench
from faults import SERVER_CALLS, SOCKETS, copy_of

TEMPLATE, WORK = "faults_template", "faults_work"
WAIT_S = 60
ATTEMPTS_A_COPY = 20


class ClientBench(Bench):
    """Disturbs the process that appends, where it talks to its server."""

    traced = SOCKETS

    def __init__(self, directory, server):
        self._server = server
        self._attempts = self.met = 0
        super().__init__(directory)

    def stop(self):
        super().stop()
        for name in (TEMPLATE, WORK):
            self._server.admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def settled(self):
        """Until the server answers again."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return self._server.admin("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server did not come back"
                time.sleep(0.05)

    def _make(self):
        self._server.admin(f"CREATE DATABASE {TEMPLATE}")
        make_template(self._template, self._server.url(TEMPLATE))

    def _fresh(self):
        """The log as it is, under a new tag; a new copy after some attempts, before it gets long."""
        self.settled()
        self._attempts += 1
        self.tag = str(self._attempts)
        if self._attempts % ATTEMPTS_A_COPY != 1:
            return self._work
        self._server.admin(f"DROP DATABASE IF EXISTS {WORK} WITH (FORCE)")
        self._server.admin(f"CREATE DATABASE {WORK} TEMPLATE {TEMPLATE}")
        made = copy_of(self._template, self._work)
        (made / "database.url").write_text(self._server.url(WORK))
        return made

    def disturb(self, act, point):
        outcome = self.attempt(act, point)
        assert outcome.error is None or outcome.error[0] in RAISED[act], outcome.error
        self.met += outcome.injected
        self.settled()
        self.check(act, point, outcome)


class ServerBench(ClientBench):
    """Disturbs the server's processes that work for the one that appends."""

    traced = SERVER_CALLS

    def others(self):
        rows = self._server.admin(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = %s",
            WORK,
            "client backend",
        )
        return [pid for (pid,) in rows]
