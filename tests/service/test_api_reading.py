"""What the API shows of models, ledger and reports, each held against its proof."""

import io
import tarfile

import pytest

from houses import credit_rows, packages, problem_of
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import open_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from ledger.tiles import split_bundle, split_tile
from service import lifecycle
from service.cli.audit import audit_directory
from service.publishing import DEVELOPER, VALIDATOR, publish_package

# --- models ----------------------------------------------------------------------------------


def test_models_are_listed_with_what_is_in_production(api):
    listed = api.trader.get("/v1/models").get_json()["models"]
    assert [model["name"] for model in listed] == ["credit-default", "trade-signal"]
    for model in listed:
        assert model["aliases"] == {"champion": model["latest_digest"]}
        assert model["status"] == "approved"


def test_a_model_shows_its_manifest_and_every_lifecycle_entry(api):
    model = api.trader.get("/v1/models/credit-default").get_json()
    assert [event["type"] for event in model["history"]] == [
        "model.published",
        "model.approved",
        "model.promoted",
    ]
    (version,) = model["versions"]
    manifest = version["manifest"]
    for field in ("licence", "intended_use", "training", "environment_digest", "preprocessing"):
        assert manifest[field]


def test_what_was_in_production_is_answered_with_the_entry_that_proves_it(api):
    now = api.house.now()
    answer = api.trader.get(f"/v1/models/credit-default?as_of={now}").get_json()
    receipt = Receipt.from_json(answer["receipt"])
    verify_receipt(receipt, api.house.ledger.vkey)
    body = parse_entry(receipt.entry).body
    assert body["type"] == "model.promoted"
    assert body["data"]["model_digest"] == answer["model_digest"]
    assert receipt.leaf_index == answer["leaf_index"]


def test_nothing_was_in_production_before_the_first_promotion(api):
    refused = api.trader.get("/v1/models/credit-default?as_of=2001-01-01")
    assert refused.status_code == 404
    assert "in production" in problem_of(refused)["detail"]


@pytest.mark.parametrize("path", ["/v1/models/nothing", "/v1/models/nothing/drift"])
def test_an_unknown_model_is_404(api, path):
    assert api.trader.get(path).status_code == 404


def test_a_withdrawn_model_answers_nobody_and_stays_readable(api):
    done = api.predict().get_json()
    digest = done["model"]["model_digest"]
    told = api.admin.post("/v1/admin/withdrawals", {"model_digest": digest, "reason": "overfitted"})
    assert told.status_code == 200
    refused = api.predict()
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == "urn:assay:problem:model-withdrawn"
    assert api.trader.get(f"/v1/predictions/{done['leaf_index']}").status_code == 200


def test_a_publisher_cannot_approve_its_own_model(api):
    package = packages()["value-at-risk-baseline"]
    digest = publish_package(api.house, package, actor_id=DEVELOPER)
    with pytest.raises(Exception, match="another person"):
        lifecycle.approve(api.house, digest=digest, reason="mine", actor_id=DEVELOPER)
    refused = api.trader.post(
        "/v1/predictions",
        {"model": digest, "features": {"hs_990_250d_pct": 3, "hs_975_250d_pct": 2}},
    )
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == "urn:assay:problem:model-not-approved"
    lifecycle.approve(api.house, digest=digest, reason="checked", actor_id=VALIDATOR)


# --- ledger ----------------------------------------------------------------------------------


def test_tiles_entries_and_checkpoint_agree(api):
    for row in credit_rows(3):
        api.predict(row)
    note = api.risk.get("/v1/ledger/checkpoint").get_data(as_text=True)
    checkpoint = open_checkpoint(note, api.house.ledger.vkey)
    size = checkpoint.size
    tile = api.risk.get(f"/v1/ledger/tile/0/000.p/{size}").get_data()
    bundle = api.risk.get(f"/v1/ledger/tile/entries/000.p/{size}").get_data()
    hashes = [leaf_hash(entry) for entry in split_bundle(bundle, size)]
    assert split_tile(tile, size) == hashes
    for leaf in range(size):
        proof = api.risk.get(f"/v1/ledger/proof/inclusion?leaf_index={leaf}").get_json()
        path = [bytes.fromhex(node) for node in proof["path"]]
        verify_inclusion(hashes[leaf], leaf, size=size, path=path, root=checkpoint.root)


def test_a_consistency_proof_leads_from_an_old_checkpoint_to_the_new_one(api):
    old = open_checkpoint(
        api.risk.get("/v1/ledger/checkpoint").get_data(as_text=True), api.house.ledger.vkey
    )
    api.predict()
    new = open_checkpoint(
        api.risk.get("/v1/ledger/checkpoint").get_data(as_text=True), api.house.ledger.vkey
    )
    proof = api.risk.get(f"/v1/ledger/proof/consistency?first={old.size}").get_json()
    verify_consistency(
        old_size=old.size,
        old_root=old.root,
        new_size=new.size,
        new_root=new.root,
        path=[bytes.fromhex(node) for node in proof["path"]],
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/ledger/tile/0/001", 404),
        ("/v1/ledger/tile/1/000.p/1", 404),
        ("/v1/ledger/tile/entries/000", 404),
        ("/v1/ledger/tile/0/000.p/0", 404),
        ("/v1/ledger/tile/0/0", 404),
        ("/v1/ledger/tile/../../etc/passwd", 404),
        ("/v1/ledger/tile/9/000", 404),
        ("/v1/ledger/proof/inclusion?leaf_index=100000", 422),
        ("/v1/ledger/proof/inclusion?leaf_index=-1", 422),
        ("/v1/ledger/proof/inclusion", 422),
        ("/v1/ledger/proof/consistency?first=0", 422),
        ("/v1/ledger/proof/consistency?first=3&second=2", 422),
        ("/v1/ledger/entries/100000", 404),
        ("/v1/ledger/entries?limit=0", 422),
        ("/v1/ledger/entries?limit=10&page=2", 422),
    ],
)
def test_what_is_not_there_is_a_problem(api, path, status):
    answer = api.risk.get(path)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert problem_of(answer)["status"] == status


def test_entries_are_paged_both_ways_without_gap(api):
    size = api.house.ledger.size
    forward, first = [], 0
    while True:
        page = api.risk.get(f"/v1/ledger/entries?first={first}&limit=5").get_json()["entries"]
        if not page:
            break
        forward += [entry["leaf_index"] for entry in page]
        first = forward[-1] + 1
    assert forward == list(range(size))
    newest = api.risk.get("/v1/ledger/entries?newest=true&limit=5").get_json()["entries"]
    assert [entry["leaf_index"] for entry in newest] == forward[:-6:-1]


def test_the_export_unpacks_and_audits_clean(api, tmp_path):
    api.predict(caller_reference="order 1")
    tar = api.auditor.get("/v1/ledger/export").get_data()
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames()[-1] == "checkpoint"
        archive.extractall(tmp_path / "export", filter="data")
    report = audit_directory(tmp_path / "export", api.house.ledger.vkey)
    assert report.failed == 0


def test_seals_adjoin(api):
    for day in ("2026-11-23", "2026-11-24", "2026-11-25"):
        api.predict()
        assert api.admin.post("/v1/admin/seals", {"period": day}).status_code == 200
    seals = api.risk.get("/v1/ledger").get_json()["seals"][::-1]
    data = [parse_entry(api.house.ledger.entry(s["leaf_index"]).entry).data for s in seals]
    end = 0
    for seal in data:
        assert seal["first_index"] == end
        end += seal["count"]


# --- reports ---------------------------------------------------------------------------------


def names(value):
    if isinstance(value, dict):
        return set(value) | {n for v in value.values() for n in names(v)}
    return {n for v in value for n in names(v)} if isinstance(value, list) else set()


@pytest.mark.parametrize("kind", ["honesty", "correctness"])
def test_a_report_is_404_with_a_hint_until_it_is_issued_then_an_entry(api, kind):
    issuer = api.admin
    missing = api.risk.get(f"/v1/reports/{kind}")
    assert missing.status_code == 404
    assert f"POST /v1/reports/{kind}" in problem_of(missing)["detail"]
    issued = issuer.post(f"/v1/reports/{kind}", {}).get_json()
    body = parse_entry(api.house.ledger.entry(issued["leaf_index"]).entry).body
    assert body["type"] == "report"
    assert body["data"]["report_kind"] == kind
    assert api.risk.get(f"/v1/reports/{kind}").get_json() == issued


def test_the_two_reports_share_no_name_but_the_model_digest(api):
    api.predict()
    honesty, correctness = (
        api.admin.post(f"/v1/reports/{kind}", {}).get_json()["report"]
        for kind in ("honesty", "correctness")
    )
    assert names(honesty) & names(correctness) == {"model_digest"}
