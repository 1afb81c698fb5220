"""Check what a log gained since an earlier audit: the new entries alone, under the whole tree.

Whoever audited a log up to a checkpoint keeps what the next entries are judged by (`Earlier`): the
keys introduced, each key's next number, where the last seal ended. `verify_since` goes on from
there. Growth is shown by the caller first, with the same `BoundTiles`; hence every hash used here
is the new checkpoint's, and the old tree is known to be a prefix of it.

Read are: bundles, rows and openings with new leaves, the tiles above them, the checkpoints signed
since, blobs that new entries name, and single older entries that new ones refer to. The rest is not
read, so that rot in the old part is found by a full audit only. The checks of entries are
`verify`'s own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.findings import LogFindings, Tally
from ledger.layout import CHECKPOINT, HISTORY, WITHHELD
from ledger.refusals import TileError
from ledger.tile_paths import TILE_WIDTH, tile_path, tiles_for, width_at
from ledger.tree import HASH_BYTES, leaf_hash
from ledger.verify_files import check_blobs
from ledger.verify_history import History, check_keys, read_keys
from ledger.verify_later import Earlier, LaterEntries, LaterFiles
from ledger.verify_tree import _entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.bound_tiles import BoundTiles
    from ledger.checkpoint import Checkpoint, KeyHistory
    from ledger.layout import Source

__all__ = ["Earlier", "Opened", "verify_since"]


@dataclass(frozen=True, slots=True)
class Opened:
    """The newest checkpoint: its note as signed by keys of `keys`, and its tiles."""

    keys: KeyHistory
    note: str
    checkpoint: Checkpoint
    tiles: BoundTiles


def verify_since(
    source: Source,
    newest: Opened,
    earlier: Earlier,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LogFindings:
    """Check the entries after `earlier`, a tree that was shown to be a prefix of the newest one.

    Counts are of what was looked at now; `keys` are all keys known at the end. `progress(done,
    total)` is told of new leaves.
    """
    tally = Tally()
    tally.passed("checkpoint")
    files = LaterFiles(source, tally, earlier.size)
    files.read(CHECKPOINT)
    keys = read_keys(files, newest.keys, tally)
    files.check_index(newest.checkpoint)
    withheld = files.index is not None and files.index.openings == WITHHELD
    entries = LaterEntries(earlier, files, tally, newest.tiles, withheld=withheld)
    old, size = earlier.size, newest.checkpoint.size
    if size > old:
        _check_history(files, newest, earlier.checkpoint, tally)
        _check_tiles(files, newest.tiles, old, tally)
        for n in range(old // TILE_WIDTH, -(-size // TILE_WIDTH)):
            first, found, hashes = _bundle(files, newest.tiles, n, old, tally)
            entries.check_bundle(first, found, hashes)
            if progress is not None:
                progress(first + len(found) - old, size - old)
        tally.passed("root")
    erased = entries.settle()
    check_keys(keys, entries.book, tally)
    files.keep_blobs(entries.named)
    check_blobs(files, tally)
    files.check_names(size)
    return LogFindings(
        origin=newest.checkpoint.origin,
        tree_size=size,
        root=newest.checkpoint.root,
        checkpoint=newest.note,
        keys=entries.keys,
        entry_counts=dict(entries.counts),
        checks=tally.checks(),
        findings=tally.findings(),
        openings_withheld=withheld,
        erased=erased,
        log_keys=keys,
    )


def _check_history(files: LaterFiles, newest: Opened, earlier: Checkpoint, tally: Tally) -> None:
    """Each checkpoint since the earlier one; that one must stand in the history as it was seen."""
    history = History(files, newest.keys, newest.checkpoint, tally)
    while history.next_size > 0:
        try:
            root = newest.tiles.root_at(history.next_size)
        except (OSError, TileError):
            root = b""  # the tile that is missing or wrong is named by `_check_tiles`
        history.compare([root])
    history.finish()
    known = files.last_known
    if known != earlier:
        told = f"the audited checkpoint of size {earlier.size} with root {earlier.root.hex()}"
        got = "none" if known is None else f"one of size {known.size} with root {known.root.hex()}"
        tally.fail("history", None, told, got, HISTORY)


def _check_tiles(files: LaterFiles, tiles: BoundTiles, old: int, tally: Tally) -> None:
    """Every tile that is new or longer: its hashes lead to the signed root."""
    for tile in tiles_for(tiles.size):
        if tile.level is None or width_at(tile.level, tile.n, old) == tile.width:
            continue
        if files.read(str(tile)) is None:
            continue
        try:
            tiles.hashes(tile.level, tile.n)
        except (OSError, TileError) as error:
            expected = "hashes that lead to the signed root"
            tally.fail("tile", None, expected, error, str(tile))
        else:
            tally.passed("tile")


def _bundle(
    files: LaterFiles, tiles: BoundTiles, n: int, old: int, tally: Tally
) -> tuple[int, list[bytes | None], list[bytes]]:
    """Of the new entries of a bundle: the first leaf, the entries, their leaf hashes."""
    width = width_at(0, n, tiles.size)
    first = max(old, n * TILE_WIDTH)
    skip = first - n * TILE_WIDTH
    try:
        bound = tiles.hashes(0, n)
    except (OSError, TileError):
        bound = []  # named by `_check_tiles`
    found = _entries(files, n, width, bound, tally)[skip:]
    hashes = []
    for leaf, entry in enumerate(found, start=first):
        recorded = bound[leaf - n * TILE_WIDTH] if bound else b""
        computed = recorded if entry is None else leaf_hash(entry)
        hashes.append(computed or bytes(HASH_BYTES))
        if not recorded or entry is None:
            continue
        if computed == recorded:
            tally.passed("leaf")
        else:
            told = f"{recorded.hex()} as in {tile_path(0, n, width)}"
            tally.fail("leaf", leaf, told, computed.hex())
    return first, found, hashes
