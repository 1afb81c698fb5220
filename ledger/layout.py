"""Where things lie in an export, and how an export is read. Bytes: docs/formats/export.md.

    checkpoint               the signed note; written last
    checkpoints.jsonl        every checkpoint of the log: {"note","size"}, sizes ascending
    tile/..., tile/entries/  the tree of that size (C2SP tlog-tiles), no other widths
    rows/NNN.jsonl           rows of multi-row entries: {"leaf_index","row"}, in order
    openings/NNN.jsonl       openings of the same bundle's entries: {"leaf_index","opening"}
    batches/<leaf>.hashes    leaf hashes of a batch's rows, 32 bytes each, in order
    batches/<leaf>.records   its records; zero bytes where one was erased
    blobs/<64 hex>           models, reports, environments, named by SHA-256
    log-keys.jsonl           receipts of the entries about the log's own keys, if there are any
    index.json               this list of files with their digests

NNN is the number of the entry bundle (leaf index // 256), so a reader holds one bundle at a time;
a bundle without rows or openings has no such file. `index.json` is signed by nobody: it finds lost,
added and rotten files, and what a file says is checked against the log all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.grammar import DIGEST, LEAF, check_fields, one_of, text
from ledger.refusals import CanonicalError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ledger.grammar import Fields

CHECKPOINT: Final = "checkpoint"
HISTORY: Final = "checkpoints.jsonl"
INDEX: Final = "index.json"
LOG_KEYS: Final = "log-keys.jsonl"
BLOBS: Final = "blobs/"
INDEX_SCHEMA: Final = "assay/export/v1"
LINE_MAX: Final = 8 << 20  # bytes of a line; a note has at most a MiB before JSON escapes it
INCLUDED: Final = "included"
WITHHELD: Final = "withheld"

_BESIDE: Final = re.compile(r"(rows|openings)/([0-9]{3,})\.jsonl")
_BATCH: Final = re.compile(r"batches/(0|[1-9][0-9]{0,14})\.(?:hashes|records)")
_BLOB: Final = re.compile(r"blobs/[0-9a-f]{64}")


def rows_path(bundle: int) -> str:
    """The file of a bundle's rows."""
    return f"rows/{bundle:03d}.jsonl"


def openings_path(bundle: int) -> str:
    """The file of a bundle's openings."""
    return f"openings/{bundle:03d}.jsonl"


def batch_hashes_path(leaf: int) -> str:
    """The file of the leaf hashes of a batch's rows."""
    return f"batches/{leaf}.hashes"


def batch_records_path(leaf: int) -> str:
    """The file of the records of a batch's rows."""
    return f"batches/{leaf}.records"


def batch_of(path: str) -> int | None:
    """The leaf of the batch whose rows a path holds; None for any other path."""
    match = _BATCH.fullmatch(path)
    return int(match[1]) if match else None


def blob_path(digest: str) -> str:
    """The file of a blob named `sha256:<64 hex>`."""
    return BLOBS + digest.removeprefix("sha256:")


def is_blob(path: str) -> bool:
    """Whether a path is that of a blob."""
    return _BLOB.fullmatch(path) is not None


def bundle_beside(path: str) -> int | None:
    """The bundle whose rows or openings a path holds; None for any other path or spelling."""
    match = _BESIDE.fullmatch(path)
    if match is None:
        return None
    bundle = int(match[2])
    return bundle if path in {rows_path(bundle), openings_path(bundle)} else None


class Source(Protocol):
    """An export, wherever it lies: a directory here, a web server elsewhere."""

    def list(self) -> list[str]:
        """Every file's path, relative, with forward slashes."""

    def read(self, path: str) -> bytes:
        """A whole file. Raises OSError when it is not there or cannot be read."""

    def lines(self, path: str) -> Iterator[bytes]:
        """A file's lines with their line feeds, without holding it whole. Raises OSError."""


class DirectorySource:
    """An export in a directory. A link is listed and refused: it could lead anywhere."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def list(self) -> list[str]:
        """Every path below the directory that is not itself a directory, sorted."""
        found = (p for p in self._directory.rglob("*") if p.is_symlink() or not p.is_dir())
        return sorted(path.relative_to(self._directory).as_posix() for path in found)

    def read(self, path: str) -> bytes:
        """Read a regular file."""
        place = self._directory / path
        if place.is_symlink() or not place.is_file():
            raise FileNotFoundError(path)
        return place.read_bytes()

    def lines(self, path: str) -> Iterator[bytes]:
        """Read a regular file's lines; one that is too long comes in pieces."""
        place = self._directory / path
        if place.is_symlink() or not place.is_file():
            raise FileNotFoundError(path)
        with place.open("rb") as file:
            while line := file.readline(LINE_MAX):
                yield line


@dataclass(frozen=True, slots=True)
class Index:
    """The export's list of files: every one but `checkpoint` and itself, with its digest.

    `openings` says whether openings were handed out with this export (`included`, `withheld`).
    """

    origin: str
    tree_size: int
    files: Mapping[str, str]
    openings: str = INCLUDED

    def to_bytes(self) -> bytes:
        """The canonical bytes of `index.json`."""
        return canonical_bytes(
            {
                "schema": INDEX_SCHEMA,
                "origin": self.origin,
                "tree_size": self.tree_size,
                "openings": self.openings,
                "files": dict(self.files),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Index:
        """Read `index.json`. Raises RecordError."""
        try:
            value = parse_canonical(data)
        except CanonicalError as error:
            raise RecordError(INDEX, str(error)) from error
        if not isinstance(value, dict):
            raise RecordError(INDEX, "expected an object")
        check_fields(value, _INDEX, INDEX)
        return cls(value["origin"], value["tree_size"], value["files"], value["openings"])


def _files(value: object) -> str | None:
    if not isinstance(value, dict):
        return "expected digests by path"
    return next((reason for digest in value.values() if (reason := DIGEST(digest))), None)


_INDEX: Fields = {
    "schema": one_of(INDEX_SCHEMA),
    "origin": text(256),
    "tree_size": LEAF,
    "openings": one_of(INCLUDED, WITHHELD),
    "files": _files,
}
