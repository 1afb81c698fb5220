"""A batch after it was answered: evaluated, audited, erased, recovered from an export."""

import numpy as np
import pytest

from backups import backup, restore
from houses import DESK, Api, credit_rows, make_house
from ledger.columnar import PART_ROWS
from ledger.dialect import run
from service.assembly import assemble
from service.batch import BatchAsk, score
from service.cli.audit import audit_directory
from service.erasure import Order, erase
from service.exporting import export_house
from service.recovering import recover
from service.source import LedgerSource

CREDIT = "credit-default"
ROWS = credit_rows(30)
NAMES = list(ROWS[0])
ORDER = Order("a request", "GDPR Art. 17", "privacy")


@pytest.fixture
def house(tmp_path, database):
    made = make_house(tmp_path / "house", (CREDIT,), database_url=database or "")
    yield made
    made.engine.dispose()


def decide(house, rows=ROWS, subject=None):
    columns = {n: (np.asarray([row[n] for row in rows], np.float64), None) for n in NAMES}
    return score(house, BatchAsk(CREDIT, columns, DESK, subject=subject))


def audited(house, place):
    export_house(house, place)
    return audit_directory(place, house.ledger.vkey)


def test_monitoring_reads_every_row_with_its_inputs(house):
    answer = decide(house)
    leaf = answer.appended.index
    digest = house.inventory.resolve(CREDIT).digest
    found = list(LedgerSource(house, house.ledger.size).predictions(digest))
    assert [p.prediction_id for p in found] == [f"{leaf}.{row}" for row in range(30)]
    assert [p.outputs["margin_q16"] for p in found] == answer.table.outputs[:, 0].tolist()
    assert found[7].features == {n: float(np.float32(ROWS[7][n])) for n in NAMES}
    assert {p.decision for p in found} <= {"approve", "decline"}


def test_an_audit_runs_every_row_again(house, tmp_path):
    decide(house)
    report = audited(house, tmp_path / "export")
    assert not report.failed
    assert report.to_json()["executions"][0]["counts"]["bit_exact"] == 30


def test_a_row_recorded_otherwise_than_the_model_says_is_found(house, tmp_path, monkeypatch):
    """The house signs a decision that its model did not make: every hash fits, replay does not."""
    from models.runtime import Predictor

    honest = Predictor.run_columns

    def lying(self, matrix):
        outputs, decisions = honest(self, matrix)
        decisions = decisions.copy()
        decisions[11] ^= 1
        return outputs, decisions

    monkeypatch.setattr(Predictor, "run_columns", lying)
    leaf = decide(house).appended.index
    monkeypatch.undo()
    report = audited(house, tmp_path / "export")
    counts = report.to_json()["executions"][0]["counts"]
    assert (counts["different"], counts["bit_exact"]) == (1, 29)
    (finding,) = report.findings
    assert finding.subject == f"prediction {leaf}.11, decision"


def test_an_erased_batch_leaves_its_proofs_and_no_row(house, tmp_path):
    api = Api(house)
    gone, kept = decide(house, subject="sub_gone"), decide(house, ROWS[:3], subject="sub_kept")
    assert erase(house, "sub_gone", ORDER).rows == 30
    leaf = gone.appended.index
    shown = api.auditor.get(f"/v1/predictions/{leaf}.4").get_json()
    assert (shown["rows"][0]["decision"], shown["rows"][0]["inputs"]) == (None, None)
    assert "leaf_hash" in shown["row_proofs"][0]
    other = api.auditor.get(f"/v1/predictions/{kept.appended.index}.2").get_json()
    assert other["rows"][0]["inputs"]
    report = audited(house, tmp_path / "export")
    assert not report.failed, report.findings
    counts = report.to_json()["executions"][0]["counts"]
    assert (counts["erased"], counts["bit_exact"]) == (30, 3)
    assert not (tmp_path / f"export/batches/{leaf}.records").exists()
    assert parts_held(house, leaf) == 0
    assert parts_held(house, kept.appended.index) == 1


def parts_held(house, leaf):
    with house.engine.connect() as connection:
        statement = "SELECT count(*) FROM ledger_sealed_part WHERE leaf_index = ?"
        return run(connection, statement, (leaf,)).scalar()


def test_batches_come_back_from_an_export(house, tmp_path):
    old = decide(house, ROWS[:2], subject="sub_gone")
    backup(house, tmp_path / "backup.db")
    long = [ROWS[n % 30] for n in range(PART_ROWS + 5)]
    gone, kept = decide(house, subject="sub_gone"), decide(house, long, subject="sub_kept")
    erase(house, "sub_gone", ORDER)
    export_house(house, tmp_path / "export")
    size = house.ledger.size
    restore(house, tmp_path / "backup.db")
    recover(house.settings, tmp_path / "export")
    again = assemble(house.settings)
    try:
        assert again.ledger.size == size
        leaf = kept.appended.index
        assert b"".join(again.ledger.row_hashes(leaf)) == b"".join(house_hashes(tmp_path, leaf))
        records = b"".join(part for _, part in again.vault.open_parts(leaf))
        assert records == (tmp_path / f"export/batches/{leaf}.records").read_bytes()
        assert not list(again.vault.open_parts(gone.appended.index))
        assert len(again.ledger.row_hashes(gone.appended.index)) == 1
        assert parts_held(again, old.appended.index) == 0, "the backup's own rows are erased too"
        assert not audited(again, tmp_path / "again").failed
    finally:
        again.engine.dispose()


def house_hashes(tmp_path, leaf):
    return [(tmp_path / f"export/batches/{leaf}.hashes").read_bytes()]
