"""A recorded report made again from the range of the log that it names, and compared.

It needs no earlier report and no kept file: everything is read from the first leaf. It comes out
differently when a row was erased since, or when another release computes a figure differently.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes
from ledger.errors import NotFound
from ledger.record import unsigned_body
from monitoring.correctness import evaluate
from service.champion import COMPARISON, compare_all
from service.errors import Missing
from service.source import LedgerSource, model_facts

if TYPE_CHECKING:
    from service.assembly import Assembly

CORRECTNESS: Final = "correctness"


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A recorded report beside the same range of the log evaluated again."""

    leaf: int
    recorded_digest: str
    report: bytes
    erased_since: int  # rows whose openings were destroyed after the report's range

    @property
    def digest(self) -> str:
        """Of the recomputed bytes."""
        return f"sha256:{hashlib.sha256(self.report).hexdigest()}"

    @property
    def same(self) -> bool:
        """Whether they are the bytes that were recorded."""
        return self.digest == self.recorded_digest


def report_at(assembly: Assembly, leaf: int, kind: str) -> dict[str, Any]:
    """What the entry of a report says. Raises Missing when the leaf holds none of the kind."""
    try:
        body = unsigned_body(assembly.ledger.entry(leaf).entry)
    except NotFound as error:
        raise Missing(f"no entry {leaf}") from error
    if body["type"] != "report" or body["data"]["report_kind"] != kind:
        raise Missing(f"entry {leaf} is no {kind} report")
    return dict(body["data"])


def recompute(assembly: Assembly, leaf: int, kind: str = CORRECTNESS) -> Recomputed:
    """Evaluate a recorded report's range again, from the first leaf, trusting no earlier report."""
    data = report_at(assembly, leaf, kind)
    last = data["checkpoint_size"] - 1
    if kind == COMPARISON:
        told = compare_all(assembly, last, afresh=True)
    else:
        source = LedgerSource(assembly, last, afresh=True)
        told = evaluate(source, model_facts(assembly, last), as_of_leaf=last).to_json()
    erased = sum(
        len(unsigned_body(stored.entry)["data"]["rows"])
        for stored in assembly.ledger.entries(type="erasure", first=last + 1)
    )
    return Recomputed(leaf, data["report_digest"], canonical_bytes(told), erased)
