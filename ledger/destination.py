"""Where an export is written to: a directory, or any other place that keeps files by path.

`export` writes in an order that never leaves a reader with a checkpoint and less than what is under
it; a destination answers for one file at a time: whole or not there. This file knows directories;
`publishing` knows object stores and the rest of fsspec.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from ledger.layout import DirectorySource

if TYPE_CHECKING:
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
        """Keep a file, durably and whole when this returns; may do nothing when it is there."""

    def remove(self, path: str) -> None:
        """Remove a file that is there."""


class DirectoryDestination:
    """A directory. Each file is written beside its place, synced and renamed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __str__(self) -> str:
        return str(self._directory)

    def names(self) -> set[str]:
        """Every file below the directory; none when it is not there."""
        return set(DirectorySource(self._directory).list())

    def read(self, path: str) -> bytes:
        """Read a file. Raises FileNotFoundError."""
        return (self._directory / path).read_bytes()

    def put(self, path: str, data: bytes, digest: str) -> None:  # noqa: ARG002 - bytes are compared
        """Write the whole file or leave the one before it; on disk when this returns."""
        place = self._directory / path
        if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(place.name + ".part")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
        _sync_directory(place.parent)

    def remove(self, path: str) -> None:
        """Unlink a file."""
        (self._directory / path).unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
