"""A user's own model: published from files, released by another person, served, recorded, judged.

And what is refused leaves nothing behind: no entry, no blob, no name.
"""

import pickle
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from houses import DESK, make_house
from ledger.record import parse_entry
from models.errors import (
    ArtifactRefused,
    CardRefused,
    ExecutableRefused,
    ManifestRefused,
    NameRefused,
    ProvenanceRefused,
    TableRefused,
)
from models.hub.provenance import check_provenance
from models.hub.signing import check_files
from service import intake, lifecycle
from service.cli import main
from service.errors import FieldRefused, ServiceError
from service.intake import Submission, submit
from service.model_keys import house_key, renew, trust, trusted
from service.predict import Ask, predict
from userfiles import CARD, csv_bytes, onnx_bytes, skops_bytes, xgboost_bytes


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=())
    yield made
    made.engine.dispose()


@pytest.fixture
def files(tmp_path):
    """A model, its card, its training table."""
    (tmp_path / "model.skops").write_bytes(skops_bytes("scaled-logistic"))
    (tmp_path / "model.onnx").write_bytes(onnx_bytes("boosting"))
    (tmp_path / "model.ubj").write_bytes(xgboost_bytes("ubj"))
    (tmp_path / "train.csv").write_bytes(csv_bytes())
    (tmp_path / "card.md").write_text(CARD)
    return tmp_path


def given(files, model="model.skops", **more):
    return Submission(
        **{
            "model": files / model,
            "card": files / "card.md",
            "table": files / "train.csv",
            "target": "default",
            "actor": "dana",
            **more,
        }
    )


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


# --- the whole way, with a real server ---------------------------------------------------------


def test_four_commands_from_a_fitted_model_to_both_reports(files):
    """Slow (a server of its own): the promise of the README's hub section is this test."""
    at = ("--data-dir", files / "mine")
    assert run("init", *at).exit_code == 0
    done = run(
        *("models", "publish", files / "model.skops", "--card", files / "card.md"),
        *("--data", files / "train.csv", "--target", "default", "--actor", "dana", *at),
    )
    assert done.exit_code == 0, done.output
    name = re.search(r"published (\S+) 1\.0\.0", done.output)[1]
    assert name == "somebody-s-default-model"
    done = run(
        *("models", "release", name, "--actor", "anna", "--reason", "MV-1"),
        *("--limit", "auc:min:0.60", *at),
    )
    assert done.exit_code == 0, done.output
    done = run(
        *("models", "try", name, "--data", files / "train.csv", "--target", "default"),
        *("--rows", "300", *at),
    )
    assert done.exit_code == 0, done.output
    assert "served and recorded: 300 predictions" in done.output
    assert "signature and inclusion checked offline" in done.output
    assert "computed honestly? VERIFIED: 300 bit exact" in done.output
    assert "computed correctly? no_alarm" in done.output
    assert re.search(r"auc +0\.8\d+ \(95%", done.output)


@pytest.mark.parametrize("model", ["model.skops", "model.onnx", "model.ubj"])
def test_every_form_is_served_once_released(house, files, model):
    done = submit(house, given(files, model))
    with pytest.raises(Exception, match="not approved"):
        house.inventory.resolve(done.digest)
    lifecycle.approve(house, digest=done.digest, reason="a test", actor_id="anna")
    row = dict.fromkeys(house.inventory.manifest(done.digest).feature_names, 0.5)
    answer = predict(house, Ask(model=done.digest, rows=[row], caller=DESK))
    assert parse_entry(house.ledger.entry(answer.index).entry).type == "prediction"


def test_signature_and_statement_hold_and_the_library_s_command_agrees(house, files, tmp_path):
    done = submit(house, given(files))
    entry = parse_entry(house.ledger.entry(done.leaf).entry)
    manifest = house.inventory.manifest(done.digest)
    key = house.signers["publisher"]

    def verify(key_id, message, signature):
        assert key_id == key.key_id
        assert key.sign(message) == signature

    envelope = house.blobs.get(entry.data["provenance_digest"])
    statement = check_provenance(envelope, manifest, verify)
    bundle = house.blobs.get(statement.signature_digest)
    names = (manifest.digest, *manifest.blobs)
    held = {digest: house.blobs.get(digest) for digest in names}
    signer = check_files(held, bundle, trusted(house).values(), at=entry.body["event_time"])
    assert signer.holder == house.ledger.origin
    model = tmp_path / "signed"
    model.mkdir()
    for digest, data in held.items():
        (model / digest.removeprefix("sha256:")).write_bytes(data)
    (tmp_path / "sig").write_bytes(bundle)
    (tmp_path / "pub").write_text(signer.public_key)
    command = [
        *(sys.executable, "-m", "model_signing", "verify", "key", model),
        *("--signature", tmp_path / "sig", "--public_key", tmp_path / "pub"),
    ]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    other = submit(house, given(files, "model.onnx")).digest
    with pytest.raises(ProvenanceRefused, match="the statement is about"):
        check_provenance(envelope, house.inventory.manifest(other), verify)


def test_versions_follow_each_other(house, files):
    assert submit(house, given(files)).version == "1.0.0"
    assert submit(house, given(files, "model.onnx")).version == "1.1.0"
    with pytest.raises(FieldRefused, match=r"the next is 1\.2\.0"):
        submit(house, given(files, version="1.1.0"))


def test_an_environment_s_lock_is_bound_and_kept(house, files):
    (files / "requirements.lock").write_text("scikit-learn==1.9.1\n")
    done = submit(house, given(files, environment=files / "requirements.lock"))
    digest = house.inventory.manifest(done.digest).environment_digest
    assert house.blobs.get(digest) == b"scikit-learn==1.9.1\n"


# --- people ------------------------------------------------------------------------------------


def review(conclusion="satisfactory", day="2031-01-31"):
    return lifecycle.Review(conclusion, "high", day)


def test_nobody_validates_or_approves_what_he_published(house, files):
    digest = submit(house, given(files)).digest
    size = house.ledger.size
    for act in (
        lambda: lifecycle.validate(
            house, digest=digest, review=review(), reason="mine", actor_id="dana"
        ),
        lambda: lifecycle.approve(house, digest=digest, reason="mine", actor_id="dana"),
    ):
        with pytest.raises(ServiceError, match="another person must"):
            act()
    assert house.ledger.size == size


def test_what_was_found_unsatisfactory_is_not_approved_until_validated_again(house, files):
    digest = submit(house, given(files)).digest
    said = {"digest": digest, "reason": "leaks the target", "actor_id": "anna"}
    lifecycle.validate(house, review=review("unsatisfactory"), **said)
    with pytest.raises(ServiceError, match=r"by anna, found .* unsatisfactory: leaks the target"):
        lifecycle.approve(house, digest=digest, reason="hurry", actor_id="bob")
    lifecycle.validate(house, review=review(), **said)
    lifecycle.approve(house, digest=digest, reason="now", actor_id="bob")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"conclusion": "fine"}, "conclusion"),
        ({"materiality": "huge"}, "materiality"),
        ({"next_review": "soon"}, "next_review"),
        ({"next_review": "2001-01-01"}, "next_review"),
        ({"next_review": "20310131"}, "next_review"),
    ],
)
def test_a_review_that_cannot_be_recorded(house, files, change, field):
    digest = submit(house, given(files)).digest
    terms = {"conclusion": "conditions", "materiality": "low", "next_review": "2031-01-31"}
    with pytest.raises(FieldRefused, match=field):
        lifecycle.validate(
            house,
            digest=digest,
            review=lifecycle.Review(**{**terms, **change}),
            reason="r",
            actor_id="anna",
        )


def test_an_alias_is_one_of_three(house, files):
    digest = submit(house, given(files)).digest
    lifecycle.approve(house, digest=digest, reason="r", actor_id="anna")
    with pytest.raises(FieldRefused, match="champion, challenger, shadow"):
        lifecycle.promote(house, digest=digest, alias="prod", reason="r", actor_id="anna")
    lifecycle.promote(house, digest=digest, alias="shadow", reason="r", actor_id="anna")


# --- refused, and nothing left behind ------------------------------------------------------------


def spoilt(files):
    """Name: (the file that is spoilt, its bytes, other choices, error, what it says)."""
    return {
        "pickle": ("model.skops", pickle.dumps({}), {}, ExecutableRefused, "skops convert"),
        "no-model": ("model.skops", b"hello", {}, ArtifactRefused, "none of the kinds"),
        "card-bomb": ("card.md", b"---\na: &a [*a]\n---\n", {}, CardRefused, "line 2"),
        "text-in-table": ("train.csv", b"a,default\nx,1\n", {}, TableRefused, "not a number"),
        "schema-mismatch": (
            "train.csv",
            b"a,default\n1,1\n",
            {},
            TableRefused,
            "the model takes 5",
        ),
        "nan-threshold": (None, b"", {"threshold": float("nan")}, ManifestRefused, "threshold"),
        "name-of-a-path": (None, b"", {"name": "../../etc"}, NameRefused, "a-z"),
        "confusable-name": (None, b"", {"name": "credit-defau1t"}, NameRefused, "looks like"),
        "cyrillic-name": (None, b"", {"name": "\u0441redit"}, NameRefused, "CYRILLIC"),
        "no-title": ("card.md", b"text\n", {}, ManifestRefused, "--name"),
        "odd-version": (None, b"", {"version": "1"}, ManifestRefused, "version"),
        "no-such-target": (None, b"", {"target": "y"}, TableRefused, "is no column"),
    }


@pytest.mark.parametrize("case", list(spoilt(None)))
def test_refused_with_nothing_left_behind(tmp_path, files, case):
    house = make_house(tmp_path / "other", models=("credit-default",))
    name, data, more, error, reason = spoilt(files)[case]
    if name:
        (files / name).write_bytes(data)
    before = sorted(p.name for p in house.settings.data_dir.rglob("*")), house.ledger.size
    with pytest.raises(error, match=reason):
        submit(house, given(files, **more))
    assert (sorted(p.name for p in house.settings.data_dir.rglob("*")), house.ledger.size) == before
    house.engine.dispose()


def test_a_file_longer_than_may_be(house, files, monkeypatch):
    monkeypatch.setattr(intake, "FILE_MAX", 10)
    with pytest.raises(FieldRefused, match="longer than 10 bytes"):
        submit(house, given(files))


def test_the_same_model_is_not_published_twice(house, files):
    submit(house, given(files, version="1.0.0"))
    size = house.ledger.size
    with pytest.raises(FieldRefused, match="is published"):
        submit(house, given(files, version="1.0.0"))
    assert house.ledger.size == size


# --- signing keys --------------------------------------------------------------------------------


def test_a_renewed_key_leaves_earlier_signatures_their_signer(house):
    first = house_key(house)[1]
    second = renew(house, holder="desk two")[1]
    assert {s.hint for s in trusted(house).values()} == {first.hint, second.hint}
    assert house_key(house)[1] == second
    mode = (house.settings.keys_dir / "model-signing.pem").stat().st_mode
    assert mode & 0o077 == 0


def test_a_key_whose_time_is_over_signs_nothing(house, files, monkeypatch):
    house_key(house)
    monkeypatch.setattr(type(house), "now", lambda _: "2099-01-01T00:00:00.000Z")
    with pytest.raises(ServiceError, match="assay models signer renew"):
        submit(house, given(files))


def test_another_house_s_signer_is_trusted_by_name(house, tmp_path):
    other = house_key(house)[1]
    assert trust(house, "vendor", other.to_bytes()) == other
    assert trusted(house)["vendor"] == other
    for name in ("house", "house-2", "../x", ""):
        with pytest.raises(FieldRefused):
            trust(house, name, other.to_bytes())
