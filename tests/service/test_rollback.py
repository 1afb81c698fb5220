"""A house restored from yesterday's backup: it appends nothing, says so, and continues from an export.

What reads or writes tables runs on both databases; the rest is about files, once.
"""

import filecmp

import pytest
from click.testing import CliRunner

from backups import backup, environment, restore
from houses import DESK, ORIGIN, Api, credit_rows, make_house, problem_of, reporter, signal_days
from ledger.anchor import Anchor
from ledger.dialect import run
from ledger.errors import LedgerError, RecoveryRefused
from ledger.log import Ledger
from ledger.receipt import verify_receipt
from logs import only_sqlite
from models.reference import trade_signal
from service import recovering
from service.assembly import assemble, initialise
from service.cli import main
from service.cli.audit import audit_directory
from service.erasure import Order, erase
from service.errors import ServiceError
from service.exporting import export_house
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.recovering import recover
from service.sealing import seal
from service.settings import Settings

CREDIT = "credit-default"


def assay(house, *arguments):
    found = [*map(str, arguments), "--data-dir", str(house.settings.data_dir)]
    return CliRunner().invoke(main, found, env=environment(house))


def decide(house, rows, **more):
    return predict(house, Ask(model=CREDIT, rows=rows, caller=DESK, **more))


def settle_outcome(house, prediction_id):
    item = Observed(prediction_id, "1", "2005-10-31", None, None)
    record_outcomes(house, [item], caller=reporter(), idempotency_key=None, request_digest=None)


def blind(house):
    """The house as one that knows no anchor would open it: what a release without one did."""
    other = house.settings.data_dir / "blind.json"
    other.unlink(missing_ok=True)
    settings = house.settings.model_copy(update={"anchor": other})
    recovering.create_anchor(settings, against=None, reason="a test")
    return assemble(settings)


def files_of(directory):
    return {p.relative_to(directory): p for p in directory.rglob("*") if p.is_file()}


def same_files(one, other):
    left, right = files_of(one), files_of(other)
    return left.keys() == right.keys() and all(
        filecmp.cmp(left[name], right[name], shallow=False) for name in left
    )


@pytest.fixture
def house(tmp_path, database):
    told = database or ""
    made = make_house(tmp_path / "house", models=(CREDIT, trade_signal.NAME), database_url=told)
    yield made
    made.engine.dispose()


@pytest.fixture
def day(house, tmp_path):
    """The house at its backup's size, and the export of a longer log; what was there in between."""
    rows = credit_rows(24)
    gone = decide(house, rows[:2], subject="sub_gone")
    decide(house, [rows[2]], subject="sub_kept")
    backup(house, tmp_path / "backup.db")
    before = house.ledger.size
    kept = decide(house, [rows[3]], idempotency_key="k", request_digest="0" * 64)
    decide(house, rows[4:24], caller_reference="order 7")
    settle_outcome(house, f"{kept.index}.0")
    settle_outcome(house, f"{gone.index}.0")
    seal(house, period="2026-11-24", actor_id="x")
    erase(house, "sub_gone", Order("a request", "GDPR Art. 17", "privacy"))
    for signal in signal_days(3):
        ask = Ask(trade_signal.NAME, [signal.of(trade_signal.FEATURES)], DESK, as_of=signal.as_of)
        predict(house, ask)
    house.ledger.append_many([_refusal(house) for _ in range(260)])  # past a full tile
    export_house(house, tmp_path / "export")
    receipts = [house.ledger.receipt(leaf) for leaf in range(house.ledger.size)]
    refs = refs_of(house)
    restore(house, tmp_path / "backup.db")
    return {"before": before, "receipts": receipts, "refs": refs, "kept": kept, "gone": gone}


def _refusal(house):
    from ledger.keys import Role
    from ledger.record import Draft

    data = {"cause": "Test", "model_digest": None, "detail": "x"}
    draft = Draft(type="refusal", actor_id="t", data=data, event_time=house.now())
    return draft, house.signers[Role.PRODUCER]


def refs_of(house):
    with house.engine.connect() as connection:
        rows = run(connection, "SELECT leaf_index, ref FROM ledger_entry ORDER BY leaf_index")
        return [tuple(row) for row in rows]


def keep_export(house, tmp_path, name):
    """A second export of the house, into a directory of its own."""
    return export_house(house, tmp_path / name)


# --- refusing --------------------------------------------------------------------------------


def test_yesterdays_backup_does_not_start_and_the_command_is_printed(house, day):
    told = assay(house, "status")
    assert told.exit_code == 1
    command = f"assay ledger recover EXPORT_DIR --data-dir {house.settings.data_dir}"
    assert command in told.output.replace("\n", " ")
    with pytest.raises(ServiceError) as refused:
        assemble(house.settings)
    assert refused.value.code == "ledger-rolled-back"


def test_a_database_that_is_rolled_back_under_a_server_answers_503(house, tmp_path):
    api = Api(house)
    row = credit_rows(1)[0]
    assert api.predict(row).status_code == 200
    backup(house, tmp_path / "backup.db")
    first = api.predict(row).get_json()
    restore(house, tmp_path / "backup.db")
    size = house.ledger.size
    for answer in (
        api.predict(row),
        api.nobody.get("/readyz"),
        api.trader.get("/v1/ledger/checkpoint"),
    ):
        assert problem_of(answer)["type"] == "urn:assay:problem:ledger-rolled-back"
        assert answer.status_code == 503
    assert house.ledger.size == size
    assert api.nobody.get("/livez").status_code == 200
    assert first["receipt"]["leaf_index"] == size


@only_sqlite
def test_the_checkpoint_route_shows_nothing_above_the_anchor(house, monkeypatch):
    api = Api(house)
    shown = api.trader.get("/v1/ledger/checkpoint").get_data(as_text=True)
    with monkeypatch.context() as broken:
        broken.setattr(Anchor, "_write", _no_room)
        answer = api.predict(idempotency="k")
        assert problem_of(answer)["type"] == "urn:assay:problem:ledger-unavailable"
        assert api.trader.get("/v1/ledger/checkpoint").get_data(as_text=True) == shown
        leaf = house.ledger.size - 1
        assert api.trader.get(f"/v1/ledger/entries/{leaf}").status_code == 503
        assert api.nobody.get("/readyz").status_code == 200  # one commit ahead is no rollback
    again = api.predict(idempotency="k")
    assert again.status_code == 200
    assert again.get_json()["receipt"]["leaf_index"] == leaf
    assert api.trader.get("/v1/ledger/checkpoint").get_data(as_text=True) != shown


def _no_room(*_):
    raise OSError(28, "No space left on device")


@only_sqlite
def test_a_house_without_its_anchor_does_not_start_and_makes_none(house):
    path = house.settings.anchor_path
    path.unlink()
    house.engine.dispose()
    told = assay(house, "status")
    assert told.exit_code == 1
    assert "assay ledger anchor --create" in told.output
    assert not path.exists()


@only_sqlite
def test_init_leaves_another_logs_anchor_alone(house, tmp_path):
    path = house.settings.anchor_path
    before = path.read_bytes()
    with pytest.raises(ServiceError, match="is the anchor of a log already"):
        initialise(Settings(data_dir=tmp_path / "new", origin=ORIGIN, anchor=path))
    assert path.read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_the_anchor_may_lie_elsewhere(tmp_path):
    (tmp_path / "disk").mkdir()
    wanted = Settings(data_dir=tmp_path / "house", anchor=tmp_path / "disk" / "a.json")
    house = initialise(wanted)
    assert not (tmp_path / "house" / "anchor.json").exists()
    standing = recovering.read_anchor(wanted)
    assert (standing.size, standing.note) == (house.ledger.size, house.ledger.checkpoint())
    house.engine.dispose()


# --- making an anchor ------------------------------------------------------------------------


@only_sqlite
def test_an_anchor_is_made_only_on_grounds(house, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(house.ledger.checkpoint())
    decide(house, credit_rows(1))
    house.settings.anchor_path.unlink()
    base = ("ledger", "anchor", "--create")
    assert "--against FILE" in assay(house, *base).output
    made = assay(house, *base, "--against", kept)
    assert made.exit_code == 0, made.output
    assert f"size        {house.ledger.size}" in made.output
    assert assay(house, *base, "--reason", "again").exit_code == 1  # there is one
    house.settings.anchor_path.unlink()
    assert "agreed by phone" in assay(house, *base, "--reason", "agreed by phone").output
    again = assemble(house.settings)
    decide(again, credit_rows(1))
    assert recovering.read_anchor(house.settings).reason == "agreed by phone"
    again.engine.dispose()


@only_sqlite
def test_no_anchor_is_made_on_a_log_that_lacks_what_somebody_kept(house, day, tmp_path):
    house.settings.anchor_path.unlink()
    kept = tmp_path / "export" / "checkpoint"
    told = assay(house, "ledger", "anchor", "--create", "--against", kept)
    assert told.exit_code == 1
    assert "does not begin with" in told.output
    assert not house.settings.anchor_path.exists()


# --- recovering ------------------------------------------------------------------------------


def test_a_recovered_log_is_the_one_that_was_byte_for_byte(house, day, tmp_path):
    told = assay(house, "ledger", "recover", tmp_path / "export")
    assert told.exit_code == 0, told.output
    opened = assemble(house.settings)
    size = len(day["receipts"])
    assert f"{size - day['before']} entries brought back, after {day['before']}" in told.output
    assert opened.ledger.size == size
    assert same_files(keep_export(opened, tmp_path, "again"), tmp_path / "export")
    assert [opened.ledger.receipt(leaf) for leaf in range(size)] == day["receipts"]
    assert refs_of(opened) == day["refs"]
    assert recovering.read_anchor(opened.settings).size == size
    receipt = decide(opened, credit_rows(1)).receipt
    verify_receipt(receipt, opened.ledger.vkey)
    assert receipt.leaf_index == size
    opened.engine.dispose()


@only_sqlite
def test_a_recovered_log_audits_clean_and_replays(house, day, tmp_path):
    recover(house.settings, tmp_path / "export")
    opened = assemble(house.settings)
    decide(opened, credit_rows(1))
    export = keep_export(opened, tmp_path, "again")
    assert audit_directory(export, opened.ledger.vkey).failed == 0
    opened.engine.dispose()


def test_what_was_erased_after_the_backup_is_erased_again(house, day, tmp_path):
    recover(house.settings, tmp_path / "export")
    opened = assemble(house.settings)
    assert opened.vault.rows_of("sub_gone") == []
    assert opened.vault.open(day["gone"].index) == []
    with opened.engine.connect() as connection:
        query = "SELECT count(*) FROM ledger_subject_key WHERE subject = 'sub_gone'"
        assert run(connection, query).scalar() == 0
    opened.engine.dispose()


@only_sqlite
def test_a_recovered_person_can_be_erased_outcome_included(house, day, tmp_path):
    recover(house.settings, tmp_path / "export")
    opened = assemble(house.settings)
    leaf = day["kept"].index
    assert opened.vault.subject_of(leaf, 0) == f"recovered_{leaf}"
    done = erase(opened, f"recovered_{leaf}", Order("a request", "law", "privacy"))
    assert done.rows == 2
    opened.engine.dispose()


def test_a_recovered_key_records_nothing_twice(house, day, tmp_path):
    recover(house.settings, tmp_path / "export")
    opened = assemble(house.settings)
    size = opened.ledger.size
    with pytest.raises(LedgerError, match="already used for leaf"):
        decide(opened, credit_rows(1), idempotency_key="k", request_digest="0" * 64)
    assert opened.ledger.size == size
    opened.engine.dispose()


def test_a_lost_database_is_made_again_from_an_export(house, day, tmp_path):
    restore(house, None)
    done = recover(house.settings, tmp_path / "export")
    assert (done.before, done.size, done.anchored) == (0, len(day["receipts"]), True)
    opened = assemble(house.settings)
    assert same_files(keep_export(opened, tmp_path, "again"), tmp_path / "export")
    opened.engine.dispose()


@only_sqlite
def test_database_and_anchor_lost_the_anchor_is_made_by_the_operator(house, day, tmp_path):
    restore(house, None)
    house.settings.anchor_path.unlink()
    told = assay(house, "ledger", "recover", tmp_path / "export")
    assert told.exit_code == 0, told.output
    assert "assay ledger anchor --create --against" in told.output
    assert not house.settings.anchor_path.exists()


def unchanged(house, day):
    with pytest.raises(ServiceError) as refused:
        assemble(house.settings)
    assert refused.value.code == "ledger-rolled-back"
    opened = blind(house)
    assert opened.ledger.size == day["before"]
    opened.engine.dispose()


@only_sqlite
def test_recovering_refuses_a_forked_export(house, day, tmp_path):
    """Another history under the same key, longer than the anchor and whole in itself."""
    fork = blind(house)
    for _ in range(len(day["receipts"]) - day["before"] + 2):
        decide(fork, credit_rows(1))
    export = export_house(fork, tmp_path / "forked")
    assert audit_directory(export, fork.ledger.vkey).failed == 0
    restore(fork, tmp_path / "backup.db")
    with pytest.raises(RecoveryRefused, match="two histories"):
        recover(house.settings, export)
    house.settings.anchor_path.unlink()
    restore(house, tmp_path / "backup.db")
    opened = blind(house)
    decide(opened, credit_rows(2)[1:])
    size = opened.ledger.size
    opened.engine.dispose()
    with pytest.raises(RecoveryRefused, match="two histories"):
        recover(house.settings, export)
    opened = assemble(opened.settings)
    assert opened.ledger.size == size
    opened.engine.dispose()


@only_sqlite
def test_recovering_refuses_an_export_that_does_not_hold(house, day, tmp_path):
    bundle = next((tmp_path / "export" / "tile" / "entries").rglob("*.p/*"))
    data = bytearray(bundle.read_bytes())
    data[-40] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(RecoveryRefused, match="does not hold"):
        recover(house.settings, tmp_path / "export")
    unchanged(house, day)


@only_sqlite
def test_recovering_refuses_an_export_that_ends_before_the_anchor(house, day, tmp_path):
    old = blind(house)
    export = export_house(old, tmp_path / "short")
    old.engine.dispose()
    with pytest.raises(RecoveryRefused, match="find a newer export"):
        recover(house.settings, export)
    unchanged(house, day)


@only_sqlite
def test_recovering_refuses_an_export_without_openings(house, day, tmp_path):
    recover(house.settings, tmp_path / "export")
    opened = assemble(house.settings)
    export = export_house(opened, tmp_path / "bare", openings=False)
    restore(opened, tmp_path / "backup.db")
    with pytest.raises(RecoveryRefused, match="withholds the openings"):
        recover(house.settings, export)
    unchanged(house, day)


@only_sqlite
def test_recovering_refuses_a_longer_database(house, tmp_path):
    export = export_house(house, tmp_path / "short")
    decide(house, credit_rows(1))
    house.settings.anchor_path.unlink()
    with pytest.raises(RecoveryRefused, match="nothing to bring back"):
        recover(house.settings, export)


@only_sqlite
def test_recovering_what_is_whole_changes_nothing(house, tmp_path):
    decide(house, credit_rows(1))
    export = export_house(house, tmp_path / "export")
    done = recover(house.settings, export)
    assert done.before == done.size == house.ledger.size


def test_a_failure_while_recovering_leaves_the_backup_as_it_was(house, day, tmp_path, monkeypatch):
    from ledger import recover as module

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(module, "write_head", fail)
        with pytest.raises(OSError, match="No space"):
            recover(house.settings, tmp_path / "export")
    unchanged(house, day)
    assert recover(house.settings, tmp_path / "export").before == day["before"]


@only_sqlite
def test_a_log_without_an_anchor_is_still_a_log(house):
    """The ledger alone may be used without; only a house insists."""
    ledger = Ledger.open(
        house.engine,
        origin=ORIGIN,
        log_key=house.signers.log,
        data_dir=house.settings.data_dir,
    )
    ledger.check_anchor()
    assert ledger.checkpoint() == house.ledger.checkpoint()
