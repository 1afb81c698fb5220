"""The register, who relied on a model, what was in production, and three ways a signature fails."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from houses import DESK, Api, make_house, problem_of
from models.errors import UnknownModel
from models.hub.signing import new_key
from service import lifecycle
from service.cli import main
from service.describing import check_model
from service.intake import Submission, submit
from service.model_keys import trusted
from service.predict import Ask, predict
from service.register import register
from service.reliance import reliance
from userfiles import CARD, csv_bytes, skops_bytes

SAID = {"reason": "a test", "actor_id": "anna"}


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=())
    yield made
    made.engine.dispose()


@pytest.fixture
def digest(house, tmp_path):
    """A user's model, published by dana with a vendor's name."""
    return published(house, tmp_path)


@pytest.fixture
def on_each(tmp_path, database):
    """The same on each database: counts are SQL of our own."""
    made = make_house(tmp_path / "house", models=(), database_url=database or "")
    yield made, published(made, tmp_path)
    made.engine.dispose()


def published(house, tmp_path):
    (tmp_path / "model.skops").write_bytes(skops_bytes("scaled-logistic"))
    (tmp_path / "train.csv").write_bytes(csv_bytes())
    (tmp_path / "card.md").write_text(CARD)
    files = (tmp_path / "model.skops", tmp_path / "card.md", tmp_path / "train.csv")
    given = Submission(*files, "dana", target="default", owner="card desk", vendor="Scores Ltd")
    return submit(house, given).digest


def run(house, *words):
    at = ("--data-dir", str(house.settings.data_dir))
    return CliRunner().invoke(main, ["models", *words, *at])


def validate(house, digest, conclusion="satisfactory", day="2031-01-31"):
    review = lifecycle.Review(conclusion, "high", day)
    return lifecycle.validate(house, digest=digest, review=review, **SAID)


def champion(house, digest):
    lifecycle.approve(house, digest=digest, **SAID)
    lifecycle.promote(house, digest=digest, alias="champion", **SAID)


def ask(house, digest, rows=1):
    row = dict.fromkeys(house.inventory.manifest(digest).feature_names, 0.5)
    return predict(house, Ask(model=digest, rows=[row] * rows, caller=DESK)).index


# --- the register --------------------------------------------------------------------------------


def test_a_line_has_what_model_risk_asks_for(house, digest):
    validate(house, digest)
    champion(house, digest)
    (line,) = register(house)
    assert (line.owner, line.vendor, line.purpose) == (
        "card desk",
        "Scores Ltd",
        "Scores made-up applicants in tests.",
    )
    assert (line.materiality, line.validator, line.conclusion) == ("high", "anna", "satisfactory")
    assert (line.next_review, line.aliases, line.overdue) == ("2031-01-31", ("champion",), ())
    assert line.published_by == "dana"


def test_what_is_overdue(house, digest):
    assert register(house)[0].overdue == ()  # not in use: nothing is owed
    champion(house, digest)
    assert register(house)[0].overdue == ("in use and never validated",)
    validate(house, digest)
    assert register(house, today="2031-01-31")[0].overdue == ()
    assert register(house, today="2031-02-01")[0].overdue == ("review was due on 2031-01-31",)
    validate(house, digest, "unsatisfactory")
    assert register(house)[0].overdue == ("in use and found unsatisfactory",)
    lifecycle.withdraw(house, digest=digest, **SAID)
    assert register(house)[0].overdue == ()
    assert register(house)[0].withdrawn["reason"] == "a test"


def test_the_route_and_the_command_show_the_register(house, digest):
    champion(house, digest)
    found = Api(house).risk.get("/v1/hub/register").get_json()
    assert found["overdue"] == 1
    assert found["models"] == json.loads(run(house, "inventory", "--json").output)
    told = run(house, "inventory", "--overdue").output
    assert "OVERDUE      in use and never validated" in told
    assert "card desk, made by Scores Ltd" in told


# --- who relied on it ----------------------------------------------------------------------------


def test_who_relied_on_a_withdrawn_model(on_each):
    house, digest = on_each
    champion(house, digest)
    leaves = [ask(house, digest) for _ in range(5)] + [ask(house, digest, rows=3)]
    gone = lifecycle.withdraw(house, digest=digest, reason="leaks the target", actor_id="anna")
    found = reliance(house, digest, limit=4)
    assert found["withdrawn"] == {
        "actor_id": "anna",
        "event_time": house.inventory.catalog().version(digest).withdrawn.time,
        "reason": "leaks the target",
        "leaf_index": gone.index,
    }
    assert (found["predictions"], found["after_withdrawal"]) == (6, 0)
    assert (found["first_leaf"], found["last_leaf"]) == (leaves[0], leaves[-1])
    assert found["callers"] == [{"actor_id": "desk", "predictions": 6}]
    assert [line["leaf_index"] for line in found["page"]] == leaves[:4]
    rest = reliance(house, digest, since=found["next"], limit=4)
    assert [line["leaf_index"] for line in rest["page"]] == leaves[4:]
    assert rest["next"] is None
    assert rest["page"][-1]["row_count"] == 3


def test_the_route_and_the_command_say_who_withdrew_it_and_who_relied_on_it(house, digest):
    champion(house, digest)
    ask(house, digest)
    lifecycle.withdraw(house, digest=digest, reason="leaks the target", actor_id="anna")
    told = run(house, "relied-on", digest).output
    assert "by anna" in told
    assert "leaks the target" in told
    assert "predictions: 1" in told
    assert "predictions after that: 0" in told
    api = Api(house)
    path = f"/v1/hub/models/{digest}/reliance"
    assert api.auditor.get(path).get_json()["predictions"] == 1
    assert api.trader.get(path).status_code == 403
    unknown = "sha256:" + "0" * 64
    assert problem_of(api.auditor.get(path.replace(digest, unknown)))["status"] == 404
    assert api.auditor.get(f"{path}?limit=0").status_code == 422
    blob = api.auditor.get(f"/v1/hub/blobs/{digest}")  # withdrawn, and still there by digest
    assert blob.data == house.blobs.get(digest)


def test_nothing_is_known_of_another_digest(house):
    with pytest.raises(UnknownModel):
        reliance(house, "sha256:" + "0" * 64)


# --- what was in production ----------------------------------------------------------------------


def test_as_of_gives_the_promotion_and_a_receipt_that_holds_offline(house, digest, tmp_path):
    champion(house, digest)
    file = tmp_path / "receipt.json"
    name = house.inventory.manifest(digest).name
    told = run(house, "as-of", name, house.now(), "--receipt", str(file))
    assert told.exit_code == 0, told.output
    assert digest in told.output
    assert "by anna" in told.output
    vkey = str(house.settings.data_dir / "log.vkey")
    assert CliRunner().invoke(main, ["verify-receipt", str(file), "--key", vkey]).exit_code == 0
    assert digest in json.loads(file.read_text())["entry"]


@pytest.mark.parametrize(
    ("time", "reason"),
    [("2001-01-01", "nothing was in production"), ("2999-01-01", "future"), ("soon", "time")],
)
def test_as_of_a_time_that_has_no_answer(house, digest, time, reason):
    champion(house, digest)
    told = run(house, "as-of", house.inventory.manifest(digest).name, time)
    assert told.exit_code == 1
    assert reason in told.output


# --- signatures ----------------------------------------------------------------------------------


def signature_of(house, digest):
    return next(check for check in check_model(house, digest) if check.subject == "signature")


def signers(house):
    return house.settings.data_dir / "model-signers" / "house.json"


def test_a_signed_model_holds(house, digest):
    assert all(check.holds for check in check_model(house, digest))
    assert run(house, "verify", digest).exit_code == 0


def test_a_missing_signature_names_itself(tmp_path):
    house = make_house(tmp_path / "other", models=("credit-default",))
    told = run(house, "verify", "credit-default")
    house.engine.dispose()
    assert told.exit_code == 1
    assert "signature  DOES NOT HOLD: provenance: signature missing" in told.output


def test_an_expired_signature_names_itself(house, digest):
    signer = trusted(house)["house"]
    early = replace(
        signer, not_before="2001-01-01T00:00:00.000Z", not_after="2002-01-01T00:00:00.000Z"
    )
    signers(house).write_bytes(early.to_bytes())
    found = signature_of(house, digest)
    assert not found.holds
    assert "signature expired" in found.found
    assert "2002-01-01" in found.found


def test_a_signature_of_another_key_names_itself(house, digest):
    signer = trusted(house)["house"]
    other = new_key("x", not_before=signer.not_before, not_after=signer.not_after)[1]
    signers(house).write_bytes(other.to_bytes())
    assert "signature wrong (key)" in signature_of(house, digest).found


def test_an_altered_file_names_itself(house, digest):
    artifact = house.inventory.manifest(digest).outputs[0].artifact
    path = house.settings.blobs_dir / artifact[7:]
    path.write_bytes(path.read_bytes() + b"x")
    told = run(house, "verify", digest)
    assert told.exit_code == 1
    assert "files      DOES NOT HOLD" in told.output


def test_the_bill_of_materials_over_http_and_at_the_command_line(house, digest):
    over_http = Api(house).trader.get(f"/v1/hub/models/{digest}/bom")
    assert over_http.content_type.startswith("application/vnd.cyclonedx+json")
    assert over_http.get_data(as_text=True) == run(house, "bom", digest).output
