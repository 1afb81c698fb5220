"""A model whose files rotted or got lost: named, refused, brought back; the others answer all the while."""

import json

import pytest
from click.testing import CliRunner

from houses import Api, make_house, problem_of
from ledger.keys import SigningKey
from models.hub.provenance import seal_envelope, statement_bytes
from service.assembly import assemble
from service.cli import main
from service.exporting import export_house
from service.loading import ModelUnavailable, statement_of

ROTTEN = "trade-signal"


def path_of(house, digest):
    return house.settings.blobs_dir / digest.removeprefix("sha256:")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def lose(path):
    path.unlink()


PARTS = ("manifest", "artifact", "provenance")


def digest_of_part(house, part):
    digest = house.inventory.resolve(ROTTEN).digest
    if part == "manifest":
        return digest
    if part == "artifact":
        return house.inventory.manifest(digest).outputs[0].artifact
    return house.inventory.catalog().version(digest).published.data["provenance_digest"]


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=("credit-default", ROTTEN))
    yield made
    made.engine.dispose()


def ask(api, house):
    model = house.inventory.resolve(ROTTEN).digest
    return api.trader.post("/v1/predictions", {"model": model, "features": {}})


@pytest.mark.parametrize("harm", [flip, lose])
@pytest.mark.parametrize("part", PARTS)
def test_a_server_starts_names_the_model_serves_the_others_and_loads_it_once_restored(
    house, tmp_path, part, harm
):
    export_house(house, tmp_path / "export")
    digest = house.inventory.resolve(ROTTEN).digest
    harm(path_of(house, digest_of_part(house, part)))
    api = Api(assemble(house.settings))
    assert api.predict().status_code == 200
    assert api.trader.get("/v1/models").status_code == 200
    ready = api.nobody.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["models_unavailable"] == [digest]
    refused = ask(api, house)
    problem = problem_of(refused)
    assert refused.status_code == 503
    assert problem["type"] == "urn:assay:problem:model-unavailable"
    assert problem["model_digest"] == digest
    assert problem["repair"] == "assay models restore EXPORT_DIR"
    assert digest in problem["detail"]
    restore = ["models", "restore", str(tmp_path / "export"), "--data-dir"]
    done = CliRunner().invoke(main, [*restore, str(house.settings.data_dir)])
    assert done.exit_code == 0, done.output
    assert ("was rotten" if harm is flip else "was missing") in done.output
    assert ask(api, house).status_code == 422  # it runs, and misses its features
    assert "models_unavailable" not in api.nobody.get("/readyz").get_json()
    again = CliRunner().invoke(main, [*restore, str(house.settings.data_dir)])
    assert "restored" not in again.output


def test_an_export_that_rotted_too_restores_nothing(house, tmp_path):
    export_house(house, tmp_path / "export")
    digest = digest_of_part(house, "artifact")
    for path in (path_of(house, digest), tmp_path / "export/blobs" / path_of(house, digest).name):
        flip(path)
    before = path_of(house, digest).read_bytes()
    restore = ["models", "restore", str(tmp_path / "export"), "--data-dir"]
    done = CliRunner().invoke(main, [*restore, str(house.settings.data_dir)])
    assert done.exit_code == 1
    assert f"{digest} is rotten in" in done.output
    assert path_of(house, digest).read_bytes() == before


class Stored:
    """The house's blobs with one of them exchanged: what a rotten store cannot do, a rogue one can."""

    def __init__(self, blobs, digest, data):
        self.blobs, self.digest, self.data = blobs, digest, data

    def get(self, digest):
        return self.data if digest == self.digest else self.blobs.get(digest)


@pytest.mark.parametrize("who", ["a stranger", "another key of the house", "about another model"])
def test_provenance_by_another_key_or_about_another_model_does_not_load(house, monkeypatch, who):
    digest = house.inventory.resolve(ROTTEN).digest
    other = house.inventory.resolve("credit-default").digest
    manifest = house.inventory.manifest(digest)
    publisher, approver = house.signers.by_role["publisher"], house.signers.by_role["approver"]
    key = {"a stranger": SigningKey.generate(), "another key of the house": approver}.get(
        who, publisher
    )
    about = house.inventory.manifest(other) if who == "about another model" else manifest
    envelope = seal_envelope(statement_bytes(about), key_id=key.key_id, sign=key.sign)
    named = digest_of_part(house, "provenance")
    fresh = assemble(house.settings)
    monkeypatch.setattr(fresh.inventory, "_blobs", Stored(house.blobs, named, envelope))
    with pytest.raises(ModelUnavailable, match=r"signed by|is about"):
        fresh.inventory.predictor(digest)
    published = house.inventory.catalog().version(digest).published
    assert statement_of(house.ledger, house.blobs, published, manifest).key_id == publisher.key_id
    fresh.engine.dispose()


def test_a_forged_signature_does_not_load(house, monkeypatch):
    digest = house.inventory.resolve(ROTTEN).digest
    named = digest_of_part(house, "provenance")
    value = json.loads(house.blobs.get(named))
    value["signatures"][0]["sig"] = "A" * 86 + "=="
    envelope = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    fresh = assemble(house.settings)
    monkeypatch.setattr(fresh.inventory, "_blobs", Stored(house.blobs, named, envelope))
    with pytest.raises(ModelUnavailable):
        fresh.inventory.predictor(digest)
    fresh.engine.dispose()
