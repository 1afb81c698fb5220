"""Entries and words in tables of PostgreSQL. The tables are derived and are filled again when lost.

Stems go into a `tsvector` with the plain configuration `simple`; the first sentences weigh A, the
name, title and tags B, the rest D. `ts_rank_cd` with normalisation 1 takes the length of a card
into account (PostgreSQL documentation, section 12.3.3). No driver is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.hub.search.entry import FIELDS, VERSION, Entry
from models.hub.search.fulltext import FOUND_MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

_LOCK: Final = 0x68756273  # "hubs": two processes do not create the tables at once
_WEIGHT: Final = {"name": "B", "title": "B", "tags": "B", "lead": "A", "body": "D"}
_VECTOR: Final = " || ".join(
    f"setweight(to_tsvector('simple', %s), '{_WEIGHT[field]}')" for field in FIELDS
)
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS hub_search_version (version INTEGER NOT NULL)",
    (
        "CREATE TABLE IF NOT EXISTS hub_search_card (name TEXT PRIMARY KEY, digest TEXT NOT NULL,"
        " entry TEXT NOT NULL, letters BYTEA NOT NULL, vector BYTEA, words TSVECTOR NOT NULL)"
    ),
    "CREATE INDEX IF NOT EXISTS hub_search_words ON hub_search_card USING gin (words)",
)
_PUT: Final = (
    "INSERT INTO hub_search_card (name, digest, entry, letters, vector, words)"  # noqa: S608
    f" VALUES (%s, %s, %s, %s, %s, {_VECTOR}) ON CONFLICT (name) DO UPDATE SET"
    " digest = excluded.digest, entry = excluded.entry, letters = excluded.letters,"
    " vector = excluded.vector, words = excluded.words"
)
_FIND: Final = (
    "SELECT name, ts_rank_cd('{0.2,0.4,0.8,1.0}', words, asked, 1) AS score"
    " FROM hub_search_card, to_tsquery('simple', %s) AS asked WHERE words @@ asked"
    " ORDER BY score DESC, name LIMIT %s"
)


class PostgresText:
    """Tables in a database. `connect` gives a psycopg connection for one transaction."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Any]]) -> None:
        self._connect = connect
        with connect() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in _CREATE:
                db.execute(statement)
            known = db.execute("SELECT version FROM hub_search_version").fetchall()
            if known != [(VERSION,)]:
                db.execute("DELETE FROM hub_search_card")
                db.execute("DELETE FROM hub_search_version")
                db.execute("INSERT INTO hub_search_version VALUES (%s)", (VERSION,))

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep entries; one with a name that is kept replaces it. One transaction."""
        rows = [
            (
                entry.name,
                entry.digest,
                entry.to_json(),
                entry.letters.tobytes(),
                None if entry.vector is None else entry.vector.tobytes(),
                *(entry.words[field] for field in FIELDS),
            )
            for entry in entries
        ]
        with self._connect() as db, db.cursor() as cursor:
            cursor.executemany(_PUT, rows)

    def drop(self, names: Iterable[str]) -> None:
        """Forget entries by name. One transaction."""
        with self._connect() as db:
            db.execute("DELETE FROM hub_search_card WHERE name = ANY(%s)", (list(names),))

    def digests(self) -> Mapping[str, str]:
        """Name -> digest of the card that was analysed."""
        with self._connect() as db:
            return dict(db.execute("SELECT name, digest FROM hub_search_card").fetchall())

    def entries(self) -> Iterator[Entry]:
        """Every entry, by name."""
        with self._connect() as db:
            rows = db.execute(
                "SELECT name, digest, entry, letters, vector FROM hub_search_card"
                ' ORDER BY name COLLATE "C"'
            ).fetchall()
        for name, digest, text, letters, vector in rows:
            kept = None if vector is None else bytes(vector)
            yield Entry.from_row(name, digest, text, bytes(letters), kept)

    def matching(self, stems: Sequence[str]) -> Mapping[str, float]:
        """Names of the best cards with any of these stems, with a score above 0."""
        wanted = " | ".join(f"'{word}'" for word in stems if word.isalnum())
        if not wanted:
            return {}
        with self._connect() as db:
            rows = db.execute(_FIND, (wanted, FOUND_MOST)).fetchall()
        return {name: max(float(score), 1e-9) for name, score in rows}
