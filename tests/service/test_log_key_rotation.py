"""`assay keys rotate log`: the overlap, what others who hold either key find, crashes, backups."""

import json
import shutil

import pytest
from click.testing import CliRunner

from backups import backup, environment, restore
from houses import make_house
from ledger.errors import KeyRefused, RolledBack
from ledger.keys import Role, SigningKey
from ledger.log import Ledger
from ledger.merkle import root_of
from ledger.note import Checkpoint, NoteSigner, open_checkpoint, sign_checkpoint, split_note
from ledger.record import Draft
from ledger.witness import LogSignatureRefused, Witness
from logs import only_postgres, only_sqlite
from service import key_files, keys
from service.assembly import assemble
from service.cli import main
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house
from service.recovering import recover
from service.signers import claim_of

ACT = keys.Act("security")


@pytest.fixture
def house(tmp_path, database):
    made = make_house(tmp_path / "house", models=(), database_url=database or "")
    yield made
    made.engine.dispose()


def again(house, **changes):
    return assemble(house.settings.model_copy(update=changes))


def assay(house, *words):
    done = CliRunner().invoke(
        main, [*map(str, words), "--data-dir", str(house.settings.data_dir)], env=environment(house)
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rotate(house):
    """A new log key; old id, new id, leaf."""
    return keys.rotate_log(house, holder="", uri=None, act=ACT)


def end(house, old):
    return keys.revoke(house, old, "all have the new one", ACT)


def refuse(house, times=1):
    data = {"cause": "Test", "model_digest": None, "detail": "a test"}
    draft = Draft(type="refusal", actor_id="tester", data=data, event_time=house.now())
    for _ in range(times):
        done = house.ledger.append(draft, house.signers[Role.PRODUCER])
    return done


def signed_by(note):
    return [hashed for _, hashed, _ in split_note(note)[1]]


def exported(house, tmp_path):
    directory = tmp_path / f"export-{house.ledger.size}"
    export_house(house, directory)
    return directory


def changed(house):
    """Entries, a rotation, an overlap and its end; the old and the new verifier key."""
    refuse(house, 2)
    old_vkey = house.ledger.vkey
    old, _, _ = rotate(house)
    house = again(house)
    refuse(house, 2)
    end(house, old)
    house = again(house)
    refuse(house, 2)
    return house, old_vkey, house.ledger.vkey


def test_the_command_rotates_and_the_old_key_ends_when_it_is_revoked(house, tmp_path):
    old_vkey = house.ledger.vkey
    done = assay(house, "keys", "rotate", "log")
    assert done.exit_code == 0, done.output
    old = done.output.split()[0]
    opened = again(house)
    assert f"assay keys revoke {old} --reason" in done.output
    assert opened.ledger.vkey in done.output
    assert (house.settings.data_dir / "log.vkey").read_text().strip() == opened.ledger.vkey
    assert opened.ledger.vkey != old_vkey
    assert opened.ledger.origin == house.ledger.origin
    both = refuse(opened).receipt.checkpoint
    for vkey in (old_vkey, opened.ledger.vkey):
        open_checkpoint(both, vkey)
    done = assay(house, "keys", "revoke", old, "--reason", "all have the new one")
    assert done.exit_code == 0, done.output
    opened = again(house)
    last = refuse(opened).receipt.checkpoint
    assert signed_by(last) == signed_by(both)[1:]
    assert (house.settings.keys_dir / f"log.{old}.retired").exists()
    assert not (house.settings.keys_dir / "log.key.former").exists()
    listed = assay(house, "keys", "list").output
    assert f"{old}  log             signs checkpoints of sizes from 0 to" in listed
    directory = exported(opened, tmp_path)
    for vkey in (old_vkey, opened.ledger.vkey):
        assert audit_directory(directory, vkey).findings == ()


def test_a_process_that_holds_the_old_key_alone_signs_nothing_more(house):
    running = again(house)
    rotate(house)
    with pytest.raises(KeyRefused, match="must be started again"):
        refuse(running)
    assert refuse(again(running)).index == house.ledger.size - 1


def test_a_process_that_runs_through_the_overlap_follows_its_end(house):
    old, _, _ = rotate(house)
    running = again(house)
    refuse(running)
    end(house, old)
    assert len(signed_by(refuse(running).receipt.checkpoint)) == 1


def test_one_change_at_a_time(house):
    old, _, _ = rotate(house)
    with pytest.raises(ServiceError, match=f"assay keys revoke {old}"):
        rotate(again(house))
    end(again(house), old)
    second, _, _ = rotate(again(house))
    end(again(house), second)
    refuse(again(house))


def test_no_strangers_key_becomes_the_logs_first(house, tmp_path):
    claim = claim_of(SigningKey.generate(), Role.LOG, "mallory")
    (tmp_path / "claim.json").write_text(json.dumps(claim))
    size = house.ledger.size
    done = assay(house, "keys", "add", "--claim", tmp_path / "claim.json")
    assert done.exit_code == 1
    assert "assay keys rotate log" in done.output
    assert house.ledger.size == size
    refuse(house)


def test_the_last_key_of_the_log_is_not_revoked(house):
    old, new, _ = rotate(house)
    end(again(house), old)
    with pytest.raises(ServiceError, match="last key of role log"):
        end(again(house), new)


# --- crashes ---------------------------------------------------------------------------------


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_crash_after_the_entry_is_finished_by_the_next_start(
    house, tmp_path, monkeypatch, renames
):
    left = [renames]
    rename = type(tmp_path).rename

    def rename_until(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        return rename(self, target)

    with monkeypatch.context() as broken:
        broken.setattr(type(tmp_path), "rename", rename_until)
        if renames < 2:
            with pytest.raises(Crash):
                rotate(house)
        else:
            rotate(house)
    opened = again(house)
    names = {path.name for path in house.settings.keys_dir.iterdir()}
    assert {"log.key", "log.key.former"} <= names
    assert "log.key.next" not in names
    assert len(signed_by(refuse(opened).receipt.checkpoint)) == 2
    assert audit_directory(exported(opened, tmp_path), opened.ledger.vkey).findings == ()


def test_a_crash_before_the_entry_changes_nothing(house, monkeypatch):
    def crash(*_args, **_kwargs):
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "append", crash)
        with pytest.raises(Crash):
            rotate(house)
    made = key_files.load_next(house.settings.keys_dir, Role.LOG)
    opened = again(house)
    assert len(signed_by(refuse(opened).receipt.checkpoint)) == 1
    assert rotate(opened)[1] == made.key_id


# --- others ----------------------------------------------------------------------------------


def test_an_audit_goes_on_over_the_change_from_either_key(house, tmp_path):
    refuse(house, 2)
    old_vkey, state = house.ledger.vkey, tmp_path / "state.json"
    audit = ("audit", exported(house, tmp_path), "--key", old_vkey, "--state", state)
    done = CliRunner().invoke(main, list(map(str, audit)))
    assert done.exit_code == 0, done.output
    kept = house.ledger.checkpoint()
    (tmp_path / "kept").write_text(kept)
    house, _, new_vkey = changed(house)
    directory = exported(house, tmp_path)
    for vkey in (old_vkey, new_vkey):
        copy = shutil.copy(state, tmp_path / "copy.json")
        audit = ("audit", directory, "--key", vkey, "--state", copy, "--since", tmp_path / "kept")
        done = CliRunner().invoke(main, list(map(str, audit)))
        assert done.exit_code == 0, done.output
        done = CliRunner().invoke(main, list(map(str, audit)))  # and from a state of the new key
        assert done.exit_code == 0, done.output
    report = audit_directory(directory, new_vkey, size=open_checkpoint(kept, old_vkey).size)
    assert report.findings[0].check == "checkpoint"  # the new key had signed nothing then
    assert audit_directory(directory, old_vkey, size=4).findings == ()


def test_a_client_checks_receipts_of_any_time_from_either_key(house, tmp_path):
    first = refuse(house).receipt
    house, old_vkey, new_vkey = changed(house)
    last = refuse(house).receipt
    changes = exported(house, tmp_path) / "log-keys.jsonl"
    for name, receipt in (("first", first), ("last", last)):
        (tmp_path / name).write_text(json.dumps(receipt.to_json()))
    for name, vkey in (("first", new_vkey), ("last", old_vkey)):
        check = ["verify-receipt", str(tmp_path / name), "--key", vkey]
        done = CliRunner().invoke(main, check)
        assert done.exit_code == 1
        assert "not signed by" in done.output
        done = CliRunner().invoke(main, [*check, "--log-keys", str(changes)])
        assert done.exit_code == 0, done.output


@only_sqlite
def test_a_witness_that_follows_refuses_the_retired_key(house, tmp_path):
    witness = Witness.create(tmp_path / "witness", "w", lambda: 1_800_000_000)
    witness.add_log(house.ledger.vkey)
    early = house.ledger.checkpoint()
    witness.add_checkpoint(b"old 0\n\n" + early.encode())
    at = open_checkpoint(early, house.ledger.vkey).size
    retired = house.signers.log
    house, old_vkey, _ = changed(house)
    size = house.ledger.size
    newest = house.ledger.checkpoint()
    proof = house.ledger.prove_consistency(at, size)
    body = _request(at, proof, newest)
    with pytest.raises(LogSignatureRefused):
        witness.add_checkpoint(body)
    changes = (exported(house, tmp_path) / "log-keys.jsonl").read_bytes()
    stranger = Witness.create(tmp_path / "stranger", "s", lambda: 1_800_000_000)
    with pytest.raises(KeyRefused, match="not trusted yet"):
        stranger.follow(old_vkey, changes)
    witness.follow(old_vkey, changes)
    assert witness.add_checkpoint(body)
    # A split view by whoever has the retired key: of a later size it is nobody's signature.
    signer = NoteSigner(house.ledger.origin, retired)
    for length in (size + 1, size):
        forged = Checkpoint(house.ledger.origin, length, root_of([bytes(32)] * length))
        with pytest.raises(LogSignatureRefused):
            witness.add_checkpoint(_request(size, [], sign_checkpoint(forged, signer)))


def _request(old, proof, note):
    import base64

    lines = "".join(base64.b64encode(node).decode() + "\n" for node in proof)
    return f"old {old}\n{lines}\n{note}".encode()


# --- backups and hosts -----------------------------------------------------------------------


def test_a_backup_from_before_the_change_is_refused_and_recovered(house, tmp_path):
    refuse(house, 2)
    backup(house, tmp_path / "backup")
    house, old_vkey, _ = changed(house)
    directory = exported(house, tmp_path)
    restore(house, tmp_path / "backup")
    with pytest.raises(ServiceError, match="assay ledger recover") as told:
        again(house)
    assert isinstance(told.value.__cause__, RolledBack)
    recover(house.settings, directory)
    opened = again(house)
    refuse(opened)
    assert audit_directory(exported(opened, tmp_path), old_vkey).findings == ()


def test_an_empty_database_is_recovered_over_a_change(house, tmp_path):
    house, old_vkey, _ = changed(house)
    directory = exported(house, tmp_path)
    house.engine.dispose()
    settings = house.settings.model_copy(
        update={"database_url": f"sqlite:///{tmp_path / 'new.db'}"}
    )
    recover(settings, directory)
    opened = assemble(settings)
    refuse(opened)
    assert audit_directory(exported(opened, tmp_path), old_vkey).findings == ()
    opened.engine.dispose()


@only_postgres
def test_another_host_signs_on_once_it_has_the_keys(house, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(house.settings.data_dir, other)
    there = again(house, data_dir=other)
    rotate(house)
    with pytest.raises(KeyRefused, match="must be started again"):
        refuse(there)
    shutil.rmtree(other / "keys")
    shutil.copytree(house.settings.keys_dir, other / "keys")
    there = again(house, data_dir=other)
    assert len(signed_by(refuse(there).receipt.checkpoint)) == 2
    assert audit_directory(exported(there, tmp_path), there.ledger.vkey).findings == ()
    there.engine.dispose()
