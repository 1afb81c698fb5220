"""What docs/threat-model.md says of rollback, split views and sessions, the gaps included."""

import shutil

import pytest

from houses import DESK, Api, make_house, signal_days
from ledger.errors import ConsistencyError, LedgerInconsistent
from ledger.keys import SigningKey
from ledger.merkle import verify_consistency
from ledger.note import NoteSigner, open_checkpoint
from ledger.store import truncate_wal
from models.reference import trade_signal
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.exporting import export_house
from service.predict import Ask, predict

DAYS = signal_days(12)


def decide(house, days):
    """Record decisions; the last one's receipt."""
    receipt = None
    for day in days:
        ask = Ask(trade_signal.NAME, [day.of(trade_signal.FEATURES)], DESK, as_of=day.as_of)
        receipt = predict(house, ask).receipt
    return receipt


def backup(house, target):
    """Database and anchor: what must not be restored together."""
    truncate_wal(house.engine)
    shutil.copy(house.settings.data_dir / "assay.db", target)
    shutil.copy(house.settings.anchor_path, target.with_suffix(".anchor"))


def restore(house, source):
    """The house again, on the database and the anchor of the backup."""
    house.engine.dispose()
    for path in house.settings.data_dir.glob("assay.db*"):
        path.unlink()
    shutil.copy(source, house.settings.data_dir / "assay.db")
    shutil.copy(source.with_suffix(".anchor"), house.settings.anchor_path)
    return assemble(house.settings)


@pytest.fixture
def house(tmp_path):
    return make_house(tmp_path / "house", models=(trade_signal.NAME,))


def test_a_restored_backup_is_seen_by_whoever_kept_a_checkpoint(house, tmp_path):
    decide(house, DAYS[:2])
    backup(house, tmp_path / "backup.db")
    kept = open_checkpoint(decide(house, DAYS[2:3]).checkpoint, house.ledger.vkey)
    house = restore(house, tmp_path / "backup.db")
    decide(house, DAYS[3:6])

    export = export_house(house, tmp_path / "export")
    assert audit_directory(export, house.ledger.vkey).failed == 0  # the gap that is documented
    then = audit_directory(export, house.ledger.vkey, size=kept.size)
    assert then.root_hash != kept.root.hex()
    now = open_checkpoint(house.ledger.checkpoint(), house.ledger.vkey)
    with pytest.raises(ConsistencyError):
        verify_consistency(
            old_size=kept.size,
            old_root=kept.root,
            new_size=now.size,
            new_root=now.root,
            path=house.ledger.prove_consistency(kept.size, now.size),
        )


def test_an_unbroken_log_agrees_with_a_kept_checkpoint(house, tmp_path):
    kept = open_checkpoint(decide(house, DAYS[:2]).checkpoint, house.ledger.vkey)
    decide(house, DAYS[2:6])
    export = export_house(house, tmp_path / "export")
    assert audit_directory(export, house.ledger.vkey, size=kept.size).root_hash == kept.root.hex()


def test_an_export_is_never_shortened(house, tmp_path):
    decide(house, DAYS[:1])
    backup(house, tmp_path / "backup.db")
    decide(house, DAYS[1:3])
    export = export_house(house, tmp_path / "export")
    before = (export / "checkpoint").read_bytes()
    house = restore(house, tmp_path / "backup.db")
    with pytest.raises(LedgerInconsistent):
        export_house(house, export)
    assert (export / "checkpoint").read_bytes() == before


def test_two_logs_under_one_key_each_audit_clean_and_their_roots_differ(house, tmp_path):
    backup(house, tmp_path / "fork.db")
    decide(house, DAYS[:3])
    one = export_house(house, tmp_path / "one")
    house = restore(house, tmp_path / "fork.db")
    decide(house, DAYS[3:6])
    other = export_house(house, tmp_path / "other")
    reports = [audit_directory(export, house.ledger.vkey) for export in (one, other)]
    assert [report.failed for report in reports] == [0, 0]
    assert reports[0].tree_size == reports[1].tree_size
    assert reports[0].root_hash != reports[1].root_hash


def test_a_house_with_another_log_key_does_not_open(house):
    path = house.settings.keys_dir / "log.key"
    house.engine.dispose()
    path.write_bytes(SigningKey.generate().to_pem())
    with pytest.raises(Exception, match="signed"):
        assemble(house.settings)


def test_a_key_that_others_can_read_stops_the_house(house):
    house.engine.dispose()
    (house.settings.keys_dir / "producer.key").chmod(0o640)
    with pytest.raises(Exception, match="chmod 600"):
        assemble(house.settings)


def test_the_verifier_key_file_is_the_logs_own(house):
    text = (house.settings.data_dir / "log.vkey").read_text("utf-8").strip()
    assert text == NoteSigner(house.ledger.origin, house.signers.log).vkey


def test_a_page_session_changes_nothing(house):
    api = Api(house)
    reader = api.app.test_client()
    signed_in = reader.post("/sign-in", data={"api_key": api.admin.key})
    assert signed_in.status_code == 302
    assert reader.get("/v1/models").status_code == 200
    size = house.ledger.size
    for path in ("/v1/admin/seals", "/v1/reports/honesty", "/v1/outcomes", "/v1/predictions"):
        assert reader.post(path, json={"period": "2026-01-01"}).status_code == 401
    assert house.ledger.size == size


def test_a_revoked_key_ends_its_page_sessions(house):
    api = Api(house)
    reader = api.app.test_client()
    reader.post("/sign-in", data={"api_key": api.risk.key})
    house.callers.revoke(api.risk.key.split("_")[1])
    assert reader.get("/v1/models").status_code == 401
