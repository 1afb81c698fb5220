"""Files of models brought back from an export: what is missing or rotted, and nothing else.

Names are digests, so a file is taken from anywhere that has it. A rotten one is kept beside as
`<hex>.rotten`: it may say what happened to the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.layout import BLOBS, DirectorySource, is_blob
from models.errors import BlobMissing, DigestMismatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service.assembly import Assembly


@dataclass(slots=True)
class Restored:
    """Digests by what was found of them here; `refused` were rotten in the export."""

    whole: int = 0
    missing: list[str] = field(default_factory=list)
    rotten: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def restore_blobs(
    house: Assembly, export: Path, progress: Callable[[int, int], None] | None = None
) -> Restored:
    """Put back every blob of an export that this house lacks or that rotted here."""
    source, done = DirectorySource(export), Restored()
    paths = [path for path in source.list() if is_blob(path)]
    for number, path in enumerate(paths, start=1):
        digest = "sha256:" + path.removeprefix(BLOBS)
        try:
            house.blobs.get(digest)
        except (BlobMissing, DigestMismatch) as error:
            _put(house, source.read(path), digest, done, rotten=isinstance(error, DigestMismatch))
        else:
            done.whole += 1
        if progress is not None:
            progress(number, len(paths))
    return done


def _put(house: Assembly, data: bytes, digest: str, done: Restored, *, rotten: bool) -> None:
    named = digest.removeprefix("sha256:")
    if sha256(data).hexdigest() != named:
        done.refused.append(digest)
        return
    if rotten:
        place = house.settings.blobs_dir / named
        place.replace(place.with_name(named + ".rotten"))
    house.blobs.put(data)
    (done.rotten if rotten else done.missing).append(digest)
