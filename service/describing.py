"""What a published model is, from its entry and its blobs: card, bill of materials, signature."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.errors import SignatureRefused
from ledger.keys import PublicKey
from ledger.record import parse_entry
from models.errors import ModelError, ProvenanceRefused
from models.hub.bom import ml_bom
from models.hub.card import parse_card
from models.hub.provenance import check_provenance
from models.hub.signing import check_files
from service.clock import parse_utc
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
        names = (digest, *house.inventory.manifest(digest).blobs)
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
    version = house.inventory.catalog().version(digest)
    entry = parse_entry(house.ledger.entry(version.published.leaf).entry)
    keys = {
        body["data"]["key_id"]: body["data"]["public_key"]
        for kind in ("key.added", "key.rotated")
        for stored in house.ledger.entries(type=kind)
        if (body := parse_entry(stored.entry).body)
    }

    def verify(key_id: str, message: bytes, signature: bytes) -> None:
        if key_id != entry.body["producer"]:
            raise ProvenanceRefused(f"signed by {key_id}, not by the key that published the model")
        try:
            PublicKey(b64decode(keys[key_id])).verify(message, signature)
        except SignatureRefused as error:
            raise ProvenanceRefused(str(error)) from error

    envelope = house.blobs.get(version.published.data["provenance_digest"])
    return check_provenance(envelope, house.inventory.manifest(digest), verify)
