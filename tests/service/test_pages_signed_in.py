"""The pages over the real API: signing in and out, what each role is shown, where a form may lead."""

import threading
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest

from houses import Api, break_storage, credit_rows, make_house, signal_days
from models.reference import trade_signal
from service.assembly import assemble
from service.auth import LINK_LIFE
from service.clock import system_clock


@pytest.fixture(scope="module")
def api(open_api):
    """A house with something on every page: predictions, outcomes, a limit, a seal, both reports."""
    (day,) = signal_days(1)
    body = {"model": "trade-signal", "features": day.of(trade_signal.FEATURES), "as_of": day.as_of}
    leaf = open_api.trader.post("/v1/predictions", body).get_json()["leaf_index"]
    told = {"prediction_id": f"{leaf}.0", "value": "0.5", "observed_at": day.outcome_date}
    open_api.outcomes.post("/v1/outcomes", {"outcomes": [told]})
    open_api.admin.post("/v1/admin/seals", {"period": "2026-11-24"})
    for kind in ("honesty", "correctness"):
        open_api.admin.post(f"/v1/reports/{kind}", {})
    halt = {"model_digest": model_digest(open_api), "state": "shadow", "reason": "a look at it"}
    open_api.risk.post("/v1/halts", halt)
    open_api.alarm = open_api.risk.get("/v1/alarms").get_json()["alarms"][0]["leaf_index"]
    open_api.leaf = open_api.predict(credit_rows(1)[0] | {"limit_bal": 123_457}).get_json()[
        "leaf_index"
    ]
    return open_api


def model_digest(api):
    models = api.risk.get("/v1/models").get_json()["models"]
    return next(m["latest_digest"] for m in models if m["name"] == "trade-signal")


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def text_of(answer):
    return unescape(answer.get_data(as_text=True))


# --- signing in ----------------------------------------------------------------------------------


def test_the_form_asks_for_a_key_and_nothing_else(api):
    page = api.nobody.get("/sign-in")
    assert page.status_code == 200
    assert 'name="api_key"' in text_of(page)
    assert 'type="password"' in text_of(page)


def test_a_key_signs_in_and_leads_to_where_one_was_going(api):
    browser = api.app.test_client()
    asked = browser.get("/ledger?before=9")
    assert asked.status_code == 302
    form = browser.get(asked.headers["Location"])
    assert 'value="/ledger?before=9"' in text_of(form)
    answer = browser.post("/sign-in", data={"api_key": f" {api.risk.key}\n", "next": "/ledger"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/ledger")
    assert browser.get("/ledger").status_code == 200


def test_the_cookie_holds_no_secret_and_no_script_reads_it(api):
    answer = api.app.test_client().post("/sign-in", data={"api_key": api.risk.key})
    cookie = answer.headers["Set-Cookie"]
    assert api.risk.key[-43:] not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("key", ["", "nonsense", "assay_" + "0" * 16 + "_" + "A" * 43])
def test_an_unknown_key_is_told_on_the_form_and_not_repeated(api, key):
    browser = api.app.test_client()
    answer = browser.post("/sign-in", data={"api_key": key, "next": "/ledger"})
    assert answer.status_code == 401
    assert "not known here" in text_of(answer)
    assert 'value="/ledger"' in text_of(answer)
    assert not key or key not in text_of(answer)
    assert browser.get("/").status_code == 302


def test_a_one_time_link_works_once(api):
    token = api.house.callers.make_link(api.risk.key_id)
    first, second = api.app.test_client(), api.app.test_client()
    assert first.get(f"/sign-in?token={token}&next=/ledger").headers["Location"] == "/ledger"
    again = second.get(f"/sign-in?token={token}")
    assert "used already" in text_of(again)
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 302


def test_of_many_who_use_a_link_at_once_one_is_signed_in(api):
    token = api.house.callers.make_link(api.risk.key_id)
    barrier, signed_in = threading.Barrier(8), []

    def race():
        barrier.wait()
        signed_in.append(api.house.callers.use_link(token))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [who.key_id for who in signed_in if who] == [api.risk.key_id]


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "ü" * 20, "x" * 5000])
def test_a_token_nobody_made_opens_nothing(api, token):
    browser = api.app.test_client()
    assert browser.get(f"/sign-in?token={token}").status_code == 200
    assert browser.get("/").status_code == 302


def test_a_link_grows_old(tmp_path):
    house = make_house(tmp_path / "house", models=())
    late = [timedelta(0)]
    api = Api(assemble(house.settings, lambda: system_clock() + late[0]))
    tokens = [api.house.callers.make_link(api.risk.key_id) for _ in range(2)]
    late[0] = LINK_LIFE - timedelta(seconds=5)
    assert api.app.test_client().get(f"/sign-in?token={tokens[0]}").status_code == 302
    late[0] = LINK_LIFE + timedelta(seconds=5)
    assert "too old" in text_of(api.app.test_client().get(f"/sign-in?token={tokens[1]}"))


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "https://evil.example",
    "https:evil.example",
    "HTTPS://evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "evil.example",
    "@evil.example",
    "//[",
    "http://[::1",
    "//evil.example:99999999",
    "",
]


@pytest.mark.parametrize("target", ELSEWHERE)
@pytest.mark.parametrize("way", ["form", "link"])
def test_signing_in_never_leads_to_another_site(api, target, way):
    if way == "form":
        answer = api.app.test_client().post(
            "/sign-in", data={"api_key": api.risk.key, "next": target}
        )
    else:
        token = api.house.callers.make_link(api.risk.key_id)
        answer = api.app.test_client().get(f"/sign-in?token={token}&next={quote(target)}")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("target", ["/", "/ledger", "/models/x?y=//z", "/ledger/entries/3"])
def test_signing_in_leads_to_any_page_here(api, target):
    answer = api.app.test_client().post("/sign-in", data={"api_key": api.risk.key, "next": target})
    assert answer.headers["Location"] == target


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_signs_nobody_in_or_out(api, path, site):
    browser = api.browser(api.risk)
    form = {"api_key": api.admin.key}
    refused = browser.post(path, data=form, headers={"Sec-Fetch-Site": site})
    assert refused.status_code == 403
    assert "Set-Cookie" not in refused.headers
    assert browser.get("/").status_code == 200


def test_signing_out_ends_the_session(api):
    browser = api.browser(api.risk)
    answer = browser.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["Location"].startswith("/sign-in")
    assert browser.get("/").status_code == 302
    assert browser.get("/v1/models").status_code == 401


# --- pages ---------------------------------------------------------------------------------------


def pages(api):
    return {
        "/": ["Computed honestly", "Computed correctly", "credit-default", "trade-signal"],
        "/models/credit-default": ["credit-default", "Computed honestly"],
        "/models/trade-signal": ["trade-signal", "Computed correctly"],
        "/models/trade-signal/performance": ["Hit rate", "assay report correctness --leaf"],
        "/models/trade-signal/labels": ["Matured and labelled"],
        "/models/trade-signal/slices": ["holds no slices"],
        "/models/trade-signal/drift": ["Leading indicator, not accuracy"],
        "/models/trade-signal/alarms": ["Red", "a look at it"],
        "/models/trade-signal/limits": ["signed before the data"],
        "/models/trade-signal/challenger": ["No challenger"],
        "/models/trade-signal/versions": ["model-validation"],
        "/models/trade-signal/board-pack": ["Sign-off", "Risk committee"],
        "/models/trade-signal/figures/hit-rate.csv": ["Window,Value,Low,High,Rows"],
        "/register": ["Register of models", "trade-signal"],
        f"/register/{model_digest(api)}": ["trade-signal"],
        "/hub": ["Find a model", "credit-default", "Computed honestly"],
        "/alarms": ["trade-signal", "a look at it"],
        f"/alarms/{api.alarm}": ["a look at it", "shadow"],
        "/ledger": ["test.example/log", "prediction", "outcome", "2026-11-24"],
        f"/ledger/entries/{api.leaf}": ["prediction", "trader-person", "test.example/log"],
        f"/predictions/{api.leaf}": ["credit-default", "test.example/log"],
        f"/predictions/{api.leaf}.0": ["credit-default"],
        "/docs": ["/v1/predictions", "Idempotency-Key", "/v1/ledger/proof/consistency"],
    }


@pytest.mark.parametrize("number", range(23))
@pytest.mark.parametrize("scope", ["risk", "auditor"])
def test_every_page_renders_over_the_real_api(api, number, scope):
    path, expected = list(pages(api).items())[number]
    page = api.browser(getattr(api, scope)).get(path)
    assert page.status_code == 200, text_of(page)
    for word in expected:
        assert word in text_of(page), word
    if path.endswith(".csv"):
        assert page.content_type.startswith("text/csv")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "private, no-store"


def test_every_page_of_the_dashboards_is_rendered_here(api):
    matched = api.app.url_map.bind("localhost")
    seen = {matched.match(path)[0] for path in pages(api)}
    all_pages = {
        r.endpoint for r in api.app.url_map.iter_rules() if r.endpoint[:11] == "dashboards."
    }
    assert all_pages - seen == {
        "dashboards.static",
        "dashboards.find",
        "dashboards.figure",
        "dashboards.alarm_act",
        "dashboards.proposal_act",
        "dashboards.pairs_csv",
    }


def test_only_the_auditor_is_shown_inputs(api):
    for scope, shown in (("risk", False), ("auditor", True)):
        browser = api.browser(getattr(api, scope))
        for path in (f"/predictions/{api.leaf}", f"/predictions/{api.leaf}.0"):
            page = text_of(browser.get(path)).replace(",", "").replace("\u2009", "")
            assert ("123457" in page) == shown, f"{scope} {path}"
        assert "123457" not in text_of(browser.get(f"/ledger/entries/{api.leaf}"))


def test_risk_is_shown_no_input_on_any_page(api):
    browser = api.browser(api.risk)
    for path in pages(api):
        page = text_of(browser.get(path)).replace(",", "").replace("\u2009", "")
        assert "123457" not in page, path


def act(browser, api, word, comment="seen by me", **headers):
    return browser.post(f"/alarms/{api.alarm}/{word}", data={"comment": comment}, headers=headers)


def test_a_form_records_an_act_in_the_readers_name(api):
    browser = api.browser(api.risk)
    assert 'formaction="/alarms/' in text_of(browser.get(f"/alarms/{api.alarm}"))
    done = act(browser, api, "comment", "the feed of a holiday")
    assert done.status_code == 303
    page = text_of(browser.get(done.headers["Location"]))
    assert "the feed of a holiday" in page
    assert "risk-person" in page
    assert "recorded in the log, with your name" in page


def test_a_form_that_is_refused_says_why_and_keeps_what_was_typed(api):
    page = act(api.browser(api.risk), api, "comment", "x<y")
    assert page.status_code == 303
    refused = act(api.browser(api.risk), api, "comment", "no")
    assert refused.status_code == 422
    assert "comment" in text_of(refused)
    assert 'aria-invalid="true"' in text_of(refused)
    assert ">no</textarea>" in text_of(refused)


def test_an_auditor_has_no_form_and_its_act_is_refused(api):
    browser = api.browser(api.auditor)
    assert "<textarea" not in text_of(browser.get(f"/alarms/{api.alarm}"))
    before = api.house.ledger.size
    assert act(browser, api, "close").status_code == 403
    assert api.house.ledger.size == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_sent_by_another_site_does_nothing(api, site):
    before = api.house.ledger.size
    answer = act(api.browser(api.risk), api, "close", **{"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert api.house.ledger.size == before


def test_a_stranger_acts_on_nothing(api):
    before = api.house.ledger.size
    assert act(api.app.test_client(), api, "close").status_code == 302
    assert api.house.ledger.size == before


@pytest.mark.parametrize("word", ["reopen", "..", "delete"])
def test_there_are_three_acts_and_no_more(api, word):
    assert act(api.browser(api.risk), api, word).status_code == 404


def test_a_trader_is_shown_the_log_and_no_reports(api):
    browser = api.browser(api.trader)
    page = browser.get("/")
    assert page.status_code == 200
    assert "auditor" in text_of(page), "the page says which scope is missing"
    other = api.browser(api.caller("other-desk", "trader"))
    assert other.get(f"/predictions/{api.leaf}").status_code == 403
    assert browser.get(f"/predictions/{api.leaf}").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/nothing", 404),
        ("/ledger/entries/100000", 404),
        ("/predictions/0", 404),
        ("/predictions/x", 422),
        ("/predictions/007", 422),
        ("/find?id=x", 404),
    ],
)
def test_what_is_not_there_is_a_page_too(api, path, status):
    page = api.browser(api.risk).get(path)
    assert page.status_code == status
    assert page.content_type.startswith("text/html")
    assert "Traceback" not in text_of(page)


def test_a_number_typed_in_finds_its_page(api):
    browser = api.browser(api.risk)
    assert browser.get(f"/find?id={api.leaf}").headers["Location"] == f"/ledger/entries/{api.leaf}"
    assert browser.get(f"/find?id={api.leaf}.0").headers["Location"].endswith(f"/{api.leaf}.0")


def test_a_page_shows_what_the_api_answers(api):
    told = api.risk.get("/v1/ledger").get_json()
    page = text_of(api.browser(api.risk).get("/ledger"))
    assert told["root_hash"] in page or told["root_hash"][:12] in page
    assert str(told["tree_size"]) in page.replace(",", "").replace("\u202f", "")


def test_reading_pages_records_nothing(api):
    size = api.house.ledger.size
    browser = api.browser(api.auditor)
    for path in pages(api):
        browser.get(path)
    assert api.house.ledger.size == size


def test_a_house_with_nothing_in_it_has_pages(tmp_path):
    api = Api(make_house(tmp_path / "house", models=()))
    browser = api.browser(api.risk)
    for path in ("/", "/ledger", "/docs", "/ledger/entries/0"):
        assert browser.get(path).status_code == 200, path


def test_a_log_that_cannot_be_read_is_told_on_the_page(house):
    api = Api(house)
    browser = api.browser(api.risk)
    assert browser.get("/ledger").status_code == 200
    break_storage(house)
    page = browser.get("/ledger", headers=BROWSER)
    assert page.status_code == 503
    assert page.content_type.startswith("text/html")
    assert "ledger_head" not in text_of(page)


@pytest.mark.parametrize("path", ["/nothing", "/ledger/entries/x", "/models"])
def test_a_browser_is_told_in_a_page_and_a_program_in_a_problem(api, path):
    page = api.nobody.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert page.content_type.startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for accept in (None, "*/*", "application/json"):
        headers = {} if accept is None else {"Accept": accept}
        assert api.nobody.get(path, headers=headers).content_type == "application/problem+json"
    under_v1 = api.nobody.get("/v1/nothing", headers=BROWSER)
    assert under_v1.content_type == "application/problem+json"
