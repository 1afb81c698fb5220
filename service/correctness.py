"""Issue a correctness report: evaluate, store by digest, append. Knows nothing of proofs.

What it says was crossed becomes an alarm at once, and a model halts that its policy halts.

A report names the size of the log that it is about; `recomputing.py` evaluates that range again
and gives the same bytes, from the house's database or from an export (`export_reading.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import Draft
from monitoring.correctness import evaluate
from service.alerts import raise_alarms
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
