"""What each page shows of what the API answered, and what it says when there is nothing to show."""

import pytest

import dashboards

HONESTY, CORRECTNESS = "/v1/reports/honesty", "/v1/reports/correctness"


def refused(status, detail="told so"):
    return dashboards.ReadError(status, {"title": "T", "status": status, "detail": detail})


def test_overview_shows_two_cards_that_may_disagree(site):
    page = site.page("/")
    assert [c["class"] for c in page.all("section", cls="card")] == [
        "card honesty",
        "card correctness",
    ]
    assert "Computed honestly Verified" in page.words
    assert "Computed correctly Alarm for 1 of 4" in page.words


def test_overview_prints_what_each_report_does_not_say(site):
    words = site.page("/").words
    assert words.count("What this report does not say") == 2
    assert "no outcome's value was read" in words
    assert "Nothing on who computed a prediction" in words


def test_honest_and_wrong_stand_side_by_side_for_one_model(site):
    words = site.page("/").words
    start = words.index("Models credit-default")
    model = words[words.index("value-at-risk Value at risk", start + 40) :][:200]
    assert "Honestly Verified Correctly Alarm" in model


def test_outcomes_never_change_the_honesty_card(site):
    def card(page):
        return page.source[page.source.index('class="card honesty"') :].split("</section>")[0]

    before = card(site.page("/"))
    site.house.answers[CORRECTNESS] = refused(404)
    assert card(site.page("/")) == before


def test_evidence_never_changes_the_correctness_card(site, sample):
    def card(page):
        return page.source[page.source.index('class="card correctness"') :].split("</section>")[0]

    before = card(site.page("/"))
    site.house.answers[HONESTY] = sample.honesty(failing="execution")
    assert card(site.page("/")) == before


def test_failure_names_the_leaf_and_the_check(site, sample):
    site.house.answers[HONESTY] = sample.honesty(failing="execution")
    page = site.page("/")
    assert "1 check failed; the first finding is execution at leaf 64" in page.words
    assert "expected 183500 (the model, run again) got 91750" in page.words
    assert {"href": "/ledger/entries/64", "class": "num"} in page.all("a")


def test_missing_report_shows_the_command_that_issues_it(site):
    site.house.answers[HONESTY] = refused(404)
    words = site.page("/").words
    assert "No honesty report yet." in words
    assert "curl -X POST" in words
    assert "/v1/reports/honesty" in words


def test_report_that_the_key_may_not_read_is_said_not_hidden(site):
    site.house.answers[CORRECTNESS] = refused(403, "this needs the scope risk")
    words = site.page("/").words
    assert "Your key may not read this report." in words
    assert "This needs the scope risk" in words


def test_no_models_yet_shows_what_to_run(site):
    site.house.answers["/v1/models"] = {"models": []}
    words = site.page("/").words
    assert "No model was published yet." in words
    assert "assay demo" in words


def test_model_page_marks_drift_as_a_leading_indicator(site):
    page = site.page("/models/value-at-risk/drift")
    assert "Leading indicator, not accuracy" in page.words
    assert "66.7% of columns moved" in page.words
    assert "carry not measured" in page.words


def test_model_page_links_every_lifecycle_entry(site):
    page = site.page("/models/value-at-risk/versions")
    for leaf in (7, 8, 9):
        assert page.all("a", href=f"/ledger/entries/{leaf}")
    assert "Model promoted to champion" in page.words


def test_model_page_shows_limit_terms_and_zone_scale(site):
    page = site.page("/models/value-at-risk/backtest")
    assert "Guarantee none: a threshold looked at repeatedly" in page.words
    assert page.all("svg", cls="light")
    assert page.all("rect", cls="here")


def test_model_without_any_report_still_has_a_page(site):
    for path in (HONESTY, CORRECTNESS, "/v1/models/trade-signal/drift"):
        site.house.answers[path] = refused(404, "nothing was measured")
    words = site.page("/models/trade-signal").words
    assert "Not evaluated" in words
    assert "Nothing was measured" in site.page("/models/trade-signal/drift").words


def test_ledger_pages_walk_from_newest_to_oldest(site):
    shown, address = [], "/ledger"
    while address:
        page = site.page(address)
        leaves = [a["href"] for a in page.all("a", cls="num") if a["href"].startswith("/ledger/e")]
        shown += [
            int(h.rsplit("/", 1)[1]) for h in leaves if h != "/ledger/entries/169" or h in shown
        ]
        older = page.all("a", rel="next")
        address = older[0]["href"] if older else None
    assert sorted(set(shown)) == [n for n in range(173) if n in shown]
    assert {0, 172} <= set(shown)
    assert len(set(shown)) >= 172


def test_ledger_newer_link_returns_to_the_page_before(site):
    older = site.page("/ledger").all("a", rel="next")[0]["href"]
    newer = site.page(older).all("a", rel="prev")[0]["href"]
    assert "123 to 172 of 173" in site.page(newer).words


def test_ledger_page_past_the_end_offers_a_way_back(site):
    assert "No entry here." in site.page("/ledger?before=0").words


def test_entry_page_shows_bytes_signature_and_neighbours(site):
    page = site.page("/ledger/entries/40")
    assert page.all("a", rel="prev", href="/ledger/entries/39")
    assert page.all("a", rel="next", href="/ledger/entries/41")
    assert page.all("a", href="/predictions/40")
    assert "q83vq83v" in page.text


@pytest.mark.parametrize(("leaf", "rel"), [(0, "prev"), (172, "next")])
def test_first_and_last_entry_have_one_neighbour(site, leaf, rel):
    assert not site.page(f"/ledger/entries/{leaf}").all("a", rel=rel)


def test_inputs_stay_hidden_unless_the_api_gives_them(site, sample):
    assert "only a key with the auditor scope sees inputs" in site.page("/predictions/64.0").words
    site.house.answers["/v1/predictions/64.0"] = sample.prediction(64, rows=1, inputs=True)
    page = site.page("/predictions/64.0")
    assert "2 inputs, opened for your key" in page.words
    assert "-4.71" in page.words


def test_prediction_shows_reasons_outcome_and_receipt(site):
    page = site.page("/predictions/64.0")
    assert "PAYMENT_STATUS Recent payments were late 0.9338" in page.words
    assert "1 observed 2026-11-25, recorded at leaf 65" in page.words
    assert page.all("a", href="/v1/predictions/64/receipt", download="receipt-64.json")
    assert len(page.all("li")) >= 8


def test_many_rows_are_listed_with_a_page_each_up_to_a_bound(site, sample):
    site.house.answers["/v1/predictions/40"] = sample.prediction(40, rows=450)
    page = site.page("/predictions/40")
    assert "450 rows" in page.words
    assert page.all("a", href="/predictions/40.199")
    assert not page.all("a", href="/predictions/40.200")
    assert "Any other row has its own page" in page.words


def test_batch_without_a_row_asks_for_one(site, sample):
    site.house.answers["/v1/predictions/40"] = sample.prediction(40, rows=3) | {"rows": []}
    page = site.page("/predictions/40")
    assert "A batch may hold 100,000 rows" in page.words
    assert page.all("input", name="id", value="40.0")


def test_row_whose_bytes_are_not_shown_has_its_path_and_hash(site):
    proof = site.house.answers["/v1/predictions/40.1"]["row_proofs"][0]
    del proof["row"]
    proof["leaf_hash"] = "ab" * 32
    page = site.page("/predictions/40.1")
    assert "not shown to your key" in page.words
    assert "ab" * 32 in page.words
    assert "data-row" not in page.source


def test_row_page_shows_the_path_to_its_request(site):
    assert "The request held 3 rows" in site.page("/predictions/40.1").words


def test_erased_row_shows_its_decision_and_nothing_invented(site):
    row = site.house.answers["/v1/predictions/64.0"]["rows"][0]
    row.update(outputs={}, derived={}, reasons=[], inputs=None)
    words = site.page("/predictions/64.0").words
    assert "Decline" in words
    assert "erased or not opened" in words


@pytest.mark.parametrize(
    ("typed", "target"), [("17", "/ledger/entries/17"), (" 17.3 ", "/predictions/17.3")]
)
def test_find_leads_to_the_page_of_a_number(site, typed, target):
    answer = site.app.test_client().get("/find", query_string={"id": typed})
    assert answer.headers["Location"] == target


@pytest.mark.parametrize("typed", ["", "//evil.example", "17.3.1", "sha256:00", "1" * 40, "../x"])
def test_find_refuses_what_is_no_number(site, typed):
    assert site.app.test_client().get("/find", query_string={"id": typed}).status_code == 404


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 503])
def test_refusal_of_the_api_becomes_a_page_with_its_status(site, status):
    error = dashboards.ReadError(
        status,
        {
            "title": "Request refused",
            "detail": "as told",
            "errors": [{"field": "name", "message": "odd"}],
        },
    )
    site.house.answers["/v1/models/credit-default"] = error
    page = site.page("/models/credit-default", status)
    assert "Request refused As told" in page.words
    assert "name odd" in page.words


def test_refusal_without_any_body_is_still_a_page(site):
    site.house.answers["/v1/models/credit-default"] = dashboards.ReadError(502, [])
    assert "The API gave no reason." in site.page("/models/credit-default", 502).words


def test_page_asks_only_for_paths_of_the_api(site):
    for path in ("/", "/models/value-at-risk", "/alarms/172", "/ledger", "/predictions/64.0"):
        site.page(path)
    assert all(p.startswith("/v1/") for p in site.house.asked)


@pytest.mark.parametrize("name", ["../../v1/ledger", "a?b=c", "a#b", "a b", "a%2Fb"])
def test_typed_name_stays_one_segment_of_the_path(site, name):
    site.app.test_client().get("/models/" + name.replace("?", "%3F").replace("#", "%23"))
    for asked in site.house.asked:
        assert asked.count("/") <= 4
        assert "?" not in asked
        assert "#" not in asked
        assert ".." not in asked or "%2F" in asked


def test_sign_in_form_keeps_where_the_reader_was_going():
    page = dashboards.render_sign_in('bad "key"', "/ledger?before=3").get_data(as_text=True)
    assert 'name="next" value="/ledger?before=3"' in page
    assert 'name="api_key"' in page
    assert "bad &#34;key&#34;" in page
    assert 'role="alert"' in page
