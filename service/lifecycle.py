"""A model's life as entries: published, approved by somebody else, promoted, withdrawn; and limits.

Publisher and approver are different keys and different people; the catalog refuses what the log
does not show. A limit is an entry too, and judges only what comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.keys import Role
from ledger.record import Draft
from models.hub.catalog import LifecycleEvent
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from service.assembly import Assembly

__all__ = ["LifecycleEvent", "LimitTerms", "approve", "promote", "publish", "set_limit", "withdraw"]


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """What a risk committee signs before the data: see docs/concepts.md."""

    metric: str
    limit: str
    side: str
    tolerance: str
    window: str
    minimum_labels: int
    detector: str


def publish(assembly: Assembly, *, digest: str, provenance_digest: str, actor_id: str) -> Appended:
    """Record a model whose blobs are already stored."""
    manifest = assembly.inventory.manifest(digest)
    data = {
        "model_digest": digest,
        "name": manifest.name,
        "version": manifest.version,
        "provenance_digest": provenance_digest,
    }
    return _append(
        assembly, "model.published", data, actor_id=actor_id, role=Role.PUBLISHER, ref=manifest.name
    )


def approve(assembly: Assembly, *, digest: str, reason: str, actor_id: str) -> Appended:
    """Record an approval; refused when the approver published the model."""
    manifest = assembly.inventory.manifest(digest)
    for event in assembly.inventory.catalog(fresh=True).history(manifest.name):
        published = event.type == "model.published" and event.data["model_digest"] == digest
        if published and event.actor == actor_id:
            raise ServiceError(
                409, "same-person", f"{actor_id} published {digest}; another person must approve it"
            )
    data = {"model_digest": digest, "name": manifest.name, "reason": reason}
    return _append(
        assembly, "model.approved", data, actor_id=actor_id, role=Role.APPROVER, ref=manifest.name
    )


def promote(assembly: Assembly, *, digest: str, alias: str, reason: str, actor_id: str) -> Appended:
    """Point an alias at an approved model."""
    assembly.inventory.catalog(fresh=True).resolve(digest)  # refuses unknown, unapproved, withdrawn
    name = assembly.inventory.manifest(digest).name
    data = {"model_digest": digest, "name": name, "alias": alias, "reason": reason}
    return _append(
        assembly, "model.promoted", data, actor_id=actor_id, role=Role.APPROVER, ref=name
    )


def withdraw(assembly: Assembly, *, digest: str, reason: str, actor_id: str) -> Appended:
    """Take a model out of use; it stays retrievable by digest for auditors."""
    name = assembly.inventory.manifest(digest).name
    data = {"model_digest": digest, "name": name, "reason": reason}
    return _append(
        assembly, "model.withdrawn", data, actor_id=actor_id, role=Role.APPROVER, ref=name
    )


def set_limit(assembly: Assembly, *, digest: str, terms: LimitTerms, actor_id: str) -> Appended:
    """Sign a monitoring limit. It judges only predictions recorded after it."""
    data: dict[str, object] = {
        "model_digest": digest,
        "metric": terms.metric,
        "limit": terms.limit,
        "side": terms.side,
        "tolerance": terms.tolerance,
        "window": terms.window,
        "minimum_labels": terms.minimum_labels,
        "detector": terms.detector,
        "replaces": None,
        "reason": None,
        "second_person": None,
    }
    return _append(assembly, "limits", data, actor_id=actor_id, role=Role.APPROVER, ref=digest)


def _append(
    assembly: Assembly,
    kind: str,
    data: Mapping[str, object],
    *,
    actor_id: str,
    role: Role,
    ref: str,
) -> Appended:
    draft = Draft(type=kind, actor_id=actor_id, data=data, event_time=assembly.now(), ref=ref)
    appended = assembly.ledger.append(draft, assembly.signers[role])
    assembly.inventory.catalog(fresh=True)
    return appended
