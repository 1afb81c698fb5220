"""Blobs by SHA-256: manifests, artifacts, envelopes, reports. Reading checks the digest.

A blob is written to a temporary file, synced and renamed, so a crash leaves a whole blob or none.
Nothing is ever overwritten or removed here.

Behind the directory may stand a shared place (`places.py`: a bucket, a share): what is stored goes
there first, and what the directory lacks comes from there, is hashed, and stays. So several hosts
serve one set of models, and a lost disk loses none.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from models.errors import ArtifactRefused, BlobMissing, DigestMismatch
from models.hub.canonical import DIGEST, digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from models.hub.places import Place

BLOB_MAX: Final = 64 << 20  # bytes; far above any reference artifact, below what hurts a server


class BlobStore:
    """A directory of files named by the 64 hex digits of their digest."""

    def __init__(self, directory: Path, behind: Place | None = None) -> None:
        self._directory = directory
        self._behind = behind

    def put(self, data: bytes) -> str:
        """Store bytes durably; returns their digest. Storing twice changes nothing."""
        if len(data) > BLOB_MAX:
            raise ArtifactRefused("blob", f"{len(data)} bytes; at most {BLOB_MAX}")
        digest = digest_of(data)
        if self._path(digest).is_file():
            return digest
        if self._behind is not None:
            self._behind.write(self._shared(digest), data)
        return self._keep(digest, data)

    def _keep(self, digest: str, data: bytes) -> str:
        self._directory.mkdir(parents=True, exist_ok=True)
        target = self._path(digest)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        self._sync_directory()
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest. Raises BlobMissing, or DigestMismatch when the file changed."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            if self._behind is None:
                raise BlobMissing(digest) from error
            return self._from_behind(digest)
        got = digest_of(data)
        if got != digest:
            raise DigestMismatch("stored blob", expected=digest, got=got)
        return data

    def part(self, digest: str) -> Path:
        """Where a blob lies while it is being fetched."""
        path = self._path(digest)
        return path.with_name(f".{path.name}.part")

    def adopt(self, digest: str) -> None:
        """Give a fetched blob, hashed and synced by who fetched it, its name."""
        self.part(digest).replace(self._path(digest))
        self._sync_directory()

    def has(self, digest: str) -> bool:
        """Whether there is a file under the digest; its bytes are not read."""
        if self._path(digest).is_file():
            return True
        return self._behind is not None and self._behind.size(self._shared(digest)) is not None

    def _from_behind(self, digest: str) -> bytes:
        """Fetch from the shared place, hash, keep."""
        from models.hub.places import read_whole  # noqa: PLC0415 - only where there is one

        assert self._behind is not None  # noqa: S101 - the caller looked
        try:
            data = read_whole(self._behind, self._shared(digest), BLOB_MAX)
        except FileNotFoundError as error:
            raise BlobMissing(digest) from error
        got = digest_of(data)
        if got != digest:
            raise DigestMismatch(f"blob at {self._behind}", expected=digest, got=got)
        self._keep(digest, data)
        return data

    def _shared(self, digest: str) -> str:
        """Where a hub's layout keeps a blob: a shared place can be mirrored from as it is."""
        return "blobs/" + self._path(digest).name

    def _path(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise BlobMissing(digest[:80])
        return self._directory / digest.removeprefix("sha256:")

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
