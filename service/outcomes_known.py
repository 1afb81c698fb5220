"""What the log knows of some rows, looked up at once: predictions and newest outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.looking import entries_at, newest_leaves
from ledger.record import unsigned_body
from service.views import outcome_value, parse_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from service.assembly import Assembly
    from service.outcomes import Observed


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction's entry: how many rows, of which model."""

    rows: int
    model_digest: str


class Known:
    """The log as of one look. Who appends by it does so on condition that nothing came since."""

    def __init__(self, assembly: Assembly, ids: Sequence[str]) -> None:
        self._assembly = assembly
        self.size = assembly.ledger.size
        leaves = {leaf for leaf, _ in map(parse_id, ids) if leaf < self.size}
        self._predicted = {
            stored.index: Predicted(data["row_count"], data["model_digest"])
            for kind, stored in entries_at(assembly.engine, leaves)
            if kind == "prediction"
            for data in (unsigned_body(stored.entry)["data"],)
        }
        self._newest = newest_leaves(assembly.engine, "outcome", ids)
        self._outcomes: dict[int, dict[str, Any]] = {}

    def prediction(self, leaf: int) -> Predicted | None:
        """The prediction at a leaf; None when it holds none."""
        return self._predicted.get(leaf)

    def newest(self, row_id: str) -> int | None:
        """The leaf of a row's newest outcome."""
        return self._newest.get(row_id)

    def is_repeated(self, item: Observed) -> bool:
        """Whether an outcome is the row's newest, word for word: sent and recorded before.

        One whose value was erased is repeated by none: nobody can say any more.
        """
        leaf = self.newest(item.prediction_id)
        if leaf is None:
            return False
        if not self._outcomes:
            found = entries_at(self._assembly.engine, self._newest.values())
            self._outcomes = {
                stored.index: unsigned_body(stored.entry)["data"] for _, stored in found
            }
        data = self._outcomes[leaf]
        told = (data["observed_at"], data["revises"], data["reason"])
        if told != (item.observed_at, item.revises, item.reason):
            return False
        return outcome_value(self._assembly, leaf) == item.value
