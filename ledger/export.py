"""Write the log out as files an auditor needs, with no database (docs/formats/export.md).

Each file is put whole into its place (`destination`: a directory; `publishing`: any fsspec file
system); the checkpoint comes last, so a reader who has it has everything under it. Files already
there with the right bytes are left alone, so a second export costs what is new. A directory's old
export stays as it is until every new file is on disk beside it. Whatever else is there is removed
after the checkpoint: an unknown file is a finding of the audit.

The caller says which blobs go along and how to read them; this file knows nothing of models.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.columnar import COLUMNS, PART_ROWS, Columns, parts_of
from ledger.destination import DirectoryDestination
from ledger.errors import LedgerInconsistent, NotFound, TileError
from ledger.layout import (
    CHECKPOINT,
    HISTORY,
    INCLUDED,
    INDEX,
    LOG_KEYS,
    WITHHELD,
    Index,
    batch_hashes_path,
    batch_of,
    batch_records_path,
    blob_path,
    bundle_beside,
    is_blob,
    openings_path,
    rows_path,
)
from ledger.note import open_checkpoint, parse_checkpoint
from ledger.record import unsigned_body
from ledger.tiles import TILE_WIDTH, parse_path, split_bundle, tiles_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ledger.destination import Destination
    from ledger.log import Ledger
    from ledger.vault import Vault

    Progress = Callable[[int, int], None]


def export(
    ledger: Ledger,
    destination: Path | Destination,
    *,
    vault: Vault | None,
    blobs: tuple[Sequence[str], Callable[[str], bytes]] = ((), lambda _: b""),
    progress: Progress | None = None,
    note: str | None = None,
) -> int:
    """Write or refresh the export of the log as it stands; returns its tree size.

    `note` is a checkpoint of the log to export as of, in place of the newest: one with
    cosignatures. Without a vault the openings are withheld and the index says so. Two exports into
    one directory take turns; elsewhere the caller sees to that. Raises LedgerInconsistent when the
    place holds another log's export or a longer one, and changes nothing then.
    """
    where = DirectoryDestination(destination) if isinstance(destination, Path) else destination
    with where.held() if isinstance(where, DirectoryDestination) else nullcontext():
        as_of = note or ledger.checkpoint()
        return _export(ledger, where, vault, blobs, note=as_of, progress=progress)


def _export(
    ledger: Ledger,
    where: Destination,
    vault: Vault | None,
    blobs: tuple[Sequence[str], Callable[[str], bytes]],
    *,
    note: str,
    progress: Progress | None,
) -> int:
    size = open_checkpoint(note, ledger.keys()).size
    _refuse_foreign(where, ledger, size)
    files: dict[str, str] = {}
    try:
        for path, data in _files(ledger, size, vault, blobs, progress):
            files[path] = _put(where, path, data)
        files[HISTORY] = _put_lines(where, HISTORY, _history(ledger, size))
        openings = INCLUDED if vault is not None else WITHHELD
        index = Index(origin=ledger.origin, tree_size=size, files=files, openings=openings)
        _put(where, INDEX, index.to_bytes())
        _put(where, CHECKPOINT, note.encode())
        where.show()
    finally:
        where.drop()
    for stale in where.names() - {*files, INDEX, CHECKPOINT}:
        where.remove(stale)
    return size


def _put(where: Destination, path: str, data: bytes) -> str:
    digest = "sha256:" + sha256(data).hexdigest()
    where.put(path, data, digest)
    return digest


def _put_lines(where: Destination, path: str, values: Iterable[dict[str, Any]]) -> str:
    """Put a file of lines that may not fit into memory."""
    hashed = sha256()
    with tempfile.NamedTemporaryFile(prefix="assay-export-") as file:
        for value in values:
            line = canonical_bytes(value) + b"\n"
            hashed.update(line)
            file.write(line)
        file.flush()
        digest = "sha256:" + hashed.hexdigest()
        where.put_file(path, Path(file.name), digest)
    return digest


def _refuse_foreign(where: Destination, ledger: Ledger, size: int) -> None:
    """An export is only ever refreshed by its own log, and never shortened."""
    try:
        text = where.read(CHECKPOINT).decode()
    except FileNotFoundError:
        if not all(map(_ours, where.names())):
            raise LedgerInconsistent(f"{where} holds files that are no export") from None
        return
    except UnicodeDecodeError as error:
        raise LedgerInconsistent(f"{where} holds files that are no export") from error
    held = parse_checkpoint(text.partition("\n\n")[0] + "\n")
    if held.origin != ledger.origin:
        raise LedgerInconsistent(f"export in {where}", expected=ledger.origin, got=held.origin)
    if held.size > size:
        raise LedgerInconsistent(
            f"export in {where} is longer than the log", expected=size, got=held.size
        )
    try:
        signed = open_checkpoint(ledger.checkpoint(held.size), ledger.keys())
    except NotFound:
        signed = None
    if signed is None or signed.root != held.root:
        raise LedgerInconsistent(f"export in {where} is of another log named {held.origin}")


def _ours(path: str) -> bool:
    """Whether a file may be what an export left that was cut off before its checkpoint."""
    name = path.removesuffix(".part")
    if name in {CHECKPOINT, HISTORY, INDEX, LOG_KEYS} or is_blob(name):
        return True
    if bundle_beside(name) is not None or batch_of(name) is not None:
        return True
    try:
        parse_path(name)
    except TileError:
        return False
    return True


def _files(
    ledger: Ledger,
    size: int,
    vault: Vault | None,
    blobs: tuple[Sequence[str], Callable[[str], bytes]],
    progress: Progress | None,
) -> Iterator[tuple[str, bytes]]:
    """Every file but index and checkpoint, in an order that needs little memory."""
    for tile in tiles_for(size):
        if tile.level is not None:
            yield str(tile), ledger.tile(tile.level, tile.n, tile.width)
            continue
        bundle = ledger.entry_bundle(tile.n, tile.width)
        yield str(tile), bundle
        yield from _beside(ledger, vault, tile.n, split_bundle(bundle, tile.width))
        if progress is not None:
            progress(tile.n * TILE_WIDTH + tile.width, size)
    changes = [r.to_json() for r in ledger.key_changes() if r.leaf_index < size]
    if changes:
        yield LOG_KEYS, _lines(changes)
    digests, read = blobs
    for digest in digests:
        yield blob_path(digest), read(digest)


def _beside(
    ledger: Ledger, vault: Vault | None, n: int, entries: Sequence[bytes]
) -> Iterator[tuple[str, bytes]]:
    """Rows and openings of one bundle's entries; no file where there are none."""
    first = n * TILE_WIDTH
    many = {
        leaf: data
        for leaf, entry in enumerate(entries, start=first)
        if "rows_root" in (data := unsigned_body(entry)["data"])
    }
    rows = _lines(
        {"leaf_index": leaf, "row": parse_canonical(row)}
        for leaf, data in many.items()
        if COLUMNS not in data
        for row in ledger.rows(leaf)
    )
    for leaf, data in many.items():
        if COLUMNS in data:
            yield from _batch(ledger, vault, leaf, data)
    if rows:
        yield rows_path(n), rows
    if vault is None:
        return
    openings = _lines(
        {"leaf_index": leaf, "opening": opening.to_json()}
        for leaf, opening in vault.open_range(first, first + len(entries))
    )
    if openings:
        yield openings_path(n), openings


def _batch(
    ledger: Ledger, vault: Vault | None, leaf: int, data: dict[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """The rows of a batch: their hashes, and their records unless all are erased or withheld."""
    yield batch_hashes_path(leaf), b"".join(ledger.row_hashes(leaf))
    if vault is None:
        return
    found = dict(vault.open_parts(leaf))
    if found:
        width, rows = Columns.of(data).width, data["row_count"]
        yield (
            batch_records_path(leaf),
            b"".join(
                found.get(part, bytes(width * min(PART_ROWS, rows - part * PART_ROWS)))
                for part in range(parts_of(rows))
            ),
        )


def _history(ledger: Ledger, size: int) -> Iterator[dict[str, Any]]:
    """Checkpoints up to the exported size: later ones belong to the next export."""
    for at, note in ledger.checkpoints():
        if at > size:
            return
        yield {"note": note, "size": at}


def _lines(values: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(canonical_bytes(value) + b"\n" for value in values)
