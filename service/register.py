"""The register of models that model risk keeps: one line a name, and what is overdue.

Folded from the same entries as the catalog, so it cannot disagree with what runs. Supervisors ask
for owner, purpose, materiality, validator and the next review (SR 11-7, section VI; SS1/23,
principle 1); a line says where each comes from. It says who looked and when, and not whether a
model is any good.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.hub.catalog import CHAMPION, UNSATISFACTORY

if TYPE_CHECKING:
    from models.hub.catalog import CatalogModel, LifecycleEvent, Version
    from service.assembly import Assembly


@dataclass(frozen=True, slots=True)
class Line:
    """One model: its champion, else its newest version. `overdue` is empty when nothing is."""

    name: str
    version: str
    model_digest: str
    status: str
    aliases: tuple[str, ...]
    versions: int
    owner: str
    purpose: str
    kind: str
    licence: str
    vendor: str | None
    published_by: str
    published_leaf: int
    materiality: str | None
    validator: str | None
    validated_leaf: int | None
    validated_at: str | None
    conclusion: str | None
    approved_by: str | None
    next_review: str | None
    withdrawn: dict[str, Any] | None
    overdue: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return asdict(self)


def register(house: Assembly, *, today: str | None = None) -> list[Line]:
    """Every model ever published, overdue ones first, then by name."""
    day = today or house.now()[:10]
    catalog = house.inventory.catalog(fresh=True)
    lines = [_line(house, model, catalog.versions(model.name), day) for model in catalog.models()]
    return sorted(lines, key=lambda line: (not line.overdue, line.name))


def _line(house: Assembly, model: CatalogModel, versions: list[Version], day: str) -> Line:
    digest = model.aliases.get(CHAMPION, model.latest_digest)
    version = next(v for v in versions if v.digest == digest)
    manifest = house.inventory.manifest(digest)
    aliases = tuple(sorted(alias for alias, d in model.aliases.items() if d == digest))
    seen, approved = version.validated, version.approved
    return Line(
        name=model.name,
        version=manifest.version,
        model_digest=digest,
        status=version.status,
        aliases=aliases,
        versions=len(versions),
        owner=manifest.owner,
        purpose=manifest.intended_use,
        kind=manifest.kind,
        licence=manifest.licence,
        vendor=manifest.vendor,
        published_by=version.published.actor,
        published_leaf=version.published.leaf,
        materiality=seen.data["materiality"] if seen else None,
        validator=seen.actor if seen else None,
        validated_leaf=seen.leaf if seen else None,
        validated_at=seen.time if seen else None,
        conclusion=seen.data["conclusion"] if seen else None,
        approved_by=approved.actor if approved else None,
        next_review=seen.data["next_review"] if seen else None,
        withdrawn=withdrawal(version.withdrawn),
        overdue=() if version.withdrawn else tuple(_overdue(seen, aliases, day)),
    )


def withdrawal(event: LifecycleEvent | None) -> dict[str, Any] | None:
    """Who withdrew a model, when, why and in which entry."""
    if event is None:
        return None
    return {
        "actor_id": event.actor,
        "event_time": event.time,
        "reason": event.data["reason"],
        "leaf_index": event.leaf,
    }


def _overdue(seen: LifecycleEvent | None, aliases: tuple[str, ...], day: str) -> list[str]:
    """Why somebody should look at a model that is not withdrawn."""
    if seen is None:
        return ["in use and never validated"] if aliases else []
    found = []
    if seen.data["next_review"] < day:
        found.append(f"review was due on {seen.data['next_review']}")
    if aliases and seen.data["conclusion"] == UNSATISFACTORY:
        found.append("in use and found unsatisfactory")
    return found
