"""A real PostgreSQL, started by the tests and stopped with them.

The server's programs are looked for in ASSAY_PG_BIN, then on PATH, then in
/usr/lib/postgresql/*/bin. It refuses to run as root, so as root it gets an unprivileged user.
It listens on a socket in a temporary directory and nowhere else. Under xdist each worker process
has a server of its own, so a test may change a setting of the server and put it back.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import event
from sqlalchemy.pool import Pool

OLDEST = 15
START_S = 30
# Held on to, since psycopg warns of each that is collected while open; under a lock, since a thread of
# a test may open one while another test's are closed, and one that is lost here is collected.
_OPENED = []
_OPENING = threading.Lock()
_PDEATHSIG = 1  # prctl: signal when the parent is gone, however it went


def find_programs():
    """The directory of `initdb` and `postgres`, and the reason when there is none."""
    places = [Path(os.environ["ASSAY_PG_BIN"])] if "ASSAY_PG_BIN" in os.environ else []
    on_path = shutil.which("initdb")
    places += [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            told = subprocess.run(
                [place / "postgres", "--version"], capture_output=True, text=True, check=True
            ).stdout
            if int(told.split()[2].split(".")[0]) >= OLDEST:
                return place, ""
    return None, f"no PostgreSQL {OLDEST}+ on PATH, in /usr/lib/postgresql or in ASSAY_PG_BIN"


def _user():
    """Whom the server runs as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    message = "running as root, and there is no user postgres or nobody"
    raise LookupError(message)


@event.listens_for(Pool, "connect")
def _remember(connection, _):
    if isinstance(connection, psycopg.Connection):
        with _OPENING:
            _OPENED.append(connection)


def _close_all(database):
    """Close what a test left in the pools of its engines."""
    with _OPENING:
        for connection in _OPENED:
            if not connection.closed and connection.info.dbname == database:
                connection.close()
        _OPENED[:] = [connection for connection in _OPENED if not connection.closed]


def _die_with_parent():
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGQUIT)


class Server:
    """One running server; databases are made and dropped in it.

    `copy_of`: begin with a base backup of another one, taken while that is in use.
    """

    def __init__(self, programs, copy_of=None):
        self.directory = Path(tempfile.mkdtemp(prefix="assay-pg-"))
        self._programs = programs
        self._as_user = _user()
        self._numbers = itertools.count()
        if self._as_user:
            os.chown(self.directory, self._as_user["user"], self._as_user["group"])
        if copy_of is None:
            made = ("initdb", "-D", "data", "-A", "trust", "-E", "UTF8")
        else:
            made = ("pg_basebackup", "-D", "data", "-h", copy_of.directory, "-c", "fast")
        self._run(*made, "-U", "assay", "--no-sync")
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres",
                    *("-D", self.directory / "data", "-k", self.directory, "-h", ""),
                    *("-c", "max_connections=200", "-c", "shared_buffers=32MB"),
                    *("-c", "autovacuum=off", "-c", "logging_collector=off"),
                ],
                cwd=self.directory,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, nothing locked
                **self._as_user,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.admin("SELECT 1")
                break
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.directory / "log").read_text()) from None
                time.sleep(0.02)

    def _run(self, program, *arguments):
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.directory,
            check=True,
            capture_output=True,
            **self._as_user,
        )

    def stop(self):
        """Stop at once and remove everything."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_S)
        shutil.rmtree(self.directory)

    def admin(self, statement, *values, database="postgres"):
        """Run one statement as the superuser, outside a transaction; rows when it gives any."""
        where = f"host={self.directory} user=assay dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            found = connection.execute(statement, values or None)
            return found.fetchall() if found.description else []

    def configure(self, name, value):
        """Change a setting of the whole server, at once; whoever does puts it back."""
        self.admin(f"ALTER SYSTEM SET {name} = '{value}'")
        self.admin("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_S
        while self.admin(f"SHOW {name}") != [(value,)] and time.monotonic() < deadline:
            time.sleep(0.02)

    def url(self, database):
        """The address of a database as ASSAY_DATABASE_URL takes it."""
        return f"postgresql://assay@/{database}?host={self.directory}"

    @contextmanager
    def database(self, options=""):
        """The address of a new, empty database, which is dropped afterwards."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.admin(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url(name)
        finally:
            _close_all(name)
            self.admin(f"DROP DATABASE {name} WITH (FORCE)")
