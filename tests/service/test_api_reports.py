"""Two reports, two resources, two schemas; each an entry of its own when it is issued."""

import json
import threading

import pytest

from houses import Api, problem_of, signal_days
from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import parse_entry
from models.reference import trade_signal
from service.assembly import assemble

KINDS = ["honesty", "correctness"]


def issue(api, kind):
    return api.admin.post(f"/v1/reports/{kind}", {})


def names(value):
    if isinstance(value, dict):
        return set(value) | {n for v in value.values() for n in names(v)}
    return {n for v in value for n in names(v)} if isinstance(value, list) else set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_404_with_a_hint_until_it_is_issued_then_an_entry(api, kind):
    missing = api.risk.get(f"/v1/reports/{kind}")
    assert missing.status_code == 404
    assert f"POST /v1/reports/{kind}" in problem_of(missing)["detail"]
    size = api.house.ledger.size
    issued = issue(api, kind).get_json()
    assert issued["leaf_index"] == size
    assert api.house.ledger.size == size + 1, "one report, one entry"
    body = parse_entry(api.house.ledger.entry(size).entry).body
    assert (body["type"], body["data"]["report_kind"]) == ("report", kind)
    assert body["data"]["checkpoint_size"] == size
    assert body["producer"] == api.house.signers[Role.REPORTER].key_id
    assert body["actor_id"] == "admin-person"
    assert api.risk.get(f"/v1/reports/{kind}").get_json() == issued


@pytest.mark.parametrize("kind", KINDS)
def test_issuing_one_report_leaves_the_other_as_it_was(api, kind):
    (other,) = set(KINDS) - {kind}
    issue(api, other)
    before = api.risk.get(f"/v1/reports/{other}").get_json()
    issue(api, kind)
    assert api.risk.get(f"/v1/reports/{other}").get_json() == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_entry_names_the_digest_of_the_very_bytes_served(api, kind):
    issued = issue(api, kind).get_json()
    data = parse_entry(api.house.ledger.entry(issued["leaf_index"]).entry).data
    stored = api.house.blobs.get(data["report_digest"])
    assert stored == canonical_bytes(issued["report"])
    assert json.loads(stored) == issued["report"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_issue_is_a_new_entry_and_the_newest_is_shown(api, kind):
    first = issue(api, kind).get_json()["leaf_index"]
    second = issue(api, kind).get_json()["leaf_index"]
    assert second > first
    assert api.auditor.get(f"/v1/reports/{kind}").get_json()["leaf_index"] == second


def test_the_two_reports_share_no_name_but_the_model_digest(api):
    """With everything in them that a report can have: outcomes, a limit, a failed execution."""
    digest = api.predict().get_json()["model"]["model_digest"]
    limit = {"model_digest": digest, "metric": "auc", "limit": "0.7", "side": "min"}
    assert api.admin.post("/v1/admin/limits", limit).status_code == 200
    for day in signal_days(3):
        body = {"model": "trade-signal", "features": day.of(trade_signal.FEATURES)}
        leaf = api.trader.post("/v1/predictions", body).get_json()["leaf_index"]
        told = {"prediction_id": f"{leaf}.0", "value": "0.5", "observed_at": day.outcome_date}
        api.outcomes.post("/v1/outcomes", {"outcomes": [told]})
    honesty, correctness = (issue(api, kind).get_json()["report"] for kind in KINDS)
    assert names(honesty) & names(correctness) == {"model_digest"}
    assert honesty["says_nothing_on"]
    assert correctness["does_not_say"]


def test_reports_issued_at_once_are_all_recorded(house):
    apis, statuses = [Api(house), Api(assemble(house.settings))], []

    def run(api, kind):
        statuses.append(issue(api, kind).status_code)

    threads = [threading.Thread(target=run, args=(api, kind)) for api in apis for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert house.ledger.counts()["report"] == 4


def test_a_report_whose_bytes_rotted_is_not_shown(api):
    issued = issue(api, "correctness").get_json()
    data = parse_entry(api.house.ledger.entry(issued["leaf_index"]).entry).data
    path = api.house.settings.blobs_dir / data["report_digest"].removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"credit", b"tidier"))
    refused = api.risk.get("/v1/reports/correctness")
    assert refused.status_code == 500
    assert "issue a new one: POST" in problem_of(refused)["detail"]


def test_there_is_no_third_report(open_api):
    for path in ("/v1/reports", "/v1/reports/score", "/v1/reports/honesty/correctness"):
        assert open_api.risk.get(path).status_code == 404
