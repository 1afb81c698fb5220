"""An export as it stood at an older checkpoint of its own, made by slicing, with nothing trusted.

A tree of N leaves is a prefix of every later one: its tiles are the first hashes of the later
tiles, its bundles the first entries, and its signed checkpoint is in `checkpoints.jsonl`. So an
auditor can hold an older claim against today's export, and a report at a fixed checkpoint does not
change by what was recorded after it.

The view is checked like any export: a slice that does not lead to the older root is a finding.
What lies beyond the older size is not looked at.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ledger.errors import LedgerError
from ledger.layout import (
    CHECKPOINT,
    HISTORY,
    INDEX,
    LOG_KEYS,
    Index,
    batch_of,
    bundle_beside,
    is_blob,
)
from ledger.tiles import TILE_WIDTH, TilePath, encode_bundle, parse_path, split_bundle, tiles_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.layout import Source

_HASH_BYTES: Final = 32


class NoSuchCheckpoint(ValueError):
    """The export holds no checkpoint of the wanted size, or cannot be read at it."""

    def __init__(self, size: int, reason: str) -> None:
        self.size, self.reason = size, reason
        super().__init__(f"no checkpoint of size {size} in the export: {reason}")


class PrefixSource:
    """A `ledger.layout.Source` over another one, as of an older checkpoint."""

    def __init__(self, source: Source, size: int) -> None:
        """Raises NoSuchCheckpoint."""
        self._source = source
        self._size = size
        self._note = _checkpoint(source, size)
        try:
            self._index = Index.parse(source.read(INDEX))
        except (OSError, LedgerError) as error:
            raise NoSuchCheckpoint(size, str(error)) from error
        self._tiles = {str(path): path for path in tiles_for(size)}
        self._names = self._listed()

    def list(self) -> list[str]:
        """The files of the older export. Files that belong in no export stay listed."""
        return sorted(self._names)

    def read(self, path: str) -> bytes:
        """A file of the older export. Raises OSError."""
        if path not in self._names:
            raise FileNotFoundError(path)
        if path == CHECKPOINT:
            return self._note.encode()
        if path == HISTORY:
            return b"".join(self.lines(path))
        if path == INDEX:
            return self._index_bytes()
        if path in self._tiles:
            return self._slice(self._tiles[path])
        if path == LOG_KEYS or self._on_edge(path):
            return b"".join(self._lines_within(path))
        return self._source.read(path)

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a file of the older export. Raises OSError."""
        if path == HISTORY:
            for line in self._source.lines(path):
                size = _number(line, "size")
                if size is None or size <= self._size:
                    yield line
        else:
            yield from self.read(path).splitlines(keepends=True)

    def _listed(self) -> set[str]:
        names = set()
        for path in self._source.list():
            try:
                parse_path(path)
            except LedgerError:
                if self._keeps(path):
                    names.add(path)
        return names | {p for p, tile in self._tiles.items() if self._whole(tile) is not None}

    def _keeps(self, path: str) -> bool:
        batch = batch_of(path)
        if batch is not None:
            return batch < self._size
        bundle = bundle_beside(path)
        if bundle is None and path == LOG_KEYS:
            return bool(self._lines_within(path))
        if bundle is None:
            return True  # checkpoint, blobs, and what belongs nowhere
        if self._on_edge(path):
            return bool(self._lines_within(path))
        return bundle * TILE_WIDTH < self._size

    def _on_edge(self, path: str) -> bool:
        bundle = bundle_beside(path)
        return bundle is not None and bundle == self._size // TILE_WIDTH

    def _whole(self, tile: TilePath) -> str | None:
        """The path of the tile in the newer tree that this one is a prefix of."""
        available = self._index.tree_size
        level = 0 if tile.level is None else tile.level
        width = min(TILE_WIDTH, (available >> (8 * level)) - tile.n * TILE_WIDTH)
        return str(TilePath(tile.level, tile.n, width)) if width >= tile.width else None

    def _slice(self, tile: TilePath) -> bytes:
        whole = self._whole(tile)
        if whole is None:
            raise FileNotFoundError(str(tile))
        data = self._source.read(whole)
        width = parse_path(whole).width
        if width == tile.width:
            return data
        if tile.level is not None:
            return data[: tile.width * _HASH_BYTES]
        try:
            return encode_bundle(split_bundle(data, width, whole)[: tile.width])
        except LedgerError:
            return data  # whoever checks the view names what is wrong with it

    def _lines_within(self, path: str) -> tuple[bytes, ...]:
        """Lines about leaves below the size; one that cannot be read stays, to be found."""
        lines = self._source.read(path).splitlines(keepends=True)
        return tuple(ln for ln in lines if (leaf := _leaf_of(ln)) is None or leaf < self._size)

    def _index_bytes(self) -> bytes:
        """The index of the view: a file that needed no slicing keeps its listed digest."""
        files = {
            path: digest
            for path, digest in self._index.files.items()
            if is_blob(path) or (path in self._names and not self._is_sliced(path))
        }
        files |= {path: self._digest(path) for path in self._names if self._is_sliced(path)}
        return Index(self._index.origin, self._size, files, self._index.openings).to_bytes()

    def _is_sliced(self, path: str) -> bool:
        tile = self._tiles.get(path)
        if tile is not None:
            return self._whole(tile) != path
        return path in {HISTORY, LOG_KEYS} or self._on_edge(path)

    def _digest(self, path: str) -> str:
        try:
            hashed = sha256()
            for part in self.lines(path) if path == HISTORY else [self.read(path)]:
                hashed.update(part)
            return "sha256:" + hashed.hexdigest()
        except OSError:
            return "sha256:" + "0" * 64  # cannot be read: whoever checks the view says so


def _checkpoint(source: Source, size: int) -> str:
    """The note of a size. Raises NoSuchCheckpoint, which names the nearest sizes there are."""
    below, above = 0, 0
    try:
        for line in source.lines(HISTORY):
            value = json.loads(line)
            found = int(value["size"])
            if found == size:
                return str(value["note"])
            if found < size:
                below = max(below, found)
            else:
                above = min(above or found, found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoSuchCheckpoint(size, f"{HISTORY} cannot be read: {error}") from error
    near = " and ".join(str(n) for n in (below, above) if n) or "none"
    raise NoSuchCheckpoint(size, f"the nearest there are: {near}")


def _leaf_of(line: bytes) -> int | None:
    return _number(line, "leaf_index")


def _number(line: bytes, name: str) -> int | None:
    try:
        found = json.loads(line)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int) else None
