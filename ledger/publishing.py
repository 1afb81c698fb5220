"""An export on any file system that fsspec knows: an object store, a share, another host.

    s3://bucket/prefix   gs://…   sftp://host/path   memory://x (tests)   DIRECTORY or file://…

The result is a static site: any web server or bucket in front of it serves `assay audit URL`. A
refresh trusts one thing of what is there: that a file of the length and digest listed in the index
there has that content. So it uploads what is new, and lists the rest without reading it.

fsspec's quirks, kept in here: listings are cached per process unless told otherwise; file systems
that are no object stores may show a file half written, hence a draft beside its place and a move.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import LedgerError, RecordError
from ledger.layout import CHECKPOINT, INDEX, Index

if TYPE_CHECKING:
    from ledger.destination import Destination

# Here an upload shows whole or not at all, and a move would be a copy and a deletion.
WHOLE_UPLOADS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})


class DestinationRefused(LedgerError):
    """A place that cannot be written to: an unknown protocol, or one whose package is absent."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class RemoteDestination:
    """A prefix of an fsspec file system; what is there is listed once, when it is opened."""

    def __init__(self, place: str, filesystem: Any, root: str) -> None:  # noqa: ANN401 - untyped package
        self._place = place
        self._fs = filesystem
        self._root = root.rstrip("/")
        protocol = filesystem.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        self._whole = bool(names & WHOLE_UPLOADS)
        self._sizes = self._listed()
        self._digests = self._indexed()

    def __str__(self) -> str:
        return self._place

    def names(self) -> set[str]:
        """Every file there is below the prefix."""
        return set(self._sizes)

    def read(self, path: str) -> bytes:
        """Read a file. Raises FileNotFoundError."""
        data: bytes = self._fs.cat_file(self._at(path))
        return data

    def put(self, path: str, data: bytes, digest: str) -> None:
        """Upload a file, unless it is there: as listed in the index there, and of this length."""
        if self._sizes.get(path) == len(data) and self._holds(path, data, digest):
            return
        place = self._at(path)
        if self._whole:
            self._fs.pipe_file(place, data)
        else:
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(place + ".part", data)
            self._fs.mv(place + ".part", place)
        self._sizes[path] = len(data)

    def put_file(self, path: str, source: Path, digest: str) -> None:
        """Upload a local file piece by piece, unless it is there as listed and of its length."""
        size = source.stat().st_size
        if self._sizes.get(path) == size and self._digests.get(path) == digest:
            return
        place = self._at(path)
        if self._whole:
            self._fs.put_file(str(source), place)
        else:
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(source), place + ".part")
            self._fs.mv(place + ".part", place)
        self._sizes[path] = size

    def show(self) -> None:
        """Nothing to do: what was put is there, and the last put came last."""

    def drop(self) -> None:
        """Nothing to do: what was uploaded stays, under the old checkpoint, until the next time."""

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._fs.rm_file(self._at(path))
        del self._sizes[path]

    def _holds(self, path: str, data: bytes, digest: str) -> bool:
        listed = self._digests.get(path)
        if listed is None and path in {INDEX, CHECKPOINT}:  # the index cannot list these two
            return self.read(path) == data
        return listed == digest

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _listed(self) -> dict[str, int]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        start = len(self._root) + 1
        return {path[start:]: int(info["size"]) for path, info in found.items()}

    def _indexed(self) -> dict[str, str]:
        """Digests of the index that is there; none where it cannot be read."""
        try:
            return dict(Index.parse(self.read(INDEX)).files)
        except (FileNotFoundError, RecordError):
            return {}


def open_destination(place: str) -> Path | Destination:
    """A directory, or a prefix on the file system that a URL names. Raises DestinationRefused."""
    protocol, found, rest = place.partition("://")
    if not found:
        return Path(place)
    if protocol in {"file", "local"}:
        return Path(rest)
    from fsspec.core import url_to_fs  # type: ignore[import-untyped] # noqa: PLC0415 - seldom needed

    try:
        filesystem, root = url_to_fs(place, use_listings_cache=False)
    except ImportError as error:
        raise DestinationRefused(place, f"{error} (the package for {protocol}://)") from error
    except ValueError as error:
        raise DestinationRefused(place, str(error)) from error
    return RemoteDestination(place, filesystem, root)
