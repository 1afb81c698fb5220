"""A trained package into the house: stored by digest, signed, recorded, approved, put to work.

Three acts of two people, each an entry: a developer publishes, a validator approves and promotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.keys import Role
from models.hub.catalog import CHAMPION
from models.hub.publish import publish as store_package
from service import lifecycle

if TYPE_CHECKING:
    from models.hub.publish import Package
    from service.assembly import Assembly

DEVELOPER: Final = "model-development"
VALIDATOR: Final = "model-validation"


def publish_package(
    house: Assembly, package: Package, *, actor_id: str, signature: bytes | None = None
) -> str:
    """Store and record a package, and its files' signature where there is one.

    Returns the model's digest. It may not run yet.
    """
    key = house.signers[Role.PUBLISHER]
    published = store_package(
        house.blobs, package, key_id=key.key_id, sign=key.sign, signature=signature
    )
    lifecycle.publish(
        house,
        digest=published.digest,
        provenance_digest=published.provenance_digest,
        actor_id=actor_id,
    )
    return published.digest


def put_to_work(house: Assembly, digest: str, *, reason: str, actor_id: str) -> None:
    """Approve a published model and make it the champion of its name."""
    lifecycle.approve(house, digest=digest, reason=reason, actor_id=actor_id)
    lifecycle.promote(house, digest=digest, alias=CHAMPION, reason=reason, actor_id=actor_id)
