"""Whether a log only grew since an earlier audit: settled before any new entry is looked at.

The two checkpoints are both signed by the log. The tree of the earlier one must be a prefix of the
newer one's, shown by a consistency proof (RFC 9162, 2.1.4) made from the newer one's tiles. A log
that is shorter than it was, or whose first entries lead to another root, contradicts itself over
its own signature; both checkpoints together are the evidence, so a finding names both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.bound_tiles import BoundTiles
from ledger.errors import ConsistencyError, TileError
from ledger.findings import Finding
from ledger.layout import CHECKPOINT
from ledger.merkle import verify_consistency
from ledger.tiles import consistency_from_tiles
from service.auditor.verify import Check, Findings

if TYPE_CHECKING:
    from ledger.layout import Source
    from ledger.note import Checkpoint

CHECK: Final = "consistency"
CLAIM: Final = "the tree of the earlier audit is a prefix of this one"
SEEN: Final = "seen_before"
SEEN_CLAIM: Final = "the tree of the checkpoint seen before is a prefix of this one"


def check_growth(
    source: Source, earlier: Checkpoint, newest: Checkpoint
) -> tuple[Findings, BoundTiles | None]:
    """The check, and the newest checkpoint's tiles where they lead to its root."""
    if newest.size < earlier.size:
        return _failed(earlier, newest, "which is shorter"), None
    try:
        tiles = BoundTiles(newest, source.read)
        if newest.size == earlier.size:
            differs = newest.root != earlier.root
        else:
            differs = not _is_prefix(earlier, newest, tiles)
    except (OSError, TileError) as error:
        return _failed(earlier, newest, f"whose tiles give no proof: {error}"), None
    if differs:
        root = tiles.root_at(earlier.size).hex()
        got = f"whose first {earlier.size} entries have root {root}: the log forked"
        return _failed(earlier, newest, got), tiles
    return Findings((Check(CHECK, CLAIM, 1, 0, 0),), ()), tiles


def check_seen(
    source: Source, seen: Checkpoint, newest: Checkpoint
) -> tuple[Findings, BoundTiles | None]:
    """The same for a checkpoint somebody kept, of which nothing was audited."""
    if seen.size == 0:  # everything grows from the empty tree
        return Findings((Check(SEEN, SEEN_CLAIM, 1, 0, 0),), ()), None
    findings, tiles = check_growth(source, seen, newest)
    checks = tuple(replace(check, check=SEEN, claim=SEEN_CLAIM) for check in findings.checks)
    named = tuple(
        replace(finding, check=SEEN, expected=f"a tree that begins with {told(seen)}, seen before")
        for finding in findings.findings
    )
    return Findings(checks, named), tiles


def _is_prefix(earlier: Checkpoint, newest: Checkpoint, tiles: BoundTiles) -> bool:
    try:
        verify_consistency(
            old_size=earlier.size,
            old_root=earlier.root,
            new_size=newest.size,
            new_root=newest.root,
            path=consistency_from_tiles(earlier.size, newest.size, tiles.tile),
        )
    except ConsistencyError:
        return False
    return True


def _failed(earlier: Checkpoint, newest: Checkpoint, how: str) -> Findings:
    finding = Finding(
        check=CHECK,
        leaf=None,
        expected=f"a tree that begins with the audited one, {told(earlier)}",
        got=f"the signed tree, {told(newest)}, {how}",
        subject=CHECKPOINT,
    )
    return Findings((Check(CHECK, CLAIM, 1, 1, 0),), (finding,))


def told(checkpoint: Checkpoint) -> str:
    """A checkpoint in words."""
    return f"size {checkpoint.size} with root {checkpoint.root.hex()}"
