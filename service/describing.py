"""What a published model is, from its entry and its blobs: card, bill of materials, signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.hub.bom import ml_bom
from models.hub.card import parse_card
from models.hub.signing import check_files
from service.clock import parse_utc
from service.intake import signed_blobs
from service.loading import statement_of
from service.model_keys import trusted

if TYPE_CHECKING:
    from models.hub.card import Card
    from models.hub.provenance import Statement
    from service.assembly import Assembly


@dataclass(frozen=True, slots=True)
class Checked:
    """One check of a model's provenance: what it is about, and what was found."""

    subject: str
    found: str
    holds: bool


def card_of(house: Assembly, digest: str) -> Card | None:
    """The card that a model was published with; None for one published without."""
    manifest = house.inventory.manifest(digest)
    if manifest.card_digest is None:
        return None
    return parse_card(house.blobs.get(manifest.card_digest))


def bill_of_materials(house: Assembly, digest: str) -> bytes:
    """CycloneDX JSON of a published model. Raises UnknownModel."""
    version = house.inventory.catalog(fresh=True).version(digest)
    published = version.published
    return ml_bom(
        house.inventory.manifest(digest),
        card_of(house, digest),
        at=parse_utc(published.time),
        publisher=published.actor,
    )


def check_model(house: Assembly, digest: str) -> list[Checked]:
    """Hold a model's statement, its files and its signature against what the log names.

    Every check is made, whatever an earlier one found. Raises UnknownModel.
    """
    version = house.inventory.catalog(fresh=True).version(digest)
    found: list[Checked] = []
    statement: Statement | None = None
    files: dict[str, bytes] = {}
    try:
        statement = _statement(house, digest)
        found.append(Checked("statement", f"signed by key {statement.key_id}", holds=True))
    except ModelError as error:
        found.append(Checked("statement", str(error), holds=False))
    try:
        names = (digest, *signed_blobs(house, house.inventory.manifest(digest)))
        files = {name: house.blobs.get(name) for name in names}
        found.append(Checked("files", f"{len(files)} files hash to their digests", holds=True))
    except ModelError as error:
        found.append(Checked("files", str(error), holds=False))
    try:
        named = statement.signature_digest if statement else None
        bundle = house.blobs.get(named) if named else None
        signer = check_files(files, bundle, trusted(house).values(), at=version.published.time)
        found.append(
            Checked("signature", f"by {signer.holder}, key {signer.hint[:16]}", holds=True)
        )
    except ModelError as error:
        found.append(Checked("signature", str(error), holds=False))
    return found


def _statement(house: Assembly, digest: str) -> Statement:
    published = house.inventory.catalog().version(digest).published
    return statement_of(house.ledger, house.blobs, published, house.inventory.manifest(digest))
