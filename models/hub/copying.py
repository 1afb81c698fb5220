"""Blobs fetched from places nobody has to trust: resumable, and every byte checked by its digest.

A blob that is being fetched lies beside its place as `.<digits>.part`. Whoever goes on later hashes
what is there and asks for the rest. Bytes that do not hash to the digest are thrown away, and the
place that sent them is named; a place that cannot be reached only says so, and the next is asked.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from models.errors import DigestMismatch, ModelError, NowhereToBeHad, PlaceRefused, TamperedCopy
from models.hub.canonical import DIGEST
from models.hub.store import BLOB_MAX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.hub.places import Place
    from models.hub.store import BlobStore

BLOBS: Final = "blobs"  # the folder of a hub that holds them


def path_of(digest: str) -> str:
    """Where a hub keeps a blob. Raises TamperedCopy for what is no digest."""
    if not DIGEST.fullmatch(digest):
        raise PlaceRefused("digest", f"{digest[:80]!r} is not sha256: and 64 hex digits")
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"


@dataclass(slots=True)
class Fetcher:
    """Fetches blobs into a store from the first place that has them; keeps what went wrong.

    A place that altered something, or could not be reached, is not asked again.
    """

    store: BlobStore
    places: list[Place]
    progress: Callable[[int], None] = lambda _: None
    refused: list[ModelError] = field(default_factory=list)

    def fetch(self, digest: str) -> bool:
        """Make sure the store holds a blob, intact. Says whether it had to be fetched.

        Raises NowhereToBeHad, naming each place and what it answered.
        """
        try:
            self.store.get(digest)
        except ModelError:
            pass  # not there, or not what it is called
        else:
            return False
        told: list[str] = []
        for place in list(self.places):
            try:
                self._from(place, digest)
            except FileNotFoundError:
                told.append(f"{place} has no such blob")
            except ModelError as error:
                self.refused.append(error)
                told.append(str(error))
                self.places.remove(place)
            else:
                return True
        raise NowhereToBeHad(digest, told)

    def _from(self, place: Place, digest: str) -> None:
        """Fetch from one place, going on where an earlier attempt stopped.

        What is left of an attempt may be another place's rubbish: then it starts once more, afresh.
        """
        part = self.store.part(digest)
        if part.exists() and part.stat().st_size:
            try:
                self._append(place, digest, part)
            except TamperedCopy:
                part.unlink(missing_ok=True)
            else:
                return
        self._append(place, digest, part)

    def _append(self, place: Place, digest: str, part: Path) -> None:
        part.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        start = 0
        with part.open("a+b") as file:
            file.seek(0)
            while piece := file.read(1 << 18):
                hashed.update(piece)
                start += len(piece)
            self.progress(start)
            for piece in place.read(path_of(digest), start):
                start += len(piece)
                if start > BLOB_MAX:
                    part.unlink()
                    raise TamperedCopy(str(place), digest, f"more than {BLOB_MAX} bytes")
                file.write(piece)
                hashed.update(piece)
                self.progress(len(piece))
            file.flush()
            os.fsync(file.fileno())
        got = "sha256:" + hashed.hexdigest()
        if got != digest:
            part.unlink()
            raise TamperedCopy(str(place), digest, got)
        self.store.adopt(digest)


def check_blob(place: Place, digest: str) -> bool:
    """Whether a place holds a blob, read whole and hashed. Raises DigestMismatch when altered."""
    hashed, length = hashlib.sha256(), 0
    try:
        for piece in place.read(path_of(digest)):
            hashed.update(piece)
            length += len(piece)
            if length > BLOB_MAX:
                break
    except FileNotFoundError:
        return False
    got = "sha256:" + hashed.hexdigest()
    if got != digest:
        raise DigestMismatch(f"blob at {place}", expected=digest, got=got)
    return True
