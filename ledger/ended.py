"""Keys that may sign nothing more, judged under the append lock.

A key ends with the entry that replaces or revokes it. Other threads, processes, hosts may hold it
still, so what they append is held against the log itself at the last moment: an entry by an ended
key is refused, never recorded as a finding for auditors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.dialect import run
from ledger.errors import KeyRefused
from ledger.keybook import ENDING, ended_by
from ledger.record import unsigned_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from ledger.record import Draft


class EndedKeys:
    """The leaf that ended each key, read further at every commit."""

    def __init__(self) -> None:
        self._leaves: dict[str, int] = {}
        self._seen = 0

    def look(self, connection: Connection, size: int, *, plain_from: int) -> dict[str, int]:
        """Every key ended in a log of that size, with the leaf; the caller's own to add to.

        `plain_from`: from there on all entries are known to be predictions.
        """
        if size < self._seen:
            self._leaves, self._seen = {}, 0
        if self._seen >= plain_from:
            self._seen = size
            return dict(self._leaves)
        rows = run(
            connection,
            "SELECT leaf_index, entry FROM ledger_entry "
            "WHERE type IN (?, ?) AND leaf_index >= ? ORDER BY leaf_index",
            (*ENDING, self._seen),
        )
        for leaf, entry in rows:
            self._leaves[ended_by(unsigned_body(bytes(entry)))] = leaf
        self._seen = size
        return dict(self._leaves)


def hold(news: Iterable[tuple[int, str, Draft]], ended: dict[str, int]) -> None:
    """Refuse new entries (leaf, key id, draft) that an ended key signs; else note what they end."""
    mine = dict(ended)
    for leaf, key_id, draft in news:
        if key_id in mine:
            raise KeyRefused(
                key_id,
                f"was ended by entry {mine[key_id]}; this process must be started again, "
                "to sign with the key in its place",
            )
        if draft.type in ENDING:
            mine[ended_by({"type": draft.type, "data": draft.data})] = leaf
    ended.update(mine)
