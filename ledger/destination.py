"""Where an export is written to: a directory, or any other place that keeps files by path.

`export` writes in an order that never leaves a reader with a checkpoint and less than what is under
it; a destination answers for one file at a time: whole or not there. A directory shows nothing
before everything is on disk, so a disk that fills up or fails leaves the export that was there.
This file knows directories; `publishing` knows object stores and the rest of fsspec.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from ledger.layout import DirectorySource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Destination(Protocol):
    """A place for an export. Paths are relative, with forward slashes."""

    def __str__(self) -> str:
        """How errors call it."""

    def names(self) -> set[str]:
        """Every file there is, of an export or not."""

    def read(self, path: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""

    def put(self, path: str, data: bytes, digest: str) -> None:
        """Keep a file, whole; may do nothing when it is there, and may wait for `show`."""

    def put_file(self, path: str, source: Path, digest: str) -> None:
        """As `put`, of what a local file holds, which may not fit into memory."""

    def show(self) -> None:
        """All that was put is in its place, durably, when this returns; the last put comes last."""

    def drop(self) -> None:
        """Forget what was put and is not shown yet."""

    def remove(self, path: str) -> None:
        """Remove a file that is there."""


class DirectoryDestination:
    """A directory. Each file is written beside its place and synced; `show` renames them all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drafts: dict[Path, None] = {}  # places of files written and not shown yet, in order
        self._holder: int | None = None  # the thread that holds the directory

    def __str__(self) -> str:
        return str(self._directory)

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Keep other exports out of the directory, of this process or another; waits for them.

        `export` holds it while it writes. Whoever reads the directory afterwards, and minds its
        files changing underfoot, holds it around both. The lock is on the directory itself.
        """
        if self._holder == threading.get_ident():
            yield self._directory
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._holder = threading.get_ident()
            try:
                yield self._directory
            finally:
                self._holder = None
        finally:
            os.close(descriptor)

    def names(self) -> set[str]:
        """Every file below the directory; none when it is not there."""
        return set(DirectorySource(self._directory).list())

    def read(self, path: str) -> bytes:
        """Read a file. Raises FileNotFoundError."""
        return (self._directory / path).read_bytes()

    def put(self, path: str, data: bytes, digest: str) -> None:  # noqa: ARG002 - bytes are compared
        """Write the file beside its place; it is on disk, and not shown, when this returns."""
        place = self._directory / path
        if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
            return
        with self._draft(place) as file:
            file.write(data)

    def put_file(self, path: str, source: Path, digest: str) -> None:
        """Copy a file beside its place, unless what is there has its digest."""
        place = self._directory / path
        if place.is_file() and not place.is_symlink() and digest_of(place) == digest:
            return
        with self._draft(place) as file, source.open("rb") as data:
            shutil.copyfileobj(data, file)

    @contextmanager
    def _draft(self, place: Path) -> Iterator[IO[bytes]]:
        """A file beside its place; on disk, and not shown, afterwards."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self._drafts[place] = None
        with _draft_of(place).open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def show(self) -> None:
        """Rename each draft to its place, the last once all others are durable there."""
        places = list(self._drafts)
        for group in (places[:-1], places[-1:]):
            for place in group:
                _draft_of(place).replace(place)
            for directory in self._above(group):
                _sync_directory(directory)
        self._drafts.clear()

    def drop(self) -> None:
        """Remove the drafts; one that cannot be removed is left to the next export."""
        for place in self._drafts:
            with contextlib.suppress(OSError):
                _draft_of(place).unlink(missing_ok=True)
        self._drafts.clear()

    def _above(self, places: Iterable[Path]) -> set[Path]:
        """The directories above places, up to and with this one: any of them may be new."""
        inside = {self._directory}
        for place in places:
            inside.update(p for p in place.parents if p.is_relative_to(self._directory))
        return inside

    def remove(self, path: str) -> None:
        """Unlink a file."""
        (self._directory / path).unlink()


def digest_of(place: Path) -> str:
    """The digest of a file's bytes, as an index lists it."""
    with place.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _draft_of(place: Path) -> Path:
    return place.with_name(place.name + ".part")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
