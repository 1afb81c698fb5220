"""Issue an honesty report: export, check the export offline, store by digest, append.

The service checks its own bundle with the same code an outside auditor runs; what that is worth
is said in the report. Knows nothing of outcomes' meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import Draft
from service.exporting import exported

if TYPE_CHECKING:
    from ledger.log import Appended
    from service.assembly import Assembly


def issue_honesty(assembly: Assembly, *, actor_id: str) -> Appended:
    """Append an honesty report about the log as exported now."""
    from service.cli.audit import audit_directory  # noqa: PLC0415 - loads replay engines

    with exported(assembly) as directory:
        report = audit_directory(directory, assembly.ledger.vkey)
    body = report.to_json()
    digest = assembly.blobs.put(canonical_bytes(body))
    draft = Draft(
        type="report",
        actor_id=actor_id,
        data={
            "report_kind": "honesty",
            "checkpoint_size": report.tree_size,
            "report_digest": digest,
        },
        event_time=assembly.now(),
        ref="honesty",
    )
    return assembly.ledger.append(draft, assembly.signers[Role.REPORTER])
