"""How many entries of each type there are, counted once.

Leaf indexes have no gaps and entries never go, so what was counted so far are the entries below
their number, and only what came since has to be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.dialect import run

if TYPE_CHECKING:
    from sqlalchemy import Engine

COUNT_ALL = "SELECT type, count(*) FROM ledger_entry GROUP BY type"  # the index on types alone
COUNT_FROM = (  # in order of leaves, or SQLite reads that whole index and throws most of it away
    "SELECT type, count(*) FROM (SELECT type FROM ledger_entry WHERE leaf_index >= ? "
    "ORDER BY leaf_index LIMIT 9223372036854775807) AS news GROUP BY type"
)


class Counts:
    """Entries by type, as this process last counted them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted: dict[str, int] = {}

    def now(self) -> dict[str, int]:
        """Entries by type; reads only what came since it was last asked."""
        known = self._counted
        since = sum(known.values())
        with self._engine.connect() as connection:
            rows = run(connection, *((COUNT_FROM, (since,)) if known else (COUNT_ALL,))).all()
        counted = dict(known)
        for kind, count in rows:
            counted[str(kind)] = counted.get(str(kind), 0) + int(count)
        self._counted = counted
        return dict(counted)
