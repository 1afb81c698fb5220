"""fsck names what differs: every table, edited past its triggers, one statement at a time.

A whole log is checked on both databases; the edits are written in SQLite's dialect.
"""

import pytest
from sqlalchemy import text

from ledger.cosignature import Cosigner, WitnessKey, verify_cosignatures
from ledger.cosigned import keep_cosignature
from ledger.fsck import fsck
from ledger.keys import Role, SigningKey
from ledger.note import split_note
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
        assert connection.execute(text(statement)).rowcount or statement.startswith("CREATE")


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
        "UPDATE ledger_checkpoint SET note = note || 'x' WHERE size = 5",
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


# --- cosignatures ----------------------------------------------------------------------------

COSIGNERS = tuple(
    Cosigner(name, SigningKey(bytes([n]) * 32))
    for n, name in enumerate(("w.example/a", "w.example/b"))
)
KNOWN = [WitnessKey.parse(cosigner.vkey) for cosigner in COSIGNERS]
COSIGNED = {
    "of a size without a checkpoint": ("size = 9999", "a checkpoint of size 9999"),
    "with another time beside it": ("time = time + 1", "time"),
    "with another signature": (
        "line = replace(line, substr(line, -40, 12), 'AAAAAAAAAAAA')",
        "verify",
    ),
    "cut short": ("line = substr(line, 1, length(line) - 5)", "signed note"),
    "of a line more": ("line = line || line", "signed note"),
    "by another witness than it says": ("witness = (SELECT max(witness) FROM kept)", "another's"),
}


def cosign(log, *, known=KNOWN):
    note = log.ledger.checkpoint()
    for cosigner, witness in zip(COSIGNERS, known, strict=True):
        line = cosigner.cosign(split_note(note)[0], 1_700_000_000)
        (found,) = verify_cosignatures(note + line, [witness])
        keep_cosignature(log.engine, log.ledger.size, found)


def test_kept_cosignatures_of_the_stored_checkpoints_are_no_finding(log):
    cosign(grow(log))
    log.refuse(3)
    cosign(log)
    for known in (KNOWN, KNOWN[:1], ()):
        assert fsck(log.ledger, log.engine, vault=log.vault, witnesses=known) == []


@pytest.mark.parametrize("case", COSIGNED)
def test_a_cosignature_that_was_edited_is_named(grown, case):
    change, told = COSIGNED[case]
    cosign(grown)
    edit(grown, "CREATE TABLE kept AS SELECT * FROM ledger_cosignature")
    first = min(witness.key.key_id for witness in KNOWN)
    if "another witness" in case:
        edit(grown, f"DELETE FROM ledger_cosignature WHERE witness != '{first}'")
    edit(grown, f"UPDATE ledger_cosignature SET {change} WHERE witness = '{first}'")
    found = fsck(grown.ledger, grown.engine, vault=grown.vault, witnesses=KNOWN)
    assert {finding.check for finding in found} == {"cosignature"}
    assert len(found) == 1
    assert told in str(found[0])
    # Without the witness's key the form alone is looked at.
    blind = fsck(grown.ledger, grown.engine, vault=grown.vault)
    assert bool(blind) == (told not in {"verify", "another's"})
