"""Issue a correctness report: evaluate, store by digest, append. Knows nothing of proofs.

What it says was crossed becomes an alarm at once, and a model halts that its policy halts.

A report names the size of the log that it is about; `recompute` evaluates that range again and
gives the same bytes, from the house's database or from an export (`export_reading.py`), unless a
row was erased since or another release computes a figure differently.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.canonical import canonical_bytes
from ledger.errors import NotFound
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from monitoring.correctness import evaluate
from service.alerts import raise_alarms
from service.errors import Missing
from service.source import LedgerSource, model_facts
from service.switch import halt_what_is_due

if TYPE_CHECKING:
    from ledger.log import Appended
    from monitoring.correctness import CorrectnessReport
    from service.assembly import Assembly


def correctness_report(assembly: Assembly, *, as_of_leaf: int | None = None) -> CorrectnessReport:
    """Evaluate every model in use on what the log holds up to a leaf (the newest when absent)."""
    leaf = assembly.ledger.size - 1 if as_of_leaf is None else as_of_leaf
    return evaluate(LedgerSource(assembly, leaf), model_facts(assembly, leaf), as_of_leaf=leaf)


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


def report_at(assembly: Assembly, leaf: int) -> dict[str, Any]:
    """What the entry of a correctness report says. Raises Missing when the leaf holds none."""
    try:
        body = unsigned_body(assembly.ledger.entry(leaf).entry)
    except NotFound as error:
        raise Missing(f"no entry {leaf}") from error
    if body["type"] != "report" or body["data"]["report_kind"] != "correctness":
        raise Missing(f"entry {leaf} is no correctness report", "list them: assay report list")
    return dict(body["data"])


def recompute(assembly: Assembly, leaf: int) -> Recomputed:
    """Evaluate a recorded report's range again, from the first leaf, trusting no earlier report."""
    data = report_at(assembly, leaf)
    last = data["checkpoint_size"] - 1
    source = LedgerSource(assembly, last, afresh=True)
    report = evaluate(source, model_facts(assembly, last), as_of_leaf=last)
    erased = sum(
        len(unsigned_body(stored.entry)["data"]["rows"])
        for stored in assembly.ledger.entries(type="erasure", first=last + 1)
    )
    return Recomputed(leaf, data["report_digest"], canonical_bytes(report.to_json()), erased)


def issue_correctness(assembly: Assembly, *, actor_id: str) -> Appended:
    """Append a correctness report; its bytes are stored under the digest the entry names."""
    size = assembly.ledger.size
    report = correctness_report(assembly, as_of_leaf=size - 1)
    told = report.to_json()
    digest = assembly.blobs.put(canonical_bytes(told))
    draft = Draft(
        type="report",
        actor_id=actor_id,
        data={
            "report_kind": "correctness",
            "checkpoint_size": size,
            "report_digest": digest,
        },
        event_time=assembly.now(),
        ref="correctness",
    )
    done = assembly.ledger.append(draft, assembly.signers[Role.REPORTER])
    raise_alarms(assembly, told, actor_id=actor_id)
    halt_what_is_due(assembly)
    return done
