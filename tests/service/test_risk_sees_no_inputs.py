"""Risk reads figures, alarms and reports, and no raw input: every GET route and page there is."""

import re

import pytest

from houses import Api, credit_rows, make_house, reporter
from service.alerts_read import alarms
from service.auth import Scope
from service.correctness import issue_correctness
from service.honesty import issue_honesty
from service.lifecycle import LimitTerms
from service.outcomes import Observed, record_outcomes
from service.policies import sign_policy

NAME = "credit-default"
MARK = 987_654  # an input that nobody else has
PERSON = "person-the-risk-desk-may-not-know"
# As text, and as the bits of a float32; standing alone, since hashes hold every run of digits.
LOOKS = re.compile(
    rb"(?<![0-9a-f])(987,?654|49712060|60207149)(?![0-9a-f])|" + PERSON.encode(), re.IGNORECASE
)


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A house with an alarm about a model whose every recorded row holds the mark."""
    house = make_house(tmp_path_factory.mktemp("risk") / "house")
    api = Api(house)
    name = next(n for n in credit_rows(1)[0] if "amt" in n.lower() or "bal" in n.lower())
    rows = [{**row, name: MARK} for row in credit_rows(40)]
    digest = house.inventory.resolve(NAME).digest
    terms = LimitTerms("brier", "0.0001", "max", "0", "all", 30, "threshold")
    sign_policy(house, digest=digest, terms=terms, on_alarm="shadow", actor_id="risk-1")
    answer = api.trader.post("/v1/predictions", {"model": NAME, "rows": rows, "subject": PERSON})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    told = answer.get_json()["rows"]
    columns = {n: [row[n] for row in rows[:3]] for n in rows[0]}
    batch = api.trader.post("/v1/predictions:batch", {"model": NAME, "columns": columns})
    assert batch.status_code == 200, batch.get_data(as_text=True)
    api.predict(rows[0])
    observed = [Observed(r["prediction_id"], "1", house.now()[:10], None, None) for r in told]
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)
    issue_correctness(house, actor_id="s")
    issue_honesty(house, actor_id="s")
    assert alarms(house.ledger)
    yield api
    house.engine.dispose()


def addresses(api, rule):
    """A route with everything that may stand in it."""
    house = api.house
    predictions = [e.index for e in house.ledger.entries(type="prediction")]
    alarm = alarms(house.ledger)[0].leaf
    if "prediction_id" in rule:
        values = [str(leaf) for leaf in predictions] + [f"{leaf}.0" for leaf in predictions]
        return [re.sub(r"<[a-z:]*prediction_id>", value, rule) for value in values]
    if "leaf_index" in rule or "<int:leaf>" in rule:
        leaves = [*range(house.ledger.size)] if "entries" in rule else [alarm]
        return [re.sub(r"<int:[a-z_]+>", str(leaf), rule) for leaf in leaves]
    size = house.ledger.size
    digest = house.inventory.resolve(NAME).digest
    known = {
        "name": NAME,
        "rest": f"entries/000.p/{size}",
        "tab": "figures",
        "metric": "brier",
        "proposal_id": "0",
        "digest": digest,
        "model_digest": digest,
    }
    path = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", lambda match: known.get(match[1], NAME), rule)
    query = {
        "/v1/policies": f"?model_digest={digest}",
        "/v1/ledger/entries": "?newest=true&limit=200",
        "/v1/ledger/proof/inclusion": "?leaf_index=1",
        "/v1/ledger/proof/consistency": "?first=1",
    }
    return [path + query.get(path, "")]


def test_no_get_route_or_page_shows_risk_an_input(marked):
    browser = marked.browser(marked.risk)
    seen, answered = [], set()
    for rule in marked.app.url_map.iter_rules():
        if "GET" not in rule.methods:
            continue
        for path in addresses(marked, rule.rule):
            asked = marked.risk.get(path) if path.startswith("/v1/") else browser.get(path)
            body = asked.get_data()
            if asked.status_code == 200:
                answered.add(rule.rule)
            seen += [(path, look) for look in LOOKS.findall(body)]
    assert seen == []
    for rule in ("/v1/alarms/<int:leaf_index>", "/v1/predictions/<prediction_id>", "/alarms"):
        assert rule in answered, f"{rule} was not looked at"


def test_the_mark_would_be_seen_where_it_is_shown(marked):
    (leaf, *_) = [e.index for e in marked.house.ledger.entries(type="prediction")]
    shown = marked.auditor.get(f"/v1/predictions/{leaf}.0").get_data()
    assert LOOKS.search(shown)


@pytest.mark.parametrize("path", ["/v1/reports/correctness", "/v1/halts", "/v1/policies"])
def test_no_answer_to_a_risk_persons_act_shows_one(marked, path):
    digest = marked.house.inventory.resolve("trade-signal").digest
    body = {
        "/v1/reports/correctness": {},
        "/v1/halts": {"model_digest": digest, "state": "shadow", "reason": "a test"},
        "/v1/policies": {
            "model_digest": digest,
            "metric": "hit_rate",
            "limit": "0.4",
            "side": "min",
        },
    }[path]
    answer = marked.risk.post(path, body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert not LOOKS.search(answer.get_data())


@pytest.mark.parametrize("path", ["/v1/ledger/export", "/v1/outcomes", "/v1/predictions"])
def test_what_holds_inputs_is_shut_to_risk(marked, path):
    scopes = {Scope.RISK}
    caller = marked.caller("risk-only", *scopes)
    answer = caller.get(path) if path.endswith("export") else caller.post(path, {})
    assert answer.status_code == 403


def test_a_message_about_an_alarm_holds_no_input_and_no_person(marked):
    from service.alerts_delivery import message

    for alarm in alarms(marked.house.ledger):
        told = message(marked.house, alarm)
        assert not LOOKS.search(f"{told.title} {told.body}".encode())
