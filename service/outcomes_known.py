"""What the log knows of some rows, looked up at once: predictions and newest outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.looking import entries_at, newest_leaves
from ledger.record import unsigned_body
from service.views import outcome_value, parse_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from service.assembly import Assembly
    from service.outcomes import Observed

NEIGHBOURS: Final = 2  # entries read for each outcome wanted; sparser ones are read one by one


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
        self._values: dict[int, str] = {}

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
            self._load()
        data = self._outcomes[leaf]
        told = (data["observed_at"], data["revises"], data["reason"])
        if told != (item.observed_at, item.revises, item.reason):
            return False
        value = self._values.get(leaf) or outcome_value(self._assembly, leaf)
        return value == item.value

    def _load(self) -> None:
        """The newest outcomes; their values too where they lie close, as an upload leaves them."""
        leaves = set(self._newest.values())
        self._outcomes = {
            stored.index: unsigned_body(stored.entry)["data"]
            for _, stored in entries_at(self._assembly.engine, leaves)
        }
        first, end = min(leaves), max(leaves) + 1
        if end - first <= NEIGHBOURS * len(leaves):
            self._values = {
                leaf: opening.outputs["value"].value
                for leaf, opening in self._assembly.vault.open_range(first, end)
                if leaf in leaves
            }
