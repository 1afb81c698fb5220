"""Looking many things up at once: entries by their leaves, and the newest entry of many references.

For those who check thousands of rows against the log: a query for every few hundred of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, text

from ledger.reading import StoredEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Engine

LOOK_ENTRIES: Final = (
    500  # asked for in one query: SQLite takes 32,766 values, a short plan is wiser
)

_AT = text(
    "SELECT leaf_index, type, entry FROM ledger_entry WHERE leaf_index IN :wanted"
).bindparams(bindparam("wanted", expanding=True))
_NEWEST = text(
    "SELECT ref, max(leaf_index) AS leaf FROM ledger_entry "
    "WHERE type = :type AND ref IN :wanted GROUP BY ref"
).bindparams(bindparam("wanted", expanding=True))

_AFTER = text(
    "SELECT leaf_index FROM ledger_entry WHERE type = :type AND ref IN :wanted "
    "AND leaf_index > :leaf ORDER BY leaf_index LIMIT :limit OFFSET :skip"
).bindparams(bindparam("wanted", expanding=True))
_COUNT = text(
    "SELECT count(*) FROM ledger_entry WHERE type = :type AND ref IN :wanted AND leaf_index > :leaf"
).bindparams(bindparam("wanted", expanding=True))


def entries_at(engine: Engine, leaves: Iterable[int]) -> Iterator[tuple[str, StoredEntry]]:
    """Type and entry of each leaf that there is, in no particular order."""
    for wanted in _pieces(sorted(set(leaves))):
        with engine.connect() as connection:
            rows = connection.execute(_AT, {"wanted": wanted}).all()
        for row in rows:
            yield str(row.type), StoredEntry(int(row.leaf_index), bytes(row.entry))


def newest_leaves(engine: Engine, kind: str, refs: Iterable[str]) -> dict[str, int]:
    """The leaf of the newest entry of a type about each reference that has any."""
    found: dict[str, int] = {}
    for wanted in _pieces(sorted(set(refs))):
        with engine.connect() as connection:
            rows = connection.execute(_NEWEST, {"type": kind, "wanted": wanted}).all()
        found |= {str(row.ref): int(row.leaf) for row in rows}
    return found


def _pieces(wanted: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(wanted), LOOK_ENTRIES):
        yield wanted[start : start + LOOK_ENTRIES]


def leaves_after(
    engine: Engine, kind: str, refs: Iterable[str], leaf: int, *, limit: int, skip: int = 0
) -> list[int]:
    """The first leaves past one that hold an entry of a type about any of some references."""
    given = {"type": kind, "wanted": sorted(set(refs)), "leaf": leaf, "limit": limit, "skip": skip}
    if not given["wanted"]:
        return []
    with engine.connect() as connection:
        return [int(row.leaf_index) for row in connection.execute(_AFTER, given)]


def count_after(engine: Engine, kind: str, refs: Iterable[str], leaf: int) -> int:
    """How many there are."""
    given = {"type": kind, "wanted": sorted(set(refs)), "leaf": leaf}
    if not given["wanted"]:
        return 0
    with engine.connect() as connection:
        return int(connection.execute(_COUNT, given).scalar_one())
