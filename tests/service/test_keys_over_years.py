"""Keys of a house: `assay keys`, what an auditor says of it, crashes in the middle, keys elsewhere."""

import json
import os
import shutil
import signal
import time

import httpx
import pytest
from click.testing import CliRunner

from houses import credit_rows, make_house
from ledger.errors import KeyRefused
from ledger.keys import Role, SigningKey, load_key, save_key
from ledger.kms import uri_file
from ledger.record import Draft
from servers import Server, free_port
from service import key_files, keys
from service.assembly import assemble
from service.auth import Scope
from service.cli import main
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house
from service.signers import claim_of

ACT = keys.Act("security")
TESTED = (Role.PRODUCER, Role.OPERATOR, Role.REPORTER)


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=())
    yield made
    made.engine.dispose()


def again(house):
    """The house as the next start opens it."""
    return assemble(house.settings)


def assay(house, *words):
    done = CliRunner().invoke(main, ["keys", *words, "--data-dir", str(house.settings.data_dir)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rotate(house, role=Role.PRODUCER, **options):
    told = {"holder": "", "uri": None, "destroy": False, "actor_id": "security", **options}
    return keys.rotate(house, role, **told)


def refuse(house, key=None):
    """The smallest entry of a producer."""
    data = {"cause": "Test", "model_digest": None, "detail": "a test"}
    draft = Draft(type="refusal", actor_id="tester", data=data, event_time=house.now())
    return house.ledger.append(draft, key or house.signers[Role.PRODUCER])


def findings(house, directory):
    directory = directory / f"export-{house.ledger.size}"
    export_house(house, directory)
    return audit_directory(directory, house.ledger.vkey).findings


def names(house):
    return {path.name for path in house.settings.keys_dir.iterdir()}


# --- rotate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", TESTED)
def test_a_rotated_key_signs_and_the_old_one_is_kept_as_retired(house, tmp_path, role):
    refuse(house)
    old = house.signers[role]
    done = assay(house, "rotate", str(role))
    assert done.exit_code == 0, done.output
    opened = again(house)
    assert opened.signers[role].key_id != old.key_id
    retired = house.settings.keys_dir / f"{role}.{old.key_id}.retired"
    assert load_key(retired).key_id == old.key_id
    assert (house.settings.keys_dir / f"{role}.key").stat().st_mode & 0o777 == 0o600
    refuse(opened)
    keys.add(opened, Role.PRODUCER, "desk 2", ACT)
    assert findings(opened, tmp_path) == ()


def test_a_destroyed_key_leaves_no_file(house):
    old = house.signers[Role.PRODUCER].key_id
    assert assay(house, "rotate", "producer", "--destroy").exit_code == 0
    assert not [name for name in names(house) if old in name or name.endswith(".next")]


def test_rotated_ten_times_and_every_entry_still_checks(house, tmp_path):
    for _ in range(10):
        refuse(house)
        rotate(house)
        house = again(house)
    assert findings(house, tmp_path) == ()
    known = keys.book_of(house.ledger)
    assert len(known.live(Role.PRODUCER)) == 1
    assert len([key for key in known.keys.values() if key.role is Role.PRODUCER]) == 11


def test_a_process_that_holds_the_old_key_records_nothing_until_it_starts_again(house, tmp_path):
    running = again(house)
    rotate(house)
    size = running.ledger.size
    with pytest.raises(KeyRefused, match="this process must be started again"):
        refuse(running)
    assert running.ledger.size == size
    refuse(again(house))
    assert findings(running, tmp_path) == ()


def test_the_new_holder_is_recorded_and_the_old_one_else(house):
    _, first, _ = rotate(house, holder="the night desk")
    _, second, _ = rotate(again(house))
    known = keys.book_of(house.ledger).keys
    assert known[first].holder == known[second].holder == "the night desk"


# --- crashes ---------------------------------------------------------------------------------


class Crash(BaseException):
    """The process is gone."""


def crash(*_args, **_kwargs):
    raise Crash


def interrupted(house, monkeypatch, where, name, by):
    """A rotation during which the process dies, where `by` says."""
    with monkeypatch.context() as broken:
        broken.setattr(where, name, by)
        with pytest.raises(Crash):
            rotate(house)


def test_a_crash_before_the_entry_changes_nothing_and_the_next_try_uses_the_same_key(
    house, monkeypatch
):
    interrupted(house, monkeypatch, type(house.ledger), "append", crash)
    made = key_files.load_next(house.settings.keys_dir, Role.PRODUCER)
    opened = again(house)
    assert opened.signers[Role.PRODUCER].key_id == house.signers[Role.PRODUCER].key_id
    refuse(opened)
    _, new, _ = rotate(opened)
    assert new == made.key_id
    assert not [name for name in names(house) if name.endswith(".next")]


@pytest.mark.parametrize("renames", [0, 1])
def test_a_crash_after_the_entry_is_finished_by_the_next_start(
    house, tmp_path, monkeypatch, renames
):
    old, left = house.signers[Role.PRODUCER].key_id, [renames]
    rename = type(tmp_path).rename

    def rename_until(self, target):
        left[0] -= 1
        return rename(self, target) if left[0] >= 0 else crash()

    interrupted(house, monkeypatch, type(tmp_path), "rename", rename_until)
    assert "producer.key.next" in names(house)
    opened = again(house)
    assert {"producer.key", f"producer.{old}.retired"} <= names(house)
    assert "producer.key.next" not in names(house)
    refuse(opened)
    assert findings(opened, tmp_path) == ()


def test_an_answer_that_was_lost_after_the_commit_is_finished_too(house, monkeypatch):
    append = type(house.ledger).append

    def durable_and_lost(self, *args, **kwargs):
        append(self, *args, **kwargs)
        crash()

    interrupted(house, monkeypatch, type(house.ledger), "append", durable_and_lost)
    refuse(again(house))


def test_an_old_keys_directory_is_refused_with_what_repairs_it(house, tmp_path):
    shutil.copytree(house.settings.keys_dir, tmp_path / "backup")
    rotate(house)
    shutil.rmtree(house.settings.keys_dir)
    shutil.copytree(tmp_path / "backup", house.settings.keys_dir)
    with pytest.raises(ServiceError, match="was ended by entry") as refused:
        again(house)
    assert "assay keys add --own --role producer" in refused.value.detail
    assert assay(house, "list").exit_code == 0
    done = assay(house, "add", "--own", "--role", "producer", "--holder", "house:producer")
    assert done.exit_code == 0, done.output
    refuse(again(house))
    assert findings(again(house), tmp_path) == ()


def test_two_keys_of_a_role_are_not_guessed_between(house):
    (house.settings.keys_dir / "producer.uri").write_text("file2:/x\n")
    with pytest.raises(KeyRefused, match="both there"):
        again(house)


def test_a_lost_key_is_named(house):
    (house.settings.keys_dir / "producer.key").unlink()
    with pytest.raises(KeyRefused, match="bring it back from backup"):
        again(house)


# --- add and revoke --------------------------------------------------------------------------


def test_several_producers_sign_at_once(house, tmp_path):
    path, _ = keys.add(house, Role.PRODUCER, "desk 2", ACT)
    assert path.stat().st_mode & 0o777 == 0o600
    second = load_key(path)
    refuse(house)
    refuse(house, second)
    refuse(house)
    assert findings(house, tmp_path) == ()
    assert len(keys.book_of(house.ledger).live(Role.PRODUCER)) == 2


def test_a_key_made_by_its_holder_is_introduced_by_its_claim(house, tmp_path):
    out = tmp_path / "desk.key"
    words = ["keys", "claim", "--role", "producer", "--holder", "desk 3", "--out", str(out)]
    printed = CliRunner().invoke(main, words).output
    (tmp_path / "claim.json").write_text(printed)
    done = assay(house, "add", "--claim", str(tmp_path / "claim.json"))
    assert done.exit_code == 0, done.output
    refuse(house, load_key(out))
    assert findings(house, tmp_path) == ()


CLAIMS = {
    "of small order": {"public_key": "A" * 43 + "="},
    "another id": {"key_id": "0" * 32},
    "another holder than was signed": {"holder": "mallory"},
    "another role than was signed": {"role": "operator"},
    "no possession": {"possession": "A" * 86 + "=="},
    "an unknown role": {"role": "king"},
    "a field more": {"more": 1},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_that_lies_is_refused_and_nothing_is_recorded(house, tmp_path, changes):
    claim = claim_of(SigningKey.generate(), Role.PRODUCER, "desk 3")
    (tmp_path / "claim.json").write_text(json.dumps({**claim, **changes}))
    size = house.ledger.size
    done = assay(house, "add", "--claim", str(tmp_path / "claim.json"))
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
    assert house.ledger.size == size


def test_an_own_key_in_use_is_rotated_not_added(house):
    done = assay(house, "add", "--own", "--role", "producer", "--holder", "x")
    assert done.exit_code == 1
    assert "assay keys rotate producer" in done.output


def test_a_revoked_key_is_replaced_by_an_own_one(house, tmp_path):
    refuse(house)
    stolen = house.signers[Role.PRODUCER]
    done = assay(house, "revoke", stolen.key_id, "--reason", "the disk was stolen")
    assert "assay keys add --own --role producer" in done.output
    with pytest.raises(ServiceError, match="was ended by entry"):
        again(house)
    with pytest.raises(KeyRefused):
        refuse(house, stolen)
    holder = ("--role", "producer", "--holder", "house:producer")
    assert assay(house, "add", "--own", *holder).exit_code == 0
    refuse(again(house))
    assert findings(again(house), tmp_path) == ()


def test_the_last_operator_is_not_revoked_and_another_one_revokes_the_first(house, tmp_path):
    mine = house.signers[Role.OPERATOR].key_id
    done = assay(house, "revoke", mine, "--reason", "left")
    assert done.exit_code == 1
    assert "is the last key of role operator" in done.output
    path, _ = keys.add(house, Role.OPERATOR, "the board", ACT)
    done = assay(house, "revoke", mine, "--reason", "left", "--with", str(path))
    assert done.exit_code == 0, done.output
    own = ("--own", "--role", "operator", "--holder", "house:operator")
    assert assay(house, "add", *own).exit_code == 1, "the house's own operator has ended"
    assert assay(house, "add", *own, "--with", str(path)).exit_code == 0
    assert findings(again(house), tmp_path) == ()


def test_only_an_operators_key_introduces_and_revokes(house, tmp_path):
    save_key(tmp_path / "stranger.key", SigningKey.generate())
    size, other = house.ledger.size, house.signers[Role.APPROVER].key_id
    for file in (house.settings.keys_dir / "reporter.key", tmp_path / "stranger.key"):
        with_it = ("--with", str(file))
        for words in (
            ("revoke", other, "--reason", "r", *with_it),
            ("add", "--role", "producer", "--holder", "h", *with_it),
        ):
            done = assay(house, *words)
            assert done.exit_code == 1
            assert "must be signed by a key of role operator" in done.output
    assert house.ledger.size == size
    assert not [name for name in names(house) if name.startswith("producer.") and len(name) > 20]


@pytest.mark.parametrize("twice", [False, True])
def test_a_key_that_is_not_in_use_is_not_revoked(house, twice):
    path, _ = keys.add(house, Role.PRODUCER, "desk 2", ACT)
    key_id = load_key(path).key_id if twice else "0" * 32
    if twice:
        assert assay(house, "revoke", key_id, "--reason", "r").exit_code == 0
    size = house.ledger.size
    assert assay(house, "revoke", key_id, "--reason", "r").exit_code == 1
    assert house.ledger.size == size


def test_the_list_says_from_where_to_where(house):
    old, new, leaf = rotate(house)
    lines = {line.split()[0]: line for line in assay(house, "list").output.splitlines()}
    assert f"2 to {leaf}" in lines[old]
    assert f"from {leaf + 1}" in lines[new]
    assert "(this house)" in lines[new]
    assert "(this house)" not in lines[old]
    assert "from 0" in lines[house.signers[Role.OPERATOR].key_id]


# --- keys elsewhere --------------------------------------------------------------------------


def elsewhere(tmp_path):
    pytest.importorskip("securesystemslib", reason="the extra `kms` is not installed")
    key = SigningKey.generate()
    save_key(tmp_path / "vault.pem", key)
    file = tmp_path / "vault.uri"
    file.write_text(uri_file(f"file2:{tmp_path / 'vault.pem'}", key.public))
    return file, key


def test_a_key_moves_into_a_vault_and_back_by_rotation(house, tmp_path):
    file, key = elsewhere(tmp_path)
    done = assay(house, "rotate", "producer", "--uri", str(file))
    assert done.exit_code == 0, done.output
    assert "producer.uri" in names(house)
    assert "producer.key" not in names(house)
    opened = again(house)
    assert opened.signers[Role.PRODUCER].key_id == key.key_id
    refuse(opened)
    rotate(opened)
    assert "producer.key" in names(house)
    assert "producer.uri" not in names(house)
    refuse(again(house))
    assert findings(again(house), tmp_path) == ()


def test_a_vault_that_is_away_stops_the_start_and_is_named(house, tmp_path):
    file, _ = elsewhere(tmp_path)
    rotate(house, uri=file)
    (tmp_path / "vault.pem").unlink()
    with pytest.raises(KeyRefused, match="file2"):
        again(house)


# --- a server --------------------------------------------------------------------------------


def ask(server, key):
    body = {"model": "credit-default", "features": credit_rows(1)[0]}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{server.address}/v1/predictions", json=body, headers=headers, timeout=30)


@pytest.mark.slow
def test_a_server_answers_503_after_a_rotation_until_it_is_told_to_reload(tmp_path):
    house = make_house(tmp_path / "house", models=("credit-default",))
    caller = house.callers.issue("desk", [Scope.TRADER])
    server = Server(house.settings.data_dir, free_port(), 2)
    try:
        assert ask(server, caller).status_code == 200
        rotate(house)
        size = house.ledger.size
        late = ask(server, caller)
        assert late.status_code == 503
        assert "must be started again" in late.json()["detail"]
        assert house.ledger.size == size
        os.kill(server._process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 60
        while (answer := ask(server, caller)).status_code != 200:
            assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        server.stop()
    assert findings(again(house), tmp_path) == ()
