"""A model on its way into a process: its bytes by digest, its provenance by its publisher's key.

What cannot be loaded answers nobody; the others do. Whoever asks for it is told which digest it is
and how its files are brought back, and `/readyz` names it.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from ledger.errors import SignatureRefused
from ledger.keys import PublicKey
from ledger.record import parse_entry
from models.errors import ProvenanceRefused
from models.hub.manifest import Manifest
from models.hub.provenance import check_provenance
from models.runtime import load
from service.errors import ServiceError

if TYPE_CHECKING:
    from ledger.log import Ledger
    from models.errors import ModelError
    from models.hub.catalog import LifecycleEvent
    from models.hub.provenance import Statement
    from models.hub.store import BlobStore
    from models.runtime import Predictor

REPAIR = "assay models restore EXPORT_DIR"


class ModelUnavailable(ServiceError):
    """A published model whose files cannot be loaded here."""

    def __init__(self, digest: str, error: ModelError) -> None:
        super().__init__(
            503,
            "model-unavailable",
            f"model {digest} cannot be loaded: {error}. It answers nobody until its operator has "
            f"brought its files back: {REPAIR}",
            members={"model_digest": digest, "repair": REPAIR},
        )


def load_published(ledger: Ledger, blobs: BlobStore, published: LifecycleEvent) -> Predictor:
    """The predictor of a published model. Raises ModelError."""
    manifest = Manifest.parse(blobs.get(published.data["model_digest"]))
    statement_of(ledger, blobs, published, manifest)
    return load(manifest, blobs.get)


def statement_of(
    ledger: Ledger, blobs: BlobStore, published: LifecycleEvent, manifest: Manifest
) -> Statement:
    """What a model's envelope says, signed by the key that published it. Raises ModelError."""
    publisher = parse_entry(ledger.entry(published.leaf).entry).body["producer"]
    keys = {
        body["data"]["key_id"]: body["data"]["public_key"]
        for kind in ("key.added", "key.rotated")
        for stored in ledger.entries(type=kind)
        if (body := parse_entry(stored.entry).body)
    }

    def verify(key_id: str, message: bytes, signature: bytes) -> None:
        if key_id != publisher:
            raise ProvenanceRefused(f"signed by {key_id}, not by the key that published the model")
        try:
            PublicKey(b64decode(keys[key_id])).verify(message, signature)
        except SignatureRefused as error:
            raise ProvenanceRefused(str(error)) from error

    return check_provenance(blobs.get(published.data["provenance_digest"]), manifest, verify)
