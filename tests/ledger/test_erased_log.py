"""The erased log and the whole log are one log: equal roots, checkpoints, tiles, entries, proofs.

Two logs get the same drafts. In one the openings of some subjects are destroyed, and the erasure is
an entry in both: what was recorded does not depend on what can still be opened.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.export import export
from ledger.fsck import fsck
from ledger.keys import Role
from ledger.layout import DirectorySource, openings_path
from ledger.merkle import leaf_hash, root_of
from ledger.note import open_checkpoint
from ledger.receipt import verify_receipt
from ledger.record import Draft
from ledger.verify import verify_export
from logs import TIME, create_log, key_of

PRODUCER, OPERATOR = key_of(Role.PRODUCER), key_of(Role.OPERATOR)
SUBJECTS = [f"sub_{n}" for n in range(4)]
# Whose each prediction is, and how many rows it has; some of the subjects are erased afterwards.
HISTORIES = st.lists(
    st.tuples(st.sampled_from(SUBJECTS), st.integers(1, 3)), min_size=1, max_size=8
)


def erasure(rows):
    names = [f"{leaf}.{index}" for leaf, index in rows]
    data = {"rows": names, "reason": "asked for", "authority": "the subject"}
    return Draft(type="erasure", actor_id="t", data=data, event_time=TIME)


def twins(place, history):
    """Two logs of the same history, and the receipts of one."""
    logs = [create_log(place / name) for name in ("whole", "erased")]
    receipts = []
    for subject, count in history:
        draft = logs[0].prediction([f"value {n}" for n in range(count)], subject)
        done = [log.ledger.append(draft, PRODUCER) for log in logs]
        receipts.append(done[1].receipt)
        assert done[0] == done[1]
    return (*logs, receipts)


@settings(max_examples=12, deadline=None)
@given(HISTORIES, st.sets(st.sampled_from(SUBJECTS), min_size=1))
def test_the_erased_log_and_the_whole_log_have_equal_roots(history, gone):
    with tempfile.TemporaryDirectory() as scratch:
        whole, erased, receipts = twins(Path(scratch), history)
        rows = sorted(row for subject in gone for row in erased.vault.rows_of(subject))
        if rows:
            for log in (whole, erased):
                log.ledger.append(erasure(rows), OPERATOR)
        for subject in gone:
            erased.vault.destroy(subject)
        checkpoints = [list(log.ledger.checkpoints()) for log in (whole, erased)]
        assert checkpoints[0] == checkpoints[1]
        files = [written(log) for log in (whole, erased)]
        assert files[0] == files[1]
        assert all(erased.vault.rows_of(subject) == [] for subject in gone)
        for receipt in receipts:
            verify_receipt(receipt, erased.ledger.vkey)
        newest = open_checkpoint(erased.ledger.checkpoint(), erased.ledger.vkey)
        leaves = [leaf_hash(stored.entry) for stored in erased.ledger.entries()]
        assert newest.root == root_of(leaves)
        checked = verify_export(DirectorySource(erased.directory / "x"), erased.ledger.vkey)
        assert checked.findings == ()
        assert fsck(erased.ledger, erased.engine, vault=erased.vault) == []
        for log in (whole, erased):
            log.engine.dispose()


def written(log):
    """What an export says of the log itself: all but openings, and the index that lists them."""
    place = log.directory / "x"
    export(log.ledger, place, vault=log.vault)
    beside = {"index.json", openings_path(0)}
    return {
        path: (place / path).read_bytes()
        for path in DirectorySource(place).list()
        if path not in beside
    }


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "in silence"])
def test_only_a_recorded_erasure_explains_what_is_missing(tmp_path, recorded):
    whole, erased, _ = twins(tmp_path, [("sub_0", 2), ("sub_1", 1)])
    rows = erased.vault.rows_of("sub_0")
    if recorded:
        erased.ledger.append(erasure(rows), OPERATOR)
    erased.vault.destroy("sub_0")
    found = fsck(erased.ledger, erased.engine, vault=erased.vault)
    told = {(finding.check, finding.leaf) for finding in found}
    assert told == (set() if recorded else {("opening", leaf) for leaf, _ in rows})
    for log in (whole, erased):
        log.engine.dispose()
