"""The catalog over HTTP: what may run, what was in production and the entry that proves it."""

import threading
from datetime import timedelta

import pytest

from houses import Api, credit_rows, make_house, packages, problem_of
from ledger.errors import RecordError
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from models.errors import ModelError, NotApproved, UnknownModel, Withdrawn
from models.reference.value_at_risk import BASELINE_NAME
from service import lifecycle
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.clock import utc_ms
from service.errors import FieldRefused, ServiceError
from service.exporting import export_house
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work

CREDIT = "/v1/models/credit-default"


def baseline(house):
    """A published model that nobody has approved."""
    return publish_package(house, packages()[BASELINE_NAME], actor_id=DEVELOPER)


# --- list and one ------------------------------------------------------------------------------


def test_models_are_listed_with_what_is_in_production(open_api):
    listed = open_api.trader.get("/v1/models").get_json()["models"]
    assert [model["name"] for model in listed] == ["credit-default", "trade-signal"]
    for model in listed:
        assert model["aliases"] == {"champion": model["latest_digest"]}
        assert model["status"] == "approved"
        assert model["intended_use"]


def test_a_model_shows_its_manifest_and_every_lifecycle_entry(open_api):
    model = open_api.trader.get(CREDIT).get_json()
    assert [event["type"] for event in model["history"]] == [
        "model.published",
        "model.approved",
        "model.promoted",
    ]
    published, approved, _ = model["history"]
    assert published["actor_id"] != approved["actor_id"]
    (version,) = model["versions"]
    manifest = version["manifest"]
    for field in ("licence", "intended_use", "training", "environment_digest", "preprocessing"):
        assert manifest[field]


@pytest.mark.parametrize("path", ["/v1/models/nothing", "/v1/models/nothing/drift"])
def test_an_unknown_model_is_404_and_says_where_to_look(open_api, path):
    refused = open_api.trader.get(path)
    assert refused.status_code == 404
    assert "GET /v1/models" in problem_of(refused)["detail"]


@pytest.mark.parametrize(
    "name", ["Credit", "a" * 65, "-x", "credit default", "credit_default", "ü"]
)
def test_what_cannot_be_a_name_is_refused(open_api, name):
    refused = open_api.trader.get(f"/v1/models/{name}")
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "name"


# --- as of -------------------------------------------------------------------------------------


def test_what_was_in_production_is_answered_with_the_entry_that_proves_it(open_api):
    answer = open_api.trader.get(f"{CREDIT}?as_of={open_api.house.now()}").get_json()
    receipt = Receipt.from_json(answer["receipt"])
    verify_receipt(receipt, open_api.house.ledger.vkey)
    body = parse_entry(receipt.entry).body
    assert body["type"] == "model.promoted"
    assert body["data"]["alias"] == "champion"
    assert body["data"]["model_digest"] == answer["model_digest"]
    assert receipt.leaf_index == answer["leaf_index"]


def test_each_moment_has_the_champion_it_had(tmp_path):
    house = make_house(tmp_path / "house", models=())
    later = [timedelta(0)]
    house = assemble(house.settings, lambda: _now() + later[0])
    api = Api(house)
    old, new = (publish_package(house, package, actor_id=DEVELOPER) for package in two_versions())
    moments = {}
    for day, digest in enumerate((old, new, old), start=1):
        later[0] = timedelta(days=day)
        put_to_work(house, digest, reason="a test", actor_id=VALIDATOR)
        moments[day] = (house.now(), digest)
    for moment, digest in moments.values():
        told = api.trader.get(f"/v1/models/{BASELINE_NAME}?as_of={moment}").get_json()
        assert told["model_digest"] == digest
    just_before = utc_ms(_now() + timedelta(days=1, seconds=-60))
    assert api.trader.get(f"/v1/models/{BASELINE_NAME}?as_of={just_before}").status_code == 404


def test_a_withdrawn_champion_was_in_production_until_then(api):
    digest = api.predict().get_json()["model"]["model_digest"]
    before = api.house.now()
    lifecycle.withdraw(api.house, digest=digest, reason="a test", actor_id=VALIDATOR)
    assert api.risk.get(f"{CREDIT}?as_of={before}").get_json()["model_digest"] == digest
    gone = api.risk.get(f"{CREDIT}?as_of={api.house.now()}")
    assert gone.status_code == 404


def test_nothing_was_in_production_before_the_first_promotion(open_api):
    refused = open_api.trader.get(f"{CREDIT}?as_of=2001-01-01")
    assert refused.status_code == 404
    assert "in production" in problem_of(refused)["detail"]


@pytest.mark.parametrize(
    "moment",
    [
        "2999-01-01",
        "yesterday",
        "",
        "2026-11-25T03:20:00",
        "2026-W48-3",
        "20261125",
        "2026-13-01",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-01&as_of=2026-01-02",
    ],
)
def test_a_moment_that_is_none_or_is_to_come_is_refused(open_api, moment):
    refused = open_api.trader.get(f"{CREDIT}?as_of={moment}")
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "as_of"


def test_a_zone_other_than_utc_is_understood(open_api):
    east = (_now() + timedelta(hours=5)).replace(tzinfo=None)
    moment = east.isoformat(timespec="milliseconds") + "%2B05:00"
    assert open_api.trader.get(f"{CREDIT}?as_of={moment}").status_code == 200


# --- what is refused before it is recorded -----------------------------------------------------


def test_a_withdrawn_model_answers_nobody_and_stays_readable(api):
    done = api.predict().get_json()
    digest = done["model"]["model_digest"]
    told = api.admin.post("/v1/admin/withdrawals", {"model_digest": digest, "reason": "overfitted"})
    assert told.status_code == 200
    for model in (digest, "credit-default", "credit-default@champion"):
        refused = api.predict(model=model)
        assert refused.status_code == 409
        assert problem_of(refused)["type"] == "urn:assay:problem:model-withdrawn"
    assert api.trader.get(f"/v1/predictions/{done['leaf_index']}").status_code == 200
    assert api.trader.get(CREDIT).get_json()["versions"][0]["status"] == "withdrawn"


def test_a_publisher_cannot_approve_its_own_model(api):
    digest = baseline(api.house)
    with pytest.raises(ServiceError, match="another person"):
        lifecycle.approve(api.house, digest=digest, reason="mine", actor_id=DEVELOPER)
    refused = api.trader.post(
        "/v1/predictions",
        {"model": digest, "features": {"hs_990_250d_pct": 3, "hs_975_250d_pct": 2}},
    )
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == "urn:assay:problem:model-not-approved"
    lifecycle.approve(api.house, digest=digest, reason="checked", actor_id=VALIDATOR)


def acts(house, digest):
    """Every act on a digest that nobody published."""
    why = {"digest": digest, "reason": "a test", "actor_id": VALIDATOR}
    return {
        "approve": lambda: lifecycle.approve(house, **why),
        "promote": lambda: lifecycle.promote(house, alias="champion", **why),
        "withdraw": lambda: lifecycle.withdraw(house, **why),
        "limit": lambda: lifecycle.set_limit(house, digest=digest, terms=TERMS, actor_id=VALIDATOR),
    }


TERMS = lifecycle.LimitTerms("exceedances_990_250d", "9", "max", "0", "250", 250, "threshold")


@pytest.mark.parametrize("act", ["approve", "promote", "withdraw", "limit"])
@pytest.mark.parametrize("case", ["unknown", "stored but not published", "withdrawn"])
def test_no_act_on_a_model_that_cannot_have_it_is_recorded(house, act, case):
    """The catalog would ignore the entry; it would only mislead whoever reads the log."""
    if case == "unknown":
        digest, refused = "sha256:" + "1" * 64, UnknownModel
    elif case == "withdrawn":
        digest, refused = baseline(house), Withdrawn
        lifecycle.withdraw(house, digest=digest, reason="a test", actor_id=VALIDATOR)
    else:
        digest, refused = house.blobs.put(packages()[BASELINE_NAME].manifest.to_bytes()), ModelError
    size = house.ledger.size
    with pytest.raises(refused):
        acts(house, digest)[act]()
    assert house.ledger.size == size


def test_a_model_is_not_published_twice(house):
    baseline(house)
    size = house.ledger.size
    with pytest.raises(ServiceError, match="published before"):
        baseline(house)
    assert house.ledger.size == size


def test_an_unapproved_model_is_not_promoted(house):
    digest = baseline(house)
    with pytest.raises(NotApproved):
        lifecycle.promote(house, digest=digest, alias="champion", reason="x", actor_id=VALIDATOR)


def test_a_reason_too_long_to_record_is_refused_by_its_field(house):
    digest = baseline(house)
    with pytest.raises(RecordError, match="reason"):
        lifecycle.approve(house, digest=digest, reason="x" * 2001, actor_id=VALIDATOR)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"metric": "accuracy"}, "metric"),
        ({"metric": "hit_rate"}, "metric"),
        ({"window": "fortnight"}, "window"),
        ({"window": "0"}, "window"),
        ({"detector": "crystal ball"}, "detector"),
    ],
)
def test_a_limit_that_would_judge_nothing_is_refused(open_api, more, field):
    body = {"metric": "auc", "limit": "0.7", "side": "min", **more}
    digest = open_api.house.inventory.resolve("credit-default").digest
    refused = open_api.admin.post("/v1/admin/limits", {"model_digest": digest, **body})
    assert refused.status_code == 422
    assert [error["field"] for error in problem_of(refused)["errors"]] == [field]


def test_a_refused_limit_says_which_metrics_there_are(open_api):
    digest = open_api.house.inventory.resolve("credit-default").digest
    with pytest.raises(FieldRefused, match="auc, brier"):
        lifecycle.set_limit(open_api.house, digest=digest, terms=TERMS, actor_id="risk")


# --- withdrawal and predictions at once ----------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
def test_no_prediction_has_a_place_after_its_models_withdrawal(house, tmp_path, processes):
    """Else an honest race would make every audit say that a withdrawn model was used."""
    apis = [Api(house), *(Api(assemble(house.settings)) for _ in range(processes - 1))]
    digest = house.inventory.resolve("credit-default").digest
    row, stop, answered = credit_rows(1)[0], threading.Event(), []

    def keep_asking(api):
        while not stop.is_set():
            answered.append(api.predict(row).status_code)

    threads = [threading.Thread(target=keep_asking, args=(apis[i % processes],)) for i in range(6)]
    for thread in threads:
        thread.start()
    while len(answered) < 20:
        stop.wait(0.005)
    apis[0].admin.post("/v1/admin/withdrawals", {"model_digest": digest, "reason": "a test"})
    seen = len(answered)
    while len(answered) < seen + 12:
        stop.wait(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(answered) == {200, 409}
    (withdrawn,) = house.ledger.entries(type="model.withdrawn")
    newest = max(entry.index for entry in house.ledger.entries(type="prediction"))
    assert newest < withdrawn.index
    report = audit_directory(export_house(house, tmp_path / "export"), house.ledger.vkey)
    assert report.failed == 0


def test_the_catalog_handed_out_never_changes_under_its_reader(house):
    held = house.inventory.catalog(fresh=True)
    names = [model.name for model in held.models()]
    digest = baseline(house)
    assert [model.name for model in held.models()] == names
    assert any(m.latest_digest == digest for m in house.inventory.catalog(fresh=True).models())


def two_versions():
    """The same model twice, described differently, so with two digests."""
    from dataclasses import replace

    package = packages()[BASELINE_NAME]
    again = replace(package.manifest, version="9.0.0")
    return package, replace(package, manifest=again)


def _now():
    from service.clock import system_clock

    return system_clock()
