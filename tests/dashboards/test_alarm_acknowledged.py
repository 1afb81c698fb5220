"""One alarm from its signed limit to its end, over the real service and in a real browser.

A limit that the signal cannot keep is signed, days are predicted and turn out, a report crosses the
limit, and a person of the risk department sees it, acknowledges it and closes it on the page.
"""

import threading

import pytest
from werkzeug.serving import make_server

from houses import Api, make_house, signal_days
from models.reference import trade_signal

pytestmark = pytest.mark.browser
DAYS = 32  # two more than the hit rate asks for


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    found = Api(make_house(tmp_path_factory.mktemp("alarm") / "house", ("trade-signal",)))
    digest = found.risk.get("/v1/models").get_json()["models"][0]["latest_digest"]
    limit = {"metric": "hit_rate", "limit": "0.99", "side": "min", "minimum_labels": 20}
    signed = found.risk.post("/v1/policies", limit | {"model_digest": digest})
    assert signed.status_code == 200, signed.get_data(as_text=True)
    for day in signal_days(DAYS):
        asked = {"features": day.of(trade_signal.FEATURES), "as_of": day.as_of}
        answer = found.trader.post("/v1/predictions", asked | {"model": "trade-signal"})
        row = f"{answer.get_json()['leaf_index']}.0"
        told = {"prediction_id": row, "value": "-0.5", "observed_at": day.outcome_date}
        assert found.outcomes.post("/v1/outcomes", {"outcomes": [told]}).status_code == 200
    for kind in ("honesty", "correctness"):
        assert found.admin.post(f"/v1/reports/{kind}", {}).status_code == 200
    return found


@pytest.fixture
def open_as(api, browser):
    """Sign a caller in and open a path."""
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    contexts = []

    def go(caller, path):
        context = browser.new_context(base_url=f"http://127.0.0.1:{server.server_port}")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        token = api.house.callers.make_link(caller.key_id)
        page.goto(f"/sign-in?token={token}&next={path}")
        return page

    yield go
    for context in contexts:
        context.close()
    server.shutdown()
    thread.join()
    server.server_close()


def newest(api, kind):
    (found,) = api.house.ledger.entries(type=kind, newest=True, limit=1)
    return found.index


def test_an_alarm_is_acknowledged_and_closed_from_the_page(api, open_as):
    page = open_as(api.risk, "/")
    told = page.locator("section.watch table")
    assert "Hit rate" in page.locator(".register").inner_text()
    told.get_by_role("link").first.click()
    leaf = newest(api, "alarm")
    assert page.url.endswith(f"/alarms/{leaf}")
    assert f"{DAYS} read" in page.locator("main").inner_text()
    page.get_by_label("Comment, kept in the log under the name risk-person").fill("on it")
    page.get_by_role("button", name="Acknowledge").click()
    page.wait_for_url(f"**/alarms/{leaf}?done=acknowledge*")
    assert "Acknowledged" in page.locator(".states").inner_text()
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    acknowledged = newest(api, "alarm.acknowledged")
    assert page.locator(f"#entry-{acknowledged} .quote").inner_text() == "on it"
    assert page.url.endswith(f"#entry-{acknowledged}")
    page.get_by_label("Comment").fill("the limit was a test of ours")
    page.get_by_role("button", name="Close").click()
    page.wait_for_url(f"**/alarms/{leaf}?done=close*")
    assert "Closed" in page.locator(".states").inner_text()
    page.goto("/")
    assert "No alarm stands open" in page.locator("section.watch").inner_text()
    alarm = api.risk.get(f"/v1/alarms/{leaf}").get_json()["alarm"]
    assert alarm["state"] == "closed"
    assert alarm["acknowledged"]["by"] == alarm["closed"]["by"] == "risk-person"
    assert alarm["acknowledged"]["comment"] == "on it"


def test_the_auditor_sees_it_and_has_no_form(api, open_as):
    page = open_as(api.auditor, f"/alarms/{newest(api, 'alarm')}")
    assert page.locator("#evidence").is_visible()
    assert page.locator("form.act, textarea").count() == 0
    assert "scope risk or admin" in page.locator("main").inner_text()
