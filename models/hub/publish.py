"""Publishing: artifacts first, then the manifest that names them, then the signed statement.

What comes out are two digests. Recording them, and letting the model run, is somebody else's act.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import DigestMismatch, ManifestRefused
from models.hub.canonical import digest_of
from models.hub.manifest import Manifest
from models.hub.provenance import seal_envelope, statement_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.hub.provenance import Sign
    from models.hub.store import BlobStore


@dataclass(frozen=True, slots=True)
class Package:
    """A trained model, ready to publish: its manifest and every blob that the manifest names."""

    manifest: Manifest
    blobs: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Published:
    """The model's digest and the digest of its signed statement."""

    digest: str
    provenance_digest: str


def publish(
    store: BlobStore,
    package: Package,
    *,
    key_id: str,
    sign: Sign,
    signature: bytes | None = None,
) -> Published:
    """Store a package, its signature, and a statement about both signed by the publisher."""
    manifest = Manifest.parse(package.manifest.to_bytes())  # what cannot be read is not published
    wanted = sorted(set(manifest.blobs))
    if manifest.environment_digest not in package.blobs:  # then it is the house's own
        wanted.remove(manifest.environment_digest)
    for digest in wanted:
        if digest not in package.blobs:
            raise ManifestRefused("package", f"{digest} is named and not included")
        got = digest_of(package.blobs[digest])
        if got != digest:
            raise DigestMismatch("package blob", expected=digest, got=got)
    for digest in wanted:
        store.put(package.blobs[digest])
    store.put(manifest.to_bytes())
    named = None if signature is None else store.put(signature)
    statement = statement_bytes(manifest, signature_digest=named)
    envelope = seal_envelope(statement, key_id=key_id, sign=sign)
    return Published(digest=manifest.digest, provenance_digest=store.put(envelope))
