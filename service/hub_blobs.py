"""Which blobs a house's hub gives out: those that its published models name, and no others.

The house's store also holds reports, tokens and environments of predictions; a hub is about models.
What a model names follows from its digest and its statement's, so it is worked out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.record import parse_entry
from models.errors import ModelError
from models.hub.provenance import open_envelope

if TYPE_CHECKING:
    from service.assembly import Assembly

_NAMED: dict[tuple[str, str], frozenset[str]] = {}  # by content, so the same for every house


def hub_blobs(house: Assembly) -> frozenset[str]:
    """Every blob that a published model or a validation names."""
    found: set[str] = set()
    for stored in house.ledger.entries(type="model.published"):
        data = parse_entry(stored.entry).body["data"]
        found |= _named(house, data["model_digest"], data["provenance_digest"])
    for stored in house.ledger.entries(type="model.validated"):
        report = parse_entry(stored.entry).body["data"]["report_digest"]
        found |= {report} if report else set()
    return frozenset(found)


def _named(house: Assembly, digest: str, statement: str) -> frozenset[str]:
    known = _NAMED.get((digest, statement))
    if known is None:
        try:
            known = _read(house, digest, statement)
        except ModelError:  # rotted here: its name is known, what it names is not
            return frozenset((digest, statement))
        _NAMED[digest, statement] = known
    return known


def _read(house: Assembly, digest: str, statement: str) -> frozenset[str]:
    signature = open_envelope(house.blobs.get(statement), lambda *_: None).signature_digest
    names = {digest, statement, *house.inventory.manifest(digest).blobs}
    return frozenset(names | ({signature} if signature else set()))
