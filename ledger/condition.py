"""Look and append as one act: an append that holds only if nothing of a kind came in meanwhile.

Whoever decides by what the log holds (is there an outcome of this prediction already? was the model
withdrawn?) reads up to some size, and appends on condition that nothing of those types about those
references has a place from that size on. The condition is judged under the append lock, so it holds
over every thread, process and host of the log, and nobody waits for anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.dialect import run_among
from ledger.errors import Overtaken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection


PREDICTION: Final = "prediction"


@dataclass(frozen=True, slots=True)
class Unless:
    """Unless an entry of one of these (type, ref) pairs is at leaf `since` or after."""

    since: int
    news: frozenset[tuple[str, str]]

    def settled(self, plain_from: int) -> bool:
        """Whether it is about other types than what alone came in since."""
        return self.since >= plain_from and all(kind != PREDICTION for kind, _ in self.news)


class Newest:
    """The newest leaf of each pair that the conditions of one commit ask for."""

    def __init__(
        self,
        connection: Connection,
        conditions: Iterable[Unless | None],
        size: int,
        *,
        plain_from: int,
    ) -> None:
        """`plain_from`: from there on all entries are known to be predictions."""
        self._leaves: dict[tuple[str, str], int] = {}
        asked = [
            one
            for one in conditions
            if one is not None and one.since < size and not one.settled(plain_from)
        ]
        refs: dict[str, set[str]] = {}
        for kind, ref in (pair for one in asked for pair in one.news):
            refs.setdefault(kind, set()).add(ref)
        since = min((one.since for one in asked), default=size)
        for kind, wanted in refs.items():
            rows = run_among(
                connection,
                "SELECT ref, leaf_index FROM ledger_entry "
                "WHERE type = ? AND leaf_index >= ? AND ref",
                wanted,
                kind,
                since,
            )
            for ref, leaf in rows:
                self.add(kind, ref, leaf)

    def add(self, kind: str, ref: str | None, leaf: int) -> None:
        """Know of an entry, stored or about to be."""
        if ref is not None:
            self._leaves[kind, ref] = max(leaf, self._leaves.get((kind, ref), -1))

    def check(self, condition: Unless | None) -> None:
        """Raise Overtaken when a condition does not hold."""
        if condition is None:
            return
        for kind, ref in condition.news:
            leaf = self._leaves.get((kind, ref), -1)
            if leaf >= condition.since:
                raise Overtaken(kind, ref, leaf=leaf, since=condition.since)
