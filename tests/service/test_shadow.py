"""Challengers answer the same requests, for the record alone; compared; a decision names it."""

import dataclasses
import json

import pytest

from houses import Api, credit_rows, packages, problem_of, reporter
from ledger.record import unsigned_body
from models.hub.publish import Package
from service import shadow
from service.assembly import assemble
from service.champion import issue_comparison
from service.correctness import issue_correctness
from service.erasure import Order, erase
from service.export_reading import as_house
from service.exporting import export_house
from service.lifecycle import approve, promote, withdraw
from service.outcomes import Observed, record_outcomes
from service.publishing import DEVELOPER, VALIDATOR, publish_package
from service.recomputing import recompute
from service.shadow import score_shadows

NAME = "credit-default"


def challenge(house, version="1.0.1", alias="challenger"):
    """The same trees as another version, behind an alias that answers nobody."""
    package = packages()[NAME]
    manifest = dataclasses.replace(package.manifest, version=version)
    digest = publish_package(house, Package(manifest, package.blobs), actor_id=DEVELOPER)
    approve(house, digest=digest, reason="a test", actor_id=VALIDATOR)
    promote(house, digest=digest, alias=alias, reason="a test", actor_id=VALIDATOR)
    return digest


def answers(house, digest):
    """Parent by leaf of each answer of a version."""
    found = {}
    for stored in house.ledger.entries(type="prediction", ref=digest):
        found[stored.index] = unsigned_body(stored.entry)["parents"]
    return found


def outcomes(house, rows, value=lambda place: str(place % 2)):
    observed = [
        Observed(row, value(place), house.now()[:10], None, None) for place, row in enumerate(rows)
    ]
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)


def ask_many(api, count, **more):
    body = {"model": NAME, "rows": credit_rows(count), **more}
    return [r["prediction_id"] for r in api.trader.post("/v1/predictions", body).get_json()["rows"]]


# --- shadow answers ----------------------------------------------------------------------------


def test_the_same_requests_are_answered_again_with_evidence_and_the_champion_as_parent(api):
    house = api.house
    before = api.predict().get_json()["leaf_index"]
    digest = challenge(house)
    one = api.predict(as_of="2026-01-01").get_json()
    many = ask_many(api, 3)
    assert score_shadows(house) == f"{NAME}@challenger: 2 scored, 0 left out"
    found = answers(house, digest)
    assert list(found.values()) == [[one["leaf_index"]], [int(many[0].partition(".")[0])]]
    assert before not in {leaf for leaves in found.values() for leaf in leaves}
    body = unsigned_body(house.ledger.entry(min(found)).entry)
    assert body["actor_id"] == "house:shadow"
    assert body["data"]["as_of"] == "2026-01-01"
    assert body["data"]["model_digest"] == digest
    mine = api.risk.get(f"/v1/predictions/{min(found)}").get_json()["rows"][0]
    assert mine["outputs"] == one["rows"][0]["outputs"], "the same trees, the same inputs"


def test_nothing_is_answered_twice_by_one_process_or_two(api):
    house = api.house
    digest = challenge(house)
    ask_many(api, 2)
    other = assemble(house.settings)
    assert score_shadows(house)
    assert score_shadows(other) == ""
    assert len(answers(house, digest)) == 1
    other.engine.dispose()


def test_a_batch_is_answered_row_by_row(api):
    house = api.house
    digest = challenge(house)
    rows = credit_rows(4)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    told = api.trader.post("/v1/predictions:batch", {"model": NAME, "columns": columns})
    score_shadows(house)
    (leaf,) = answers(house, digest)
    body = unsigned_body(house.ledger.entry(leaf).entry)
    assert body["data"]["row_count"] == 4
    assert body["parents"] == [told.get_json()["leaf_index"]]


def test_no_caller_reads_what_a_shadow_answered(api):
    digest = challenge(api.house)
    api.predict()
    score_shadows(api.house)
    (leaf,) = answers(api.house, digest)
    refused = api.trader.get(f"/v1/predictions/{leaf}")
    assert refused.status_code == 403
    assert problem_of(refused)["type"] == "urn:assay:problem:not-yours"


def test_a_shadow_is_audited_like_any_other_answer(api):
    from service.honesty import issue_honesty

    challenge(api.house)
    api.predict()
    score_shadows(api.house)
    leaf = issue_honesty(api.house, actor_id="s").index
    digest = unsigned_body(api.house.ledger.entry(leaf).entry)["data"]["report_digest"]
    assert json.loads(api.house.blobs.get(digest))["findings"] == []


def test_erasing_the_person_erases_the_shadows_copy_too(api):
    house = api.house
    digest = challenge(house)
    ask_many(api, 2, subject="person-1")
    score_shadows(house)
    (leaf,) = answers(house, digest)
    assert house.vault.open(leaf)
    erase(house, "person-1", Order("asked", "the subject", "ops"))
    assert house.vault.open(leaf) == []


def test_what_it_cannot_answer_is_counted_on_record_and_passed(api):
    house = api.house
    digest = challenge(house)
    ask_many(api, 2, subject="person-1")
    erase(house, "person-1", Order("asked", "the subject", "ops"))
    api.predict()
    assert score_shadows(house) == f"{NAME}@challenger: 1 scored, 1 left out"
    (entry,) = house.ledger.entries(type="refusal", ref=digest)
    data = unsigned_body(entry.entry)["data"]
    assert data["cause"] == shadow.SKIPPED
    assert "1 whose inputs were erased" in data["detail"]
    assert score_shadows(house) == ""


def test_too_long_a_queue_leaves_out_the_oldest_and_says_how_many(api, monkeypatch):
    house = api.house
    digest = challenge(house)
    leaves = [api.predict().get_json()["leaf_index"] for _ in range(5)]
    monkeypatch.setattr(shadow, "BACKLOG_MAX", 2)
    assert score_shadows(house) == f"{NAME}@challenger: 2 scored, 3 left out"
    assert [parent for (parent,) in answers(house, digest).values()] == leaves[3:]
    (entry,) = house.ledger.entries(type="refusal", ref=digest)
    assert "3 over the bound of 2 waiting" in unsigned_body(entry.entry)["data"]["detail"]
    assert shadow.waiting(house, NAME, digest) == 0


def test_a_run_is_bounded_and_the_next_goes_on(api, monkeypatch):
    house = api.house
    digest = challenge(house)
    for _ in range(5):
        api.predict()
    monkeypatch.setattr(shadow, "RUN_ENTRIES", 2)
    counts = []
    for _ in range(3):
        score_shadows(house)
        counts.append(len(answers(house, digest)))
    assert counts == [2, 4, 5]


def test_a_withdrawn_challenger_answers_nothing_more(api):
    house = api.house
    digest = challenge(house)
    withdraw(house, digest=digest, reason="no good", actor_id=VALIDATOR)
    api.predict()
    assert score_shadows(house) == ""
    assert answers(house, digest) == {}


def test_two_shadows_never_answer_each_other(api):
    house = api.house
    first, second = challenge(house), challenge(house, "1.0.2", "shadow")
    asked = api.predict().get_json()["leaf_index"]
    for _ in range(3):
        score_shadows(house)
    for digest in (first, second):
        assert list(answers(house, digest).values()) == [[asked]]


# --- compared ----------------------------------------------------------------------------------


@pytest.fixture
def compared(api):
    house = api.house
    digest = challenge(house)
    rows = ask_many(api, 40)
    early = ask_many(api, 2)
    outcomes(house, early)  # known before the challenger answered
    score_shadows(house)
    outcomes(house, rows)
    return digest, issue_comparison(house, actor_id="s").index


def test_pairs_are_labelled_when_the_challenger_answered_before_the_outcome(api, compared):
    digest, leaf = compared
    told = api.risk.get(f"/v1/models/{NAME}/comparison").get_json()
    (item,) = told["comparisons"]
    assert (item["pairs"], item["labelled"], item["outcome_before_answer"]) == (42, 40, 2)
    assert item["leaf_index"] == leaf
    assert item["waiting"] == 0
    assert item["challenger"]["model_digest"] == digest
    assert item["challenger"]["alias"] == "challenger"
    (difference,) = item["differences"]
    assert difference["value"] == "0.000000", "the same trees"
    assert difference["n"] == 40


def test_a_comparison_comes_out_again_also_from_an_export(api, compared, tmp_path):
    _, leaf = compared
    reader = as_house(export_house(api.house, tmp_path / "export"))
    for house in (api.house, reader):
        done = recompute(house, leaf, "comparison")
        assert done.same


def test_the_challenger_is_judged_by_the_same_outcomes_in_the_report(api, compared):
    digest, _ = compared
    leaf = issue_correctness(api.house, actor_id="s").index
    report = api.risk.get("/v1/reports/correctness").get_json()["report"]
    mine = {m["model_digest"]: m["label_maturity"]["labelled"] for m in report["evaluated_models"]}
    assert mine[digest] == 40
    assert recompute(api.house, leaf).same


def test_without_a_challenger_there_is_nothing_to_compare(open_api):
    assert issue_comparison(open_api.house, actor_id="s") is None
    told = open_api.risk.get(f"/v1/models/{NAME}/comparison").get_json()
    assert told == {"comparisons": []}
    assert open_api.risk.get("/v1/models/nobody/comparison").status_code == 404


def test_a_promotion_is_bound_to_the_newest_reports_and_comparison(api, compared):
    from service.honesty import issue_honesty

    digest, comparison = compared
    known = [
        comparison,
        issue_correctness(api.house, actor_id="s").index,
        issue_honesty(api.house, actor_id="s").index,
    ]
    done = promote(
        api.house, digest=digest, alias="champion", reason="it is better", actor_id=VALIDATOR
    )
    body = unsigned_body(api.house.ledger.entry(done.index).entry)
    assert body["parents"] == sorted(known)
    second = Api(api.house)
    assert second.predict().get_json()["model"]["model_digest"] == digest
