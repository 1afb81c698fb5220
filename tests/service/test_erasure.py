"""Erasing a person: the openings are gone, the log, its proofs and everybody else stay."""

import pytest
from click.testing import CliRunner

from houses import DESK, credit_rows, make_house, reporter
from ledger.receipt import verify_receipt
from ledger.record import parse_entry
from service.cli import main
from service.cli.audit import audit_directory, exit_status
from service.erasure import Order, erase, holds, lift_hold, place_hold
from service.errors import ServiceError
from service.exporting import export_house
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict

ORDER = Order("a request of 3 May", "GDPR Art. 17", "privacy-office")


@pytest.fixture
def known(tmp_path):
    """Two people: one with three rows in two requests and an outcome, one with a row."""
    house = make_house(tmp_path / "house", models=("credit-default",))
    rows = credit_rows(4)
    ask = {"model": "credit-default", "caller": DESK}
    first = predict(house, Ask(rows=rows[:2], subject="sub_gone", **ask))
    predict(house, Ask(rows=[rows[2]], subject="sub_gone", **ask))
    predict(house, Ask(rows=[rows[3]], subject="sub_kept", **ask))
    record_outcomes(
        house,
        [Observed(f"{first.index}.0", "1", "2005-10-31", None, None)],
        caller=reporter(),
        idempotency_key=None,
        request_digest=None,
    )
    return house


def audit(house, **kwargs):
    directory = export_house(house, house.settings.data_dir / "export")
    return audit_directory(directory, house.ledger.vkey, **kwargs)


def test_an_audit_says_erased_and_finds_nothing_wrong(known):
    done = erase(known, "sub_gone", ORDER)
    assert done.rows == 4  # three predicted, one outcome
    report = audit(known)
    assert exit_status(report) == 0, report.findings[:3]
    (execution,) = report.to_json()["executions"]
    assert (execution["counts"]["erased"], execution["counts"]["bit_exact"]) == (3, 1)


def test_what_was_recorded_is_gone_from_every_file_of_the_database(known):
    with known.engine.connect() as connection:
        sealed = [
            bytes(row[0])
            for row in connection.exec_driver_sql(
                "SELECT sealed FROM ledger_opening WHERE subject = 'sub_gone'"
            )
        ]
    assert len(sealed) == 4
    stored = b"".join(p.read_bytes() for p in known.settings.data_dir.glob("assay.db*"))
    assert all(piece[12:60] in stored for piece in sealed)
    erase(known, "sub_gone", ORDER)
    known.engine.dispose()
    stored = b"".join(p.read_bytes() for p in known.settings.data_dir.glob("assay.db*"))
    assert not any(piece[12:60] in stored for piece in sealed)


def test_receipts_proofs_and_roots_are_what_they_were(known):
    size, note = known.ledger.size, known.ledger.checkpoint()
    receipts = [known.ledger.receipt(leaf) for leaf in range(size)]
    erase(known, "sub_gone", ORDER)
    for receipt in receipts:
        verify_receipt(receipt, known.ledger.vkey)
        assert known.ledger.entry(receipt.leaf_index).entry == receipt.entry
    assert known.ledger.checkpoint(size) == note


def test_the_erasure_is_an_entry_with_reason_and_authority_and_names_nobody(known):
    (leaf,) = erase(known, "sub_gone", ORDER).leaves
    entry = known.ledger.entry(leaf).entry
    data = parse_entry(entry).data
    assert (data["reason"], data["authority"]) == (ORDER.reason, ORDER.authority)
    assert len(data["rows"]) == 4
    assert b"sub_gone" not in entry


def test_an_opening_missing_without_an_erasure_is_a_finding(known):
    with known.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ledger_opening WHERE subject = 'sub_gone'")
    report = audit(known)
    assert exit_status(report) == 1
    assert {finding.check for finding in report.findings} == {"opening"}


def test_an_opening_still_there_after_its_erasure_is_a_finding(known, monkeypatch):
    monkeypatch.setattr(known.vault.__class__, "destroy", lambda *_: None)
    (leaf,) = erase(known, "sub_gone", ORDER).leaves
    report = audit(known)
    assert exit_status(report) == 1
    assert {(finding.check, finding.leaf) for finding in report.findings} == {("erasure", leaf)}


def test_erasing_again_after_a_crash_finishes_and_records_nothing_twice(known, monkeypatch):
    monkeypatch.setattr(known.vault.__class__, "destroy", lambda *_: None)
    first = erase(known, "sub_gone", ORDER)
    monkeypatch.undo()
    size = known.ledger.size
    assert erase(known, "sub_gone", ORDER) == first
    assert known.ledger.size == size
    assert exit_status(audit(known)) == 0


def test_an_audit_that_goes_on_from_before_the_erasure_accepts_it(known):
    before = audit(known)
    assert exit_status(before) == 0
    erase(known, "sub_gone", ORDER)
    assert exit_status(audit(known, size=before.tree_size)) in {1, 2}  # openings are gone now
    assert exit_status(audit(known)) == 0


def test_a_subject_under_hold_is_not_erased_until_it_is_lifted(known):
    hold_id = place_hold(known, "sub_gone", Order("case 12", "court order 7", "legal"))
    assert holds(known) == [(hold_id, "sub_gone")]
    with pytest.raises(ServiceError, match=f"assay hold lift {hold_id}"):
        erase(known, "sub_gone", ORDER)
    assert len(known.vault.rows_of("sub_gone")) == 4
    lift_hold(known, hold_id, Order("case closed", "court order 9", "legal"))
    assert holds(known) == []
    erase(known, "sub_gone", ORDER)
    with pytest.raises(ServiceError, match="no hold"):
        lift_hold(known, hold_id, ORDER)


def test_an_unknown_or_erased_subject_is_said_to_be(known):
    for subject in ("sub_nobody", "sub_gone"):
        if subject == "sub_gone":
            erase(known, subject, ORDER)
        with pytest.raises(ServiceError, match="nothing is held"):
            erase(known, subject, ORDER)


def test_the_erased_prediction_is_still_shown_without_values(known):
    from houses import Api

    api = Api(known)
    leaf = next(known.ledger.entries(type="prediction")).index
    erase(known, "sub_gone", ORDER)
    shown = api.auditor.get(f"/v1/predictions/{leaf}").get_json()
    assert shown["rows"][0]["inputs"] is None
    assert shown["rows"][0]["outputs"] == {}
    assert shown["rows"][0]["decision"] in {"approve", "decline"}
    assert api.admin.post("/v1/reports/correctness", {}).status_code == 200


def test_a_made_up_erasure_is_a_bad_reference(known):
    from ledger.keys import Role
    from ledger.record import Draft

    draft = Draft(
        type="erasure",
        actor_id="x",
        data={"rows": ["0.0", "999.0"], "reason": "r", "authority": "a"},
        event_time=known.now(),
    )
    known.ledger.append(draft, known.signers[Role.OPERATOR])
    assert "reference" in {finding.check for finding in audit(known).findings}


def test_only_the_operator_signs_an_erasure(known):
    from ledger.keys import Role
    from ledger.record import Draft

    leaf = next(known.ledger.entries(type="prediction")).index
    draft = Draft(
        type="erasure",
        actor_id="x",
        data={"rows": [f"{leaf}.0"], "reason": "r", "authority": "a"},
        event_time=known.now(),
    )
    known.ledger.append(draft, known.signers[Role.PRODUCER])
    assert "signer" in {finding.check for finding in audit(known).findings}


def test_a_row_id_has_one_spelling():
    from ledger.grammar import ROW_ID

    assert ROW_ID("17.3") is None
    for bad in ("17", "017.3", "17.03", "17.3 ", "-1.0", 17.3, "17.100000"):
        assert ROW_ID(bad) is not None


def test_the_command_asks_and_says_what_it_does_not_reach(known):
    data_dir = str(known.settings.data_dir)
    known.engine.dispose()
    arguments = ["erase", "sub_gone", "--reason", "r", "--authority", "a", "--data-dir", data_dir]
    refused = CliRunner().invoke(main, arguments, input="n\n")
    assert refused.exit_code == 1
    done = CliRunner().invoke(main, arguments, input="y\n")
    assert done.exit_code == 0, done.output
    assert "erased 4 rows" in done.output
    assert "backups" in done.output
