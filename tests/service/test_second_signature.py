"""ML-DSA-44 beside Ed25519 under every checkpoint: off by default, demanded where a key is given."""

import json
import struct

import pytest
from click.testing import CliRunner
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa

from houses import make_house
from ledger.anchor import Anchor
from ledger.errors import KeyRefused, NoteError
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.note import Checkpoint, open_checkpoint, split_note
from ledger.post_quantum import SecondKey, SecondSigner, make_second_key, message, verify_second
from ledger.record import Draft
from service.assembly import assemble
from service.cli import main
from service.cli.auditing import Asked, audit_source
from service.exporting import export_house


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mldsa") / "log-mldsa.pem"
    try:
        make_second_key(path)
    except KeyRefused as error:
        pytest.skip(str(error))
    return path


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=())
    yield made
    made.engine.dispose()


def refuse(house):
    data = {"cause": "Test", "model_digest": None, "detail": "a test"}
    draft = Draft(type="refusal", actor_id="tester", data=data, event_time=house.now())
    return house.ledger.append(draft, house.signers[Role.PRODUCER])


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def test_the_message_is_that_of_the_standard():
    checkpoint = Checkpoint("log.example/7", 20852163, bytes(range(32)))
    expected = b"subtree/v1\n\0" + struct.pack(
        ">B13sQB13sQQ32s",
        13,
        b"log.example/7",
        0,
        13,
        b"log.example/7",
        0,
        20852163,
        checkpoint.root,
    )
    assert message(checkpoint) == expected
    with pytest.raises(NoteError, match="at most 255"):
        message(Checkpoint("x" * 256, 1, bytes(32)))


def test_a_key_is_written_once_readable_by_its_owner_and_named_as_the_standard_says(key_file):
    assert key_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_second_key(key_file)
    signer = SecondSigner.load(key_file, "log.example/7")
    assert SecondKey.parse(str(signer.key) + "\n") == signer.key
    assert signer.key.public.hex() not in repr(signer)
    for broken in ("", "a+b+c", str(signer.key).replace("log", "lot"), str(signer.key)[:-4]):
        with pytest.raises(KeyRefused):
            SecondKey.parse(broken)


def test_a_key_that_others_can_read_or_of_another_kind_is_refused(key_file, tmp_path, house):
    copy = tmp_path / "copy.pem"
    copy.write_bytes(key_file.read_bytes())
    copy.chmod(0o644)
    with pytest.raises(KeyRefused, match="chmod 600"):
        SecondSigner.load(copy, "x")
    for other in (house.settings.keys_dir / "log.key", tmp_path / "missing"):
        with pytest.raises(KeyRefused):
            SecondSigner.load(other, "x")


def test_off_by_default_and_on_by_one_setting(house, key_file, tmp_path):
    assert len(split_note(refuse(house).receipt.checkpoint)[1]) == 1
    done = run("keys", "post-quantum", tmp_path / "k.pem", "--data-dir", house.settings.data_dir)
    assert done.exit_code == 0, done.output
    assert SecondKey.parse(done.output.splitlines()[-1]).name == house.ledger.origin
    opened = assemble(house.settings.model_copy(update={"log_mldsa_key": key_file}))
    key = SecondSigner.load(key_file, house.ledger.origin).key
    receipt = refuse(opened).receipt
    note = receipt.checkpoint
    assert len(split_note(note)[1]) == 2
    # Who has no key for it sees what he always saw; the anchor holds it whole.
    assert verify_second(note, key) == open_checkpoint(note, house.ledger.vkey)
    assert Anchor(house.settings.anchor_path, house.ledger.vkey).read().note == note
    export_house(opened, tmp_path / "export")
    (tmp_path / "receipt.json").write_text(json.dumps(receipt.to_json()))
    (tmp_path / "second.vkey").write_text(str(key))
    vkey = ("--key", house.ledger.vkey, "--mldsa-key", tmp_path / "second.vkey")
    assert run("audit", tmp_path / "export", *vkey).exit_code == 0
    assert run("verify-receipt", tmp_path / "receipt.json", *vkey).exit_code == 0
    opened.engine.dispose()


def test_where_a_key_is_given_its_signature_must_be_there_and_hold(house, key_file, tmp_path):
    key = SecondSigner.load(key_file, house.ledger.origin).key
    receipt = refuse(house).receipt
    (tmp_path / "receipt.json").write_text(json.dumps(receipt.to_json()))
    options = ("--key", house.ledger.vkey, "--mldsa-key", key)
    done = run("verify-receipt", tmp_path / "receipt.json", *options)
    assert done.exit_code == 1
    assert "no ML-DSA-44 signature" in done.output
    export_house(house, tmp_path / "export")
    report = audit_source(
        DirectorySource(tmp_path / "export"), house.ledger.vkey, Asked(second=key)
    ).report
    assert [finding.check for finding in report.findings] == ["second signature"]


def test_a_signature_over_other_bytes_or_with_a_time_is_refused(key_file):
    signer = SecondSigner.load(key_file, "log.example/7")
    checkpoint = Checkpoint("log.example/7", 5, bytes(32))
    line = signer.line(checkpoint)
    verify_second(checkpoint.to_text() + "\n" + line, signer.key)
    for other in (
        Checkpoint("log.example/7", 6, bytes(32)),
        Checkpoint("log.example/7", 5, bytes([1]) * 32),
    ):
        with pytest.raises(NoteError, match="does not verify"):
            verify_second(other.to_text() + "\n" + line, signer.key)
    other = Checkpoint("log.example/8", 5, bytes(32))
    with pytest.raises(NoteError, match="the key is of"):
        verify_second(other.to_text() + "\n" + line, signer.key)
    name, hashed, signature = split_note(checkpoint.to_text() + "\n" + line)[1][0]
    from ledger.note import format_signature

    for broken in (bytes(7) + b"\1" + signature[8:], signature[:-1], signature[:9]):
        with pytest.raises(NoteError):
            verify_second(
                checkpoint.to_text() + "\n" + format_signature(name, hashed, broken), signer.key
            )


def test_a_build_without_it_says_so(monkeypatch, tmp_path):
    class Without:
        @staticmethod
        def generate():
            raise UnsupportedAlgorithm("ML-DSA-44 is not supported")

    from ledger import post_quantum

    assert post_quantum.MLDSA44PrivateKey is mldsa.MLDSA44PrivateKey
    monkeypatch.setattr(post_quantum, "MLDSA44PrivateKey", Without)
    with pytest.raises(KeyRefused, match="has no ML-DSA"):
        make_second_key(tmp_path / "k")
