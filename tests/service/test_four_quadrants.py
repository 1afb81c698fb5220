"""The two reports do not touch: neither changes when only the other's evidence does.

- changing outcomes leaves the honesty report at a fixed checkpoint byte-identical;
- corrupting evidence leaves the correctness report byte-identical;
- all four combinations of honest or not, right or not, come out as such.
"""

import pysqlite3
import pytest

from houses import DESK, make_house, reporter, signal_days
from ledger.canonical import canonical_bytes
from ledger.errors import LedgerError
from ledger.keys import Role
from models.reference import trade_signal
from models.runtime import Output
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.correctness import correctness_report
from service.exporting import export_house
from service.lifecycle import LimitTerms, set_limit
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, Row, execute, predict, record

DAYS = 40
TERMS = LimitTerms("hit_rate", "0.45", "min", "0", "all", 30, "threshold")


def record_days(house, *, flip=False):
    """Predict DAYS days; with `flip`, record the opposite decision and margin."""
    ref = house.inventory.resolve(trade_signal.NAME)
    set_limit(house, digest=ref.digest, terms=TERMS, actor_id="risk")
    leaves = []
    for day in signal_days(DAYS):
        ask = Ask(
            model=ref.digest,
            rows=[day.of(trade_signal.FEATURES)],
            caller=DESK,
            as_of=day.as_of,
        )
        if not flip:
            leaves.append(predict(house, ask).index)
            continue
        (row,) = execute(house.inventory.predictor(ref.digest), ask.rows)
        values = {name: -value - 1 for name, value in row.output.values.items()}
        other = "flat" if row.output.decision == "long" else "long"
        lie = Row(row.inputs, Output(values, other), row.reasons)
        draft = record(house, ask, ref, [lie])
        leaves.append(house.ledger.append(draft, house.signers[Role.PRODUCER]).index)
    return leaves


def report_returns(house, leaves, *, right):
    """Outcomes that agree with each recorded decision, or contradict it."""
    source = {stored.index: stored for stored in house.ledger.entries(type="prediction")}
    observed = []
    for leaf, day in zip(leaves, signal_days(DAYS), strict=True):
        went_long = b'"decision":"long"' in source[leaf].entry
        value = "1.5" if went_long == right else "-1.5"
        observed.append(Observed(f"{leaf}.0", value, day.outcome_date, None, None))
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)


def honesty_bytes(house, size=None):
    directory = export_house(house, house.settings.data_dir / "export")
    return audit_directory(directory, house.ledger.vkey, size=size).to_bytes()


def standing(house):
    (model,) = correctness_report(house).to_json()["evaluated_models"]
    return model["standing"]


@pytest.fixture
def fresh(tmp_path):
    return make_house(tmp_path / "house", models=(trade_signal.NAME,))


@pytest.mark.parametrize("flip", [False, True], ids=["honest", "dishonest"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_the_four_quadrants(fresh, flip, right):
    leaves = record_days(fresh, flip=flip)
    report_returns(fresh, leaves, right=right)
    directory = export_house(fresh, fresh.settings.data_dir / "export")
    honesty = audit_directory(directory, fresh.ledger.vkey)
    assert honesty.failed == (DAYS if flip else 0)
    assert standing(fresh) == ("no_alarm" if right else "alarm")


def test_outcomes_leave_the_honesty_report_alone(fresh):
    leaves = record_days(fresh)
    size = fresh.ledger.size
    before = honesty_bytes(fresh)
    report_returns(fresh, leaves, right=True)
    assert honesty_bytes(fresh, size) == before
    revised = [
        Observed(f"{leaf}.0", "-9.9", "2020-01-01", stored.index, "the exchange corrected it")
        for leaf in leaves
        for stored in fresh.ledger.entries(type="outcome", ref=f"{leaf}.0")
    ]
    record_outcomes(fresh, revised, caller=reporter(), idempotency_key=None, request_digest=None)
    assert honesty_bytes(fresh, size) == before


def swap(marker, first, second):
    """An edit of one entry: the character after a marker becomes another one."""

    def edit(entry):
        at = entry.index(marker) + len(marker)
        new = second if entry[at : at + 1] == first else first
        return entry[:at] + new + entry[at + 1 :]

    return edit


# Each breaks evidence in the database, past its triggers, and no number that is evaluated.
ENTRY_EDITS = {
    "a signature": swap(b'"sig":"', b"A", b"B"),
    "the policy named": swap(b'"policy_digest":"sha256:', b"0", b"1"),
    "the model's environment": swap(b'"environment_digest":"sha256:', b"0", b"1"),
    "the sequence": swap(b'"seq":', b"1", b"2"),
}
TABLE_EDITS = {
    "leaf hashes": "UPDATE ledger_entry SET leaf_hash = zeroblob(32)",
    "checkpoints": "UPDATE ledger_checkpoint SET note = replace(note, 'test', 'tset')",
}


@pytest.mark.parametrize("case", [*ENTRY_EDITS, *TABLE_EDITS])
def test_broken_evidence_leaves_the_correctness_report_alone(fresh, case):
    leaves = record_days(fresh)
    report_returns(fresh, leaves, right=True)
    before = canonical_bytes(correctness_report(fresh).to_json())
    tamper(fresh, case)
    assert canonical_bytes(correctness_report(fresh).to_json()) == before


@pytest.mark.parametrize("case", ENTRY_EDITS)
def test_the_auditor_sees_each_corruption(fresh, case):
    record_days(fresh)
    tamper(fresh, case)
    directory = export_house(fresh, fresh.settings.data_dir / "export")
    assert audit_directory(directory, fresh.ledger.vkey).failed


def test_a_house_whose_head_was_edited_does_not_open(fresh):
    record_days(fresh)
    tamper(fresh, "checkpoints")
    with pytest.raises(LedgerError):
        assemble(fresh.settings)


def tamper(house, case):
    """Edit the database as its administrator could: triggers dropped first."""
    house.engine.dispose()
    connection = pysqlite3.connect(str(house.settings.data_dir / "assay.db"))
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {name}")
    if case in TABLE_EDITS:
        connection.execute(TABLE_EDITS[case])
    else:
        found = "SELECT leaf_index, entry FROM ledger_entry WHERE type = 'prediction'"
        edited = [(ENTRY_EDITS[case](entry), leaf) for leaf, entry in connection.execute(found)]
        connection.executemany("UPDATE ledger_entry SET entry = ? WHERE leaf_index = ?", edited)
    assert connection.total_changes
    connection.commit()
    connection.close()
