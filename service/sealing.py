"""Seal a closed period: one root over everything since the last seal. Ranges adjoin, gap-free.

Each seal claims the place after the one before it, by an idempotency key made of that one's leaf.
Of two sealers at once one wins; the other gets the winner's seal when both meant the same period,
and is refused when not.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ledger.errors import DuplicateKeyConflict
from ledger.keys import Role
from ledger.merkle import leaf_hash
from ledger.record import Draft, parse_entry
from ledger.seal import period_root
from service.errors import ServiceError

if TYPE_CHECKING:
    from ledger.log import Appended
    from service.assembly import Assembly


def seal(assembly: Assembly, *, period: str, actor_id: str) -> Appended:
    """Append the seal of every leaf since the last one. Sealing a period again adds a range.

    Raises ServiceError when another period was sealed in the meantime.
    """
    ledger = assembly.ledger
    first, previous = 0, -1
    for stored in ledger.entries(type="seal", newest=True, limit=1):
        data = parse_entry(stored.entry).body["data"]
        first, previous = data["first_index"] + data["count"], stored.index
    size = ledger.size
    hashes = [leaf_hash(stored.entry) for stored in ledger.entries(first=first, limit=size - first)]
    draft = Draft(
        type="seal",
        actor_id=actor_id,
        data={
            "period": period,
            "first_index": first,
            "count": len(hashes),
            "root": period_root(hashes).hex(),
            "checkpoint_size": size,
        },
        event_time=assembly.now(),
        idempotency_key=hashlib.sha256(f"seal after {previous}".encode()).hexdigest(),
        request_digest=hashlib.sha256(period.encode()).hexdigest(),
        ref=period,
    )
    try:
        return ledger.append(draft, assembly.signers[Role.REPORTER])
    except DuplicateKeyConflict as error:
        raise ServiceError(
            409,
            "sealed-meanwhile",
            f"another period was sealed at leaf {error.leaf_index} while {period} was; ask again",
        ) from error
