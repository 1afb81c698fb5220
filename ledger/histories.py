"""Whether two checkpoints of a log belong to one history: what anyone can do who kept an old one.

Two of the same size must have the same root. Of two sizes the smaller tree must be the beginning of
the larger, which a consistency proof shows (RFC 9162, 2.1.4); the log hands one out to whoever
asks. Both notes are signed by the log, so two that cannot be reconciled are evidence against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.checkpoint import open_checkpoint
from ledger.errors import SplitView
from ledger.merkle import verify_consistency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.checkpoint import Trusted


def verify_one_history(one: str, other: str, vkey: Trusted, path: Sequence[bytes] = ()) -> None:
    """Check that two checkpoints, as signed notes, show one growing tree.

    `path` is the consistency proof between their sizes, empty for equal ones. Raises NoteError;
    SplitView for two roots at one size; ConsistencyError when the proof does not lead from one to
    the other, which is either a bad proof or two histories.
    """
    older, newer = sorted(
        (open_checkpoint(note, vkey) for note in (one, other)), key=lambda c: c.size
    )
    if older.size == newer.size:
        if older.root != newer.root:
            roots = f"roots {older.root.hex()} and {newer.root.hex()}"
            raise SplitView(older.origin, (older.size, newer.size), roots)
        return
    if older.size == 0:
        return  # everything grows from the empty tree
    verify_consistency(
        old_size=older.size,
        old_root=older.root,
        new_size=newer.size,
        new_root=newer.root,
        path=path,
    )
