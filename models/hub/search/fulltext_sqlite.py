"""Entries in a file of SQLite, words in FTS5. The file can be deleted: it is filled again.

`bm25()` of FTS5 is negative, smaller is better (SQLite documentation, "The bm25() function"). Stems
are quoted, so no word of a query is read as an operator. The library is the one bundled with the
service where there is one (docs/adr/0005).
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from models.hub.search.entry import FIELDS, VERSION, Entry
from models.hub.search.fulltext import FIELD_WEIGHTS, FOUND_MOST

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # not Linux
    import sqlite3 as sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

BUSY_S: Final = 10.0  # another process may be filling the same file

_CREATE: Final = (
    (
        "CREATE TABLE IF NOT EXISTS hub_search_card (id INTEGER PRIMARY KEY,"
        " name TEXT UNIQUE NOT NULL, digest TEXT NOT NULL, entry TEXT NOT NULL,"
        " letters BLOB NOT NULL, vector BLOB)"
    ),
    (
        f"CREATE VIRTUAL TABLE IF NOT EXISTS hub_search_words USING fts5 ({', '.join(FIELDS)},"
        " content='', contentless_delete=1, tokenize='unicode61')"
    ),
)
_SCORE: Final = f"-bm25(hub_search_words, {', '.join(map(str, FIELD_WEIGHTS))})"


class SqliteText:
    """One file, or memory for tests. Safe to share between threads."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._db: Any = sqlite.connect(
            str(path), timeout=BUSY_S, check_same_thread=False, isolation_level=None
        )
        with self._lock:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # derived: may be lost with the power
            self._begin()
            if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                self._db.execute("DROP TABLE IF EXISTS hub_search_card")
                self._db.execute("DROP TABLE IF EXISTS hub_search_words")
                self._db.execute(f"PRAGMA user_version={VERSION}")
            for statement in _CREATE:
                self._db.execute(statement)
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep entries; one with a name that is kept replaces it. One transaction."""
        with self._lock:
            self._begin()
            try:
                for entry in entries:
                    self._forget(entry.name)
                    self._keep(entry)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def drop(self, names: Iterable[str]) -> None:
        """Forget entries by name. One transaction."""
        with self._lock:
            self._begin()
            for name in names:
                self._forget(name)
            self._db.execute("COMMIT")

    def digests(self) -> Mapping[str, str]:
        """Name -> digest of the card that was analysed."""
        with self._lock:
            return dict(self._db.execute("SELECT name, digest FROM hub_search_card").fetchall())

    def entries(self) -> Iterator[Entry]:
        """Every entry, by name."""
        statement = "SELECT name, digest, entry, letters, vector FROM hub_search_card ORDER BY name"
        with self._lock, closing(self._db.execute(statement)) as rows:
            for row in rows:
                yield Entry.from_row(*row)

    def matching(self, stems: Sequence[str]) -> Mapping[str, float]:
        """Names of the best cards with any of these stems, with a score above 0."""
        if not stems:
            return {}
        wanted = " OR ".join('"' + word.replace('"', '""') + '"' for word in stems)
        with self._lock:
            rows = self._db.execute(
                f"SELECT c.name, w.score FROM (SELECT rowid AS id, {_SCORE} AS score"  # noqa: S608  # constants
                " FROM hub_search_words WHERE hub_search_words MATCH ? ORDER BY score DESC LIMIT ?)"
                " AS w JOIN hub_search_card AS c ON c.id = w.id",
                (wanted, FOUND_MOST),
            ).fetchall()
        return {name: max(float(score), 1e-9) for name, score in rows}

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _forget(self, name: str) -> None:
        row = self._db.execute("SELECT id FROM hub_search_card WHERE name = ?", (name,)).fetchone()
        if row is not None:
            self._db.execute("DELETE FROM hub_search_words WHERE rowid = ?", row)
            self._db.execute("DELETE FROM hub_search_card WHERE id = ?", row)

    def _keep(self, entry: Entry) -> None:
        done = self._db.execute(
            "INSERT INTO hub_search_card (name, digest, entry, letters, vector)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                entry.name,
                entry.digest,
                entry.to_json(),
                entry.letters.tobytes(),
                None if entry.vector is None else entry.vector.tobytes(),
            ),
        )
        self._db.execute(
            f"INSERT INTO hub_search_words (rowid, {', '.join(FIELDS)}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (done.lastrowid, *(entry.words[field] for field in FIELDS)),
        )
