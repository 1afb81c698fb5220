"""Alarms: raised once from a signed limit, acted upon by name, with the evidence; policies that halt."""

import json

import pytest

from houses import Api, credit_rows, problem_of, reporter
from ledger.record import unsigned_body
from service.alerts import close, raise_about_job
from service.alerts_read import alarms
from service.assembly import assemble
from service.correctness import issue_correctness
from service.lifecycle import LimitTerms
from service.outcomes import Observed, record_outcomes
from service.policies import sign_policy
from service.switch import switch_of

NAME = "credit-default"
# A Brier score above 0.05 halts: any model fails it when every outcome is a surprise.
TERMS = LimitTerms("brier", "0.05", "max", "0", "all", 30, "threshold")


def digest_of(house):
    return house.inventory.resolve(NAME).digest


def sign(house, terms=TERMS, on_alarm="blocked", **more):
    return sign_policy(
        house,
        digest=digest_of(house),
        terms=terms,
        on_alarm=on_alarm,
        actor_id="risk-1",
        **more,
    ).index


def predict_many(api, count=40):
    body = {"model": NAME, "rows": credit_rows(count)}
    answer = api.trader.post("/v1/predictions", body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["rows"]


def surprise(house, rows):
    """Outcomes that are the opposite of what was decided."""
    observed = [
        Observed(
            prediction_id=row["prediction_id"],
            value="1" if row["decision"] == "approve" else "0",
            observed_at="2026-12-01" if house.now() > "2026-12-01" else house.now()[:10],
            revises=None,
            reason=None,
        )
        for row in rows
    ]
    return record_outcomes(
        house, observed, caller=reporter(), idempotency_key=None, request_digest=None
    )


def alarmed(api, **more):
    """A house with a crossed policy and its report issued; the policy's leaf."""
    leaf = sign(api.house, **more)
    surprise(api.house, predict_many(api))
    issue_correctness(api.house, actor_id="house:scheduler")
    return leaf


# --- raised ------------------------------------------------------------------------------------


def test_a_crossed_policy_raises_one_alarm_with_its_evidence_and_halts_the_model(api):
    leaf = alarmed(api)
    (alarm,) = api.risk.get("/v1/alarms").get_json()["alarms"]
    assert (alarm["severity"], alarm["state"], alarm["cause"]) == ("red", "open", "limit")
    assert alarm["policy_leaf"] == leaf
    assert alarm["model"] == {"name": NAME, "model_digest": digest_of(api.house)}
    outcomes = [entry.index for entry in api.house.ledger.entries(type="outcome")]
    evidence = alarm["evidence"]
    assert (evidence["first_outcome_leaf"], evidence["last_outcome_leaf"]) == (
        outcomes[0],
        outcomes[-1],
    )
    assert evidence["count"] == 40
    assert evidence["since"] is not None
    assert alarm["halted"]["state"] == "blocked"
    api.house.inventory.catalog(fresh=True)
    told = problem_of(api.predict())
    assert told["alarm_leaf"] == alarm["leaf_index"]


def test_one_alarm_shows_its_policy_its_history_and_its_evidence(api):
    leaf = alarmed(api)
    (listed,) = api.risk.get("/v1/alarms").get_json()["alarms"]
    one = api.risk.get(f"/v1/alarms/{listed['leaf_index']}").get_json()
    assert one["alarm"] == listed
    assert one["policy"]["leaf_index"] == leaf
    assert one["policy"]["on_alarm"] == "blocked"
    assert one["evidence"]["estimate"]["limit_leaf"] == leaf
    assert one["evidence"]["estimate"]["standing"] == "alarm"
    assert [act["type"] for act in one["history"]] == ["model.halted"]
    assert one["receipt"]["leaf_index"] == listed["leaf_index"]


def test_a_limit_that_stays_crossed_raises_nothing_more(api):
    alarmed(api)
    for _ in range(2):
        issue_correctness(api.house, actor_id="house:scheduler")
    counts = api.house.ledger.counts()
    assert (counts["alarm"], counts["model.halted"]) == (1, 1)


def test_a_limit_signed_after_the_forecasts_raises_nothing(api):
    """Exploratory: the figure was known before the limit was."""
    surprise(api.house, predict_many(api))
    sign(api.house)
    issue_correctness(api.house, actor_id="house:scheduler")
    report = api.risk.get("/v1/reports/correctness").get_json()["report"]
    (model,) = [m for m in report["evaluated_models"] if m["model_name"] == NAME]
    (found,) = [e for e in model["estimates"] if e["limit_leaf"] is not None]
    assert found["standing"] == "exploratory"
    assert "alarm" not in api.house.ledger.counts()


def test_after_closing_only_later_outcomes_raise_again(api):
    alarmed(api, on_alarm="alert")
    (first,) = alarms(api.house.ledger)
    close(api.house, first.leaf, comment="a known event", actor_id="risk-1")
    issue_correctness(api.house, actor_id="house:scheduler")
    assert len(alarms(api.house.ledger)) == 1
    surprise(api.house, predict_many(api))
    issue_correctness(api.house, actor_id="house:scheduler")
    found = alarms(api.house.ledger)
    assert [alarm.state for alarm in found] == ["closed", "open"]
    assert found[1].data["first_leaf"] > found[0].acts[-1].leaf


def test_what_a_crash_left_undone_between_alarm_and_halt_is_done_next(api, monkeypatch):
    def crash(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("service.correctness.halt_what_is_due", crash)
    with pytest.raises(KeyboardInterrupt):
        alarmed(api)
    monkeypatch.undo()
    assert switch_of(api.house).halt_of(digest_of(api.house)) is None
    issue_correctness(api.house, actor_id="house:scheduler")
    assert switch_of(api.house).halt_of(digest_of(api.house)).state == "blocked"
    assert api.house.ledger.counts()["alarm"] == 1


def test_an_alert_only_policy_raises_amber_and_halts_nothing(api):
    alarmed(api, on_alarm="alert")
    (alarm,) = api.risk.get("/v1/alarms").get_json()["alarms"]
    assert (alarm["severity"], alarm["halted"]) == ("amber", None)
    api.house.inventory.catalog(fresh=True)
    assert api.predict().status_code == 200


def test_a_second_process_does_not_raise_it_again(api):
    leaf = sign(api.house)
    surprise(api.house, predict_many(api))
    other = assemble(api.house.settings)
    for house in (api.house, other):
        issue_correctness(house, actor_id="house:scheduler")
    assert api.house.ledger.counts()["alarm"] == 1
    assert alarms(other.ledger)[0].data["policy_leaf"] == leaf
    other.engine.dispose()


def test_a_job_has_one_open_alarm_for_each_cause(house):
    told = {"detail": "it failed", "actor_id": "house:scheduler"}
    assert raise_about_job(house, "drift", cause="job_failed", **told)
    assert raise_about_job(house, "drift", cause="job_failed", **told) is None
    assert raise_about_job(house, "drift", cause="job_missed", **told)
    assert raise_about_job(house, "seal", cause="job_failed", **told)
    (first, *_) = alarms(house.ledger)
    close(house, first.leaf, comment="repaired", actor_id="ops")
    assert raise_about_job(house, "drift", cause="job_failed", **told)


# --- acted upon --------------------------------------------------------------------------------


@pytest.fixture
def alarm(api):
    done = raise_about_job(
        api.house, "drift", cause="job_failed", detail="it failed", actor_id="house:scheduler"
    )
    return f"/v1/alarms/{done.index}"


def act(api, alarm, what, comment="I am looking at it", caller=None):
    return (caller or api.risk).post(f"{alarm}/{what}", {"comment": comment})


def test_acts_are_entries_with_the_persons_name_and_words(api, alarm):
    for what in ("acknowledge", "comment", "close", "comment"):
        told = act(api, alarm, what, f"the {what}").get_json()
        body = unsigned_body(told["receipt"]["entry"].encode())
        assert body["actor_id"] == "risk-person"
        assert body["data"]["comment"] == f"the {what}"
        assert body["parents"] == [body["data"]["alarm_leaf"]]
    one = api.risk.get(alarm).get_json()
    assert [entry["type"] for entry in one["history"]] == [
        "alarm.acknowledged",
        "alarm.commented",
        "alarm.closed",
        "alarm.commented",
    ]
    assert one["alarm"]["acknowledged"]["by"] == "risk-person"
    assert one["alarm"]["closed"]["comment"] == "the close"


@pytest.mark.parametrize(
    ("before", "what", "code"),
    [
        (["acknowledge"], "acknowledge", "alarm-acknowledged"),
        (["close"], "acknowledge", "alarm-closed"),
        (["close"], "close", "alarm-closed"),
    ],
)
def test_nothing_is_acted_upon_twice(api, alarm, before, what, code):
    for earlier in before:
        assert act(api, alarm, earlier).status_code == 200
    refused = act(api, alarm, what)
    assert refused.status_code == 409
    assert problem_of(refused)["type"] == f"urn:assay:problem:{code}"


@pytest.mark.parametrize("comment", ["", "ok", "x" * 2001, None, 5])
def test_an_act_owes_a_comment(api, alarm, comment):
    assert act(api, alarm, "close", comment).status_code == 422
    assert act(api, alarm, "close").status_code == 200


def test_what_is_no_alarm_is_404(api):
    for leaf in (0, 10**9):
        assert api.risk.get(f"/v1/alarms/{leaf}").status_code == 404
        assert act(api, f"/v1/alarms/{leaf}", "close").status_code == 404


def test_the_list_is_narrowed_by_state_and_by_what_it_is_about(api, alarm):
    raise_about_job(api.house, "seal", cause="job_failed", detail="x", actor_id="s")
    act(api, alarm, "acknowledge")
    for query, count in (
        ("", 2),
        ("?state=open", 1),
        ("?state=acknowledged", 1),
        ("?state=closed", 0),
        ("?about=job:seal", 1),
        ("?about=job:none", 0),
    ):
        told = api.risk.get(f"/v1/alarms{query}").get_json()
        assert len(told["alarms"]) == count, query
    assert api.risk.get("/v1/alarms").get_json()["counts"] == {
        "open": 1,
        "acknowledged": 1,
        "closed": 0,
    }
    assert api.risk.get("/v1/alarms?state=red").status_code == 422


# --- policies, and two people ------------------------------------------------------------------


def asked(house, **changes):
    return {
        "model_digest": digest_of(house),
        "metric": "brier",
        "limit": "0.05",
        "side": "max",
        "window": "all",
        "minimum_labels": 30,
        "on_alarm": "blocked",
        **changes,
    }


@pytest.fixture
def second(api):
    return api.caller("risk-two", "risk")


def test_a_policy_is_changed_by_two_people_with_a_reason(api, second):
    first = api.risk.post("/v1/policies", asked(api.house)).get_json()["leaf_index"]
    changed = asked(api.house, limit="0.2", replaces=first, reason="a riskier book")
    waiting = api.risk.post("/v1/policies", changed).get_json()["proposal_id"]
    assert api.house.ledger.counts()["policy"] == 1
    alone = api.risk.post(f"/v1/proposals/{waiting}/confirm", {})
    assert alone.status_code == 403
    assert problem_of(alone)["type"] == "urn:assay:problem:same-person"
    done = second.post(f"/v1/proposals/{waiting}/confirm", {}).get_json()
    body = unsigned_body(done["receipt"]["entry"].encode())
    assert (body["actor_id"], body["data"]["second_person"]) == ("risk-person", "risk-two")
    assert (body["data"]["replaces"], body["data"]["reason"]) == (first, "a riskier book")
    again = second.post(f"/v1/proposals/{waiting}/confirm", {})
    assert problem_of(again)["type"] == "urn:assay:problem:proposal-decided"
    listed = api.risk.get(f"/v1/policies?model_digest={digest_of(api.house)}").get_json()
    assert [p["replaced_at"] for p in listed["policies"]] == [done["leaf_index"], None]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 409),
        ({"limit": "0.9"}, 409),
        ({"replaces": 0, "reason": "because"}, 422),
        ({"replaces": "first"}, 422),
        ({"replaces": "first", "reason": "because"}, 200),
        ({"window": "50"}, 200),
        ({"side": "min"}, 200),
        ({"on_alarm": "explode"}, 422),
        ({"metric": "beauty"}, 422),
        ({"detector": "wizard"}, 422),
    ],
    ids=str,
)
def test_a_policy_in_force_is_not_slipped_past(api, changes, status):
    first = api.risk.post("/v1/policies", asked(api.house)).get_json()["leaf_index"]
    changes = {k: first if v == "first" else v for k, v in changes.items()}
    answer = api.risk.post("/v1/policies", asked(api.house, **changes))
    assert answer.status_code == status, answer.get_data(as_text=True)


def test_a_plain_limit_cannot_replace_a_policy_alone(api):
    body = asked(api.house)
    assert api.risk.post("/v1/policies", body).status_code == 200
    limit = {name: value for name, value in body.items() if name != "on_alarm"}
    refused = api.admin.post("/v1/admin/limits", {**limit, "limit": "0.9"})
    assert refused.status_code == 409


def test_a_resumption_takes_two_people_and_forgets_no_later_halt(api, second):
    body = {"model_digest": digest_of(api.house), "state": "blocked", "reason": "odd prices"}
    assert api.risk.post("/v1/halts", body).status_code == 200
    ask = {"model_digest": digest_of(api.house), "reason": "repaired"}
    waiting = api.risk.post("/v1/resumptions", ask).get_json()["proposal_id"]
    assert api.risk.post("/v1/halts", {**body, "state": "shadow"}).status_code == 200
    refused = second.post(f"/v1/proposals/{waiting}/confirm", {})
    assert problem_of(refused)["type"] == "urn:assay:problem:halted-again"
    fresh = api.risk.post("/v1/resumptions", ask).get_json()["proposal_id"]
    assert second.post(f"/v1/proposals/{fresh}/confirm", {}).status_code == 200
    assert api.trader.get("/v1/halts").get_json()["halts"] == []


def test_a_rejected_or_old_proposal_is_over(api, second):
    body = {"model_digest": digest_of(api.house), "state": "blocked", "reason": "odd prices"}
    api.risk.post("/v1/halts", body)
    ask = {"model_digest": digest_of(api.house), "reason": "repaired"}
    waiting = api.risk.post("/v1/resumptions", ask).get_json()["proposal_id"]
    assert api.risk.post(f"/v1/proposals/{waiting}/reject", {}).status_code == 200
    assert second.post(f"/v1/proposals/{waiting}/confirm", {}).status_code == 409
    old = api.risk.post("/v1/resumptions", ask).get_json()["proposal_id"]
    from datetime import timedelta

    from service.proposals import PROPOSAL_LIFE

    later = assemble(
        api.house.settings,
        lambda: api.house.clock() + PROPOSAL_LIFE + timedelta(minutes=1),
    )
    late = Api(later)
    refused = late.caller("risk-late", "risk").post(f"/v1/proposals/{old}/confirm", {})
    assert "expired" in problem_of(refused)["detail"]
    later.engine.dispose()


# --- proofs ------------------------------------------------------------------------------------


def test_an_export_with_alarms_is_checked_and_holds_their_evidence(api, tmp_path):
    from ledger.layout import DirectorySource
    from ledger.verify import verify_export
    from service.exporting import export_house

    alarmed(api)
    directory = export_house(api.house, tmp_path / "export")
    findings = verify_export(DirectorySource(directory), api.house.ledger.vkey)
    assert list(findings.findings) == []
    digest = alarms(api.house.ledger)[0].data["evidence_digest"]
    blob = directory / "blobs" / digest.removeprefix("sha256:")
    assert json.loads(blob.read_bytes())["estimate"]["metric"] == "brier"
