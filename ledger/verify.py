"""Check a whole log from its export: standard library, one Ed25519 library, no database.

Everything is recomputed from bytes and compared with what the log signed:

- `verify_files`: each file against the index, each blob against its name, nothing left over;
- `verify_history`: the keys that signed checkpoints, the newest checkpoint, every earlier one;
- `verify_tree`: entry bundles -> leaf hashes -> tiles -> root -> checkpoint;
- `verify_entries`: each entry's form, signer, signature, number, references, rows, openings, seals.

It never stops at roots: a value edited on disk beside a good root is a finding. Failures are
collected, not raised. One bundle is held at a time, and about 15 bytes per leaf beside it. What was
checked is told by `findings.CLAIMS`. It does not show that everybody saw this history (that takes
witnesses), nor that what was recorded is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.checkpoint import KeyHistory
from ledger.findings import LogFindings, Tally
from ledger.layout import WITHHELD
from ledger.verify_entries import EntryChecks
from ledger.verify_files import Files, check_blobs
from ledger.verify_history import History, check_keys, read_checkpoint, read_keys
from ledger.verify_tree import check_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.checkpoint import Trusted
    from ledger.layout import Source


def verify_export(
    source: Source,
    vkey: Trusted,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LogFindings:
    """Check an export against a verifier key of the log, whichever it has had.

    A failure is a finding, never an exception.
    `progress(done, total)` is told of leaves, a bundle at a time. Raises KeyRefused when `vkey`
    itself cannot be used.
    """
    tally = Tally()
    files = Files(source, tally)
    keys = read_keys(files, KeyHistory.of(vkey), tally)
    opened = read_checkpoint(files, keys, tally)
    if opened is None:  # without a size nothing can be said to be missing or in excess
        return LogFindings(keys.name, 0, b"", "", {}, {}, tally.checks(), tally.findings())
    note, checkpoint = opened
    files.check_index(checkpoint)
    withheld = files.index is not None and files.index.openings == WITHHELD
    entries = EntryChecks(checkpoint.origin, files, tally, openings_withheld=withheld)
    history = History(files, keys, checkpoint, tally)
    check_tree(files, checkpoint, history, entries, tally=tally, progress=progress)
    erased = entries.settle()
    check_keys(keys, entries.book, tally)
    check_blobs(files, tally)
    files.check_rest()
    return LogFindings(
        origin=checkpoint.origin,
        tree_size=checkpoint.size,
        root=checkpoint.root,
        checkpoint=note,
        keys=entries.keys,
        entry_counts=dict(entries.counts),
        checks=tally.checks(),
        findings=tally.findings(),
        openings_withheld=withheld,
        erased=erased,
        log_keys=keys,
    )
