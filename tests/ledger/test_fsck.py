"""fsck names what differs: every table, edited past its triggers, one statement at a time.

A whole log is checked on both databases; the edits are written in SQLite's dialect.
"""

import pytest
from sqlalchemy import text

from ledger.fsck import fsck
from ledger.keys import Role
from logs import create_log, key_of, refusal

PRODUCER = key_of(Role.PRODUCER)


def grow(log):
    """Two bundles, one full tile, rows, openings, an idempotency key."""
    log.predict(["a", "b"])
    log.predict(["c"], subject="sub_2")
    log.refuse(1, key="order-1")
    log.ledger.append_many([(refusal(n), PRODUCER) for n in range(300)])
    return log


@pytest.fixture
def grown(tmp_path):
    made = grow(create_log(tmp_path / "grown"))
    yield made
    made.engine.dispose()


def check(log):
    return fsck(log.ledger, log.engine, vault=log.vault)


def edit(log, statement):
    with log.engine.begin() as connection:
        for (name,) in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        assert connection.execute(text(statement)).rowcount


def test_a_whole_log_has_no_findings(log):
    assert check(grow(log)) == []


def test_an_empty_log_has_no_findings(log):
    assert check(log) == []


EDITS = {
    "a value in an entry": (
        """UPDATE ledger_entry SET entry = CAST(replace(CAST(entry AS TEXT), 'number 7"',
        'number 8"') AS BLOB) WHERE leaf_index = 14""",
        ("leaf", "signature"),
    ),
    "a leaf hash": (
        "UPDATE ledger_entry SET leaf_hash = zeroblob(32) WHERE leaf_index = 300",
        ("column",),
    ),
    "a type": ("UPDATE ledger_entry SET type = 'outcome' WHERE leaf_index = 20", ("column",)),
    "an idempotency key": (
        "UPDATE ledger_entry SET idempotency_key = 'other' WHERE idempotency_key = 'order-1'",
        ("column",),
    ),
    "a lost entry": ("DELETE FROM ledger_entry WHERE leaf_index = 100", ("leaf", "order")),
    "a cut tail": ("DELETE FROM ledger_entry WHERE leaf_index >= 300", ("export", "head")),
    "the head": ("UPDATE ledger_head SET frontier = zeroblob(length(frontier))", ("head",)),
    "a number": ("UPDATE ledger_sequence SET next_seq = next_seq + 1", ("numbers",)),
    "a lost number": ("DELETE FROM ledger_sequence", ("numbers",)),
    "a tile": ("UPDATE ledger_tile SET hashes = zeroblob(8192)", ("tiles", "leaf")),
    "a tile's root": ("UPDATE ledger_tile SET root = zeroblob(32)", ("tiles",)),
    "a lost tile": ("DELETE FROM ledger_tile", ("tiles",)),
    "a tile too many": (
        "INSERT INTO ledger_tile SELECT 1, 0, hashes, root FROM ledger_tile",
        ("tiles",),
    ),
    "a checkpoint": (
        "UPDATE ledger_checkpoint SET note = replace(note, 'A', 'B') WHERE size = 5",
        ("history",),
    ),
    "a row": ("DELETE FROM ledger_row WHERE row_index = 1", ("row",)),
    "a row too many": (
        "INSERT INTO ledger_row SELECT leaf_index + 1, row_index, row FROM ledger_row",
        ("orphan",),
    ),
    "an opening": ("DELETE FROM ledger_opening WHERE subject = 'sub_2'", ("opening",)),
    "an opening's bytes": (
        "UPDATE ledger_opening SET sealed = zeroblob(80) WHERE subject = 'sub_2'",
        ("export",),
    ),
    "a subject's key": (
        "DELETE FROM ledger_subject_key WHERE subject = 'sub_2'",
        ("opening", "subject"),
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_is_named(grown, case):
    statement, checks = EDITS[case]
    edit(grown, statement)
    found = check(grown)
    assert set(checks) <= {finding.check for finding in found}, [str(f) for f in found]
    assert all(finding.subject for finding in found)
