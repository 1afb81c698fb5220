"""An export read as the log it came from: what evaluation asks of a house, without the house.

For whoever recomputes a report from the files alone. Nothing is checked here: that is the work of
`assay audit`, which comes first. Entries are kept by type and reference with their place, and read
again a bundle at a time, so memory grows by a few bytes an entry.
"""

from __future__ import annotations

import json
from array import array
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from ledger.canonical import canonical_bytes
from ledger.columnar import PART_ROWS, Columns
from ledger.errors import NotFound
from ledger.layout import (
    DirectorySource,
    Index,
    batch_records_path,
    blob_path,
    openings_path,
    rows_path,
)
from ledger.reading import StoredEntry
from ledger.record import Opening, row_bytes, unsigned_body
from ledger.tiles import TILE_WIDTH, split_bundle, tile_path, width_at
from models.errors import ModelError
from models.hub.manifest import Manifest
from service.errors import ServiceError
from service.recovering import ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.assembly import Assembly

BUNDLES_KEPT: Final = 8  # of entries, rows and openings: neighbours are read one after another


class ExportHouse:
    """The log, the openings and the blobs of an export, named as an assembly names them."""

    def __init__(self, directory: Path) -> None:
        self._source = DirectorySource(directory)
        try:
            self.size = Index.parse(self._source.read("index.json")).tree_size
        except (OSError, ValueError) as error:
            told = f"{directory} is no export; make one with: assay ledger export"
            raise ServiceError(404, "not-found", told) from error
        self.ledger = self.vault = self.blobs = self.inventory = self
        self._places: dict[tuple[str, str | None], array[int]] = {}
        self._bundle = lru_cache(BUNDLES_KEPT)(self._read_bundle)
        self._beside = lru_cache(BUNDLES_KEPT)(self._read_beside)
        for leaf in range(self.size):
            body = unsigned_body(self.entry(leaf).entry)
            for ref in {None, ref_of(body)}:
                self._places.setdefault((str(body["type"]), ref), array("q")).append(leaf)

    # --- the log ---

    def entry(self, index: int) -> StoredEntry:
        """One entry. Raises NotFound."""
        if not 0 <= index < self.size:
            raise NotFound("entry", index)
        return StoredEntry(index, self._bundle(index // TILE_WIDTH)[index % TILE_WIDTH])

    def entries(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the field's name in an entry
        ref: str | None = None,
        first: int = 0,
        limit: int | None = None,
    ) -> Iterator[StoredEntry]:
        """Entries in order, or those of a type."""
        places = range(self.size) if type is None else self._places.get((type, ref), ())
        found = (leaf for leaf in places if leaf >= first)
        yield from map(self.entry, found if limit is None else islice(found, limit))

    def rows(self, index: int) -> list[bytes]:
        """The rows of a multi-row entry, in order."""
        found = self._beside(rows_path(index // TILE_WIDTH)).get(index, [])
        return [row_bytes(line["row"]) for line in found]

    # --- what lies beside it ---

    def open(self, index: int) -> list[Opening]:
        """The openings of one entry; those withheld or erased are not among them."""
        found = self._beside(openings_path(index // TILE_WIDTH)).get(index, [])
        return [Opening.from_bytes(canonical_bytes(line["opening"])) for line in found]

    def open_range(self, first: int, end: int) -> Iterator[tuple[int, Opening]]:
        """The openings of entries [first, end), with the leaf index of each."""
        for leaf in range(first, end):
            for opening in self.open(leaf):
                yield leaf, opening

    def open_parts(self, index: int) -> Iterator[tuple[int, bytes]]:
        """The records of a batch's parts; an erased part stands in the file as zeros."""
        try:
            records = self._source.read(batch_records_path(index))
        except OSError:
            return
        width = Columns.of(unsigned_body(self.entry(index).entry)["data"]).width * PART_ROWS
        for part, start in enumerate(range(0, len(records), width)):
            piece = records[start : start + width]
            if any(piece):
                yield part, piece

    def get(self, digest: str) -> bytes:
        """A blob. Raises ModelError when it is not there or does not hash to its name."""
        try:
            found = self._source.read(blob_path(digest))
        except OSError as error:
            raise ModelError(f"the export holds no blob {digest}") from error
        if f"sha256:{sha256(found).hexdigest()}" != digest:
            raise ModelError(f"blob {digest} is not what its name says")
        return found

    def manifest(self, digest: str) -> Manifest:
        """A model's manifest."""
        return Manifest.parse(self.get(digest))

    # --- files ---

    def _read_bundle(self, number: int) -> list[bytes]:
        width = width_at(0, number, self.size)
        path = tile_path(None, number, width)
        return split_bundle(self._source.read(path), width, path)

    def _read_beside(self, path: str) -> dict[int, list[dict[str, Any]]]:
        found: dict[int, list[dict[str, Any]]] = {}
        try:
            lines = self._source.read(path).splitlines()
        except OSError:
            return found
        for line in lines:
            value = json.loads(line)
            found.setdefault(value["leaf_index"], []).append(value)
        return found


def as_house(directory: Path) -> Assembly:
    """An export in place of an assembly: it answers what `source.LedgerSource` asks of one."""
    return cast("Assembly", ExportHouse(directory))
