"""What a witness remembers: an SQLite file of its own, changed in one transaction at a time.

`held` has one row per log and only grows; triggers abort whatever else (a speed bump: whoever has
the file can do anything). Each transaction takes the write lock at its start, so that what was
read is still so when it is written. Rollback journal, not WAL, so that any SQLite library will do.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ledger.merkle import EMPTY_ROOT
from ledger.note import LogKey, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.note import Checkpoint, KeyHistory

BUSY_TIMEOUT_S: Final = 5  # a commit is a few fsyncs; five seconds of waiting mean a stuck disk
EVIDENCE_KEPT: Final = 1000  # of each kind and log; anybody can send the log's notes unproved

_SCHEMA: Final = """
CREATE TABLE witness (vkey TEXT NOT NULL);
CREATE TABLE log (origin TEXT NOT NULL, vkey TEXT NOT NULL, PRIMARY KEY (origin, vkey));
CREATE TABLE held (origin TEXT PRIMARY KEY, origin_hash TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL, root BLOB NOT NULL, time INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE evidence (origin TEXT NOT NULL, split INTEGER NOT NULL, size INTEGER NOT NULL,
  root BLOB NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL, held TEXT NOT NULL,
  note TEXT NOT NULL, PRIMARY KEY (origin, split, size, root));
CREATE TRIGGER held_only_grows BEFORE UPDATE ON held
  WHEN new.origin != old.origin OR new.size < old.size OR new.time < old.time
    OR (new.size = old.size AND new.root != old.root)
  BEGIN SELECT RAISE(ABORT, 'what a witness holds only grows'); END;
CREATE TRIGGER held_no_delete BEFORE DELETE ON held
  BEGIN SELECT RAISE(ABORT, 'what a witness holds only grows'); END;
"""


# Of a log whose keys changed; memories made before that have no such table.
_SPANS: Final = """
CREATE TABLE IF NOT EXISTS span (origin TEXT NOT NULL, vkey TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER, PRIMARY KEY (origin, vkey))
"""


@dataclass(frozen=True, slots=True)
class Held:
    """The newest checkpoint cosigned for a log; size 0 and no note before the first."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    time: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A checkpoint that the log signed and the witness refused, with what it held then.

    `split`: same size, other root, so the two notes alone show two histories. Otherwise no proof
    of growth came with it, which may be the sender's fault.
    """

    split: bool
    reason: str
    held: str
    note: str


class State:
    """One transaction's view of a witness's memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def vkey(self) -> str:
        """Whose memory it is."""
        return str(self._connection.execute("SELECT vkey FROM witness").fetchone()[0])

    def trust(self, origin: str, key: VerifierKey) -> None:
        """Know a log, or one more key of it."""
        self._connection.execute("INSERT OR IGNORE INTO log VALUES (?, ?)", (origin, str(key)))

    def follow(self, history: KeyHistory) -> None:
        """Know every key of a log, and which sizes each of them signs."""
        self._connection.execute(_SPANS)
        for held in history.keys:
            self.trust(history.name, held.key)
            self._connection.execute(
                "INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?)",
                (history.name, str(held.key), held.since, held.until),
            )

    def origins(self) -> list[str]:
        """Every known log."""
        rows = self._connection.execute("SELECT DISTINCT origin FROM log ORDER BY origin")
        return [origin for (origin,) in rows]

    def keys(self, origin: str) -> list[LogKey]:
        """The keys trusted for a log, of every size unless it was told; none when it is unknown."""
        self._connection.execute(_SPANS)
        rows = self._connection.execute(
            "SELECT log.vkey, coalesce(since, 0), until FROM log "
            "LEFT JOIN span USING (origin, vkey) WHERE origin = ? ORDER BY log.vkey",
            (origin,),
        )
        return [LogKey(VerifierKey.parse(vkey), since, until) for vkey, since, until in rows]

    def held(self, origin: str) -> Held:
        """The newest checkpoint cosigned for a log."""
        row = self._connection.execute(
            "SELECT size, root, time, note FROM held WHERE origin = ?", (origin,)
        ).fetchone()
        return Held() if row is None else Held(*row)

    def hold(self, new: Checkpoint, time: int, note: str) -> None:
        """Keep a checkpoint in the place of the one before."""
        self._connection.execute(
            "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
            "size = excluded.size, root = excluded.root, time = excluded.time, "
            "note = excluded.note",
            (new.origin, origin_hash(new.origin), new.size, new.root, time, note),
        )

    def note(self, hashed: str) -> str | None:
        """The note held for the log whose origin hashes to this."""
        row = self._connection.execute(
            "SELECT note FROM held WHERE origin_hash = ?", (hashed,)
        ).fetchone()
        return None if row is None else str(row[0])

    def keep(self, refused: Checkpoint, time: int, evidence: Evidence) -> None:
        """Keep a refused checkpoint while there is room."""
        kept = self._connection.execute(
            "SELECT count(*) FROM evidence WHERE origin = ? AND split = ?",
            (refused.origin, evidence.split),
        ).fetchone()[0]
        if kept < EVIDENCE_KEPT:
            row = (refused.origin, evidence.split, refused.size, refused.root, time)
            self._connection.execute(
                "INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, evidence.reason, evidence.held, evidence.note),
            )

    def evidence(self, origin: str) -> list[Evidence]:
        """Refused checkpoints of a log, oldest first."""
        rows = self._connection.execute(
            "SELECT split, reason, held, note FROM evidence WHERE origin = ? ORDER BY time, size",
            (origin,),
        )
        return [Evidence(bool(split), *rest) for split, *rest in rows]


def origin_hash(origin: str) -> str:
    """How the monitoring address names a log."""
    return sha256(origin.encode()).hexdigest()


def create_state(path: Path, vkey: str) -> None:
    """An empty memory in a new file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO witness VALUES (?)", (vkey,))
        connection.commit()


@contextmanager
def transaction(path: Path) -> Iterator[State]:
    """Hold the write lock from start to end; what was written is on disk when this returns."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield State(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
