"""Tabs of a model, its charts' CSV and lasting addresses, older reports, and the board pack."""

import copy
import csv
import io

import pytest

import dashboards

MODEL = "/models/value-at-risk"
REPORT = "/v1/reports/correctness"


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))


def tabs_of(site, model):
    """The addresses under the model's own, charts and their downloads left out."""
    found = [(a["href"] or "").split("#")[0] for a in site.page(model).all("a")]
    return sorted({h for h in found if h.startswith(model) and "/figures/" not in h})


def test_every_tab_is_an_address_and_the_current_one_is_marked(site):
    tabs = tabs_of(site, MODEL)
    assert {MODEL, f"{MODEL}/backtest", f"{MODEL}/board-pack"} < set(tabs)
    for address in tabs:
        page = site.page(address)
        marked = [a["href"] for a in page.all("a") if a.get("aria-current") == "page"]
        assert "/board-pack" in address or marked == [address]


@pytest.mark.parametrize("tab", ["calibration", "nothing", "Backtest", "..", "board-pack/x"])
def test_tab_that_the_kind_does_not_have_is_not_found(site, tab):
    assert site.response(f"{MODEL}/{tab}").status_code in (404, 308)


def test_every_estimate_and_table_of_the_report_stands_under_some_tab(site):
    report = site.house.answers[REPORT]["report"]
    for model in report["evaluated_models"]:
        model["estimates"].append(model["estimates"][0] | {"metric": "new_one", "title": "Unheard"})
        model["tables"].append({"title": "Odd table", "columns": ["A", "B"], "rows": [["1", "2"]]})
    for model in report["evaluated_models"]:
        addresses = tabs_of(site, f"/models/{model['model_name']}")
        words = " ".join(site.page(a).words for a in addresses if "board-pack" not in a)
        for item in [*model["estimates"], *model["tables"]]:
            assert item["title"] in words, item["title"]


def test_csv_holds_the_figures_as_reported_and_where_they_come_from(site):
    answer = site.response(f"{MODEL}/figures/exceedances-990-250d.csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    model = site.house.answers[REPORT]["report"]["evaluated_models"][1]
    found, told = rows_of(answer), model["estimates"][0]["history"]
    assert [(r["Window"], r["Value"], r["Low"]) for r in found] == [
        (p["window"], p["value"], p["low"]) for p in told
    ]
    assert {r["report_leaf"] for r in found} == {"171"}
    assert {r["model_digest"] for r in found} == {model["model_digest"]}
    assert found[-1]["Signed limit"] == "beyond"


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-cmd", "@x", "\tx"])
def test_csv_runs_nothing_in_a_spreadsheet(site, text):
    model = site.house.answers[REPORT]["report"]["evaluated_models"][1]
    model["estimates"][0]["history"][0] |= {"window": text, "value": "-1.5"}
    first = rows_of(site.response(f"{MODEL}/figures/exceedances-990-250d.csv"))[0]
    assert first["Window"] == f"'{text}"
    assert first["Value"] == "-1.5"


@pytest.mark.parametrize("name", ["nothing", "auc", "x/y"])
def test_csv_of_no_figure_is_not_found(site, name):
    assert site.response(f"{MODEL}/figures/{name}.csv").status_code == 404


def test_lasting_address_of_a_chart_leads_to_its_tab_at_its_report(site):
    old = copy.deepcopy(site.house.answers[REPORT]) | {"leaf_index": 99}
    site.house.answers[f"{REPORT}/99"] = old
    answer = site.response(f"{MODEL}/figures/exceedances-990-250d?report=99")
    assert answer.headers["Location"] == f"{MODEL}/backtest?report=99#exceedances-990-250d"
    page = site.page(f"{MODEL}/backtest?report=99")
    assert "as of the report at leaf 99" in page.words
    assert page.all("a", href=f"{MODEL}/backtest")
    csvs = [a["href"] for a in page.all("a") if (a["href"] or "").split("?")[0].endswith(".csv")]
    assert csvs
    assert all(href.endswith("?report=99") for href in csvs)


@pytest.mark.parametrize("answer", [None, 171])
def test_report_that_is_not_there_is_never_replaced_by_another(site, answer):
    if answer:  # a server that ignores the leaf
        site.house.answers[f"{REPORT}/99"] = site.house.answers[REPORT]
    page = site.page(f"{MODEL}/backtest?report=99")
    assert not page.all("svg", cls="plot")
    assert "Show the newest" in page.words


def test_metric_judged_by_two_limits_has_two_charts(site):
    model = site.house.answers[REPORT]["report"]["evaluated_models"][1]
    model["estimates"].append(model["estimates"][0] | {"limit": "5", "limit_leaf": 21})
    page = site.page(f"{MODEL}/backtest")
    assert page.all("figure", id="exceedances-990-250d")
    assert page.all("figure", id="exceedances-990-250d-21")


def test_halted_model_says_so_on_every_page_of_it(site):
    for path in ("/", MODEL, f"{MODEL}/drift"):
        assert "Blocked: answers nobody, by alarm 172" in site.page(path).words
    assert "Blocked" not in site.page("/models/credit-default").words


def test_limits_show_who_signed_and_which_were_replaced(site):
    words = site.page(f"{MODEL}/limits").words
    assert "Exceedances of the 99% VaR in 250 days: at most 9" in words
    assert "risk:okafor, with risk:meyer" in words
    assert "the model answers nobody" in words
    assert words.index("Replaced") < words.index("at most 7")


def test_limits_without_their_list_are_those_the_report_names(site):
    site.house.answers["/v1/policies"] = dashboards.ReadError(403, {"detail": "needs risk"})
    page = site.page(f"{MODEL}/limits")
    assert "Needs risk" in page.words
    assert "at most 9 Signed at leaf 20" in page.words


def test_board_pack_names_what_it_speaks_of_and_asks_who_signs(site):
    page = site.page(f"{MODEL}/board-pack")
    model = site.house.answers[REPORT]["report"]["evaluated_models"][1]
    assert page.words.count(model["model_digest"]) == 2
    assert model["window"]["rows_digest"] in page.words
    for word in ("Model owner", "Model validation", "Risk committee", "Name", "Date", "Signature"):
        assert word in page.words
    assert len(page.all("figure")) == len(model["estimates"]) + 1  # the days


def test_alarm_page_says_evidence_guarantee_since_and_who_did_what(site):
    page = site.page("/alarms/172")
    for told in (
        "Since 2007-02-27 00:00:00 UTC",
        "leaves 26 to 167, 250 read",
        "Guarantee None: a threshold looked at repeatedly",
        "Alarm delivered to mail",
        "The limit, as signed at leaf 20",
        "Exceedances of the 99% VaR in 250 days above the limit 9",
    ):
        assert told in page.words, told
    assert page.all("figure", id="exceedances-990-250d")
    assert "feed was late" in site.page("/alarms/160").words


def test_alarm_about_a_job_has_no_model_and_no_chart(site):
    page = site.page("/alarms/158")
    assert "A job failed" in page.words
    assert not page.all("figure")


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        ("open", ["acknowledge", "comment", "close"]),
        ("acknowledged", ["comment", "close"]),
        ("closed", ["comment"]),
    ],
)
def test_forms_offer_only_what_can_still_be_done(site, state, acts):
    site.house.answers["/v1/alarms/172"]["alarm"]["state"] = state
    offered = [b["formaction"] for b in site.page("/alarms/172").all("button") if "formaction" in b]
    assert offered == [f"/alarms/172/{act}" for act in acts]


@pytest.mark.parametrize("scopes", [["auditor"], ["trader", "outcomes"], []])
def test_reader_who_may_not_act_has_no_form(site, scopes):
    site.house.answers["/v1/me"] = {"actor_id": "x", "scopes": scopes}
    page = site.page("/alarms/172")
    assert not page.all("textarea")
    assert "sign in with a key of the scope risk or admin" in page.words


def test_alarms_are_narrowed_by_state_through_the_api(site):
    site.page("/alarms?state=open")
    assert "/v1/alarms?state=open" in site.house.asked
    site.page("/alarms?state=%22odd%22")
    assert "/v1/alarms" in site.house.asked[-3:]
    assert "Exceedances of the 99% VaR in 250 days above the limit 9" in site.page("/alarms").words


def test_overview_counts_open_alarms_by_model(site):
    page = site.page("/")
    assert page.all("a", href="/models/value-at-risk/alarms")
    assert not page.all("a", href="/models/credit-default/alarms")


def test_overview_without_the_right_to_alarms_says_so_and_stands(site):
    site.house.answers["/v1/alarms"] = dashboards.ReadError(403, {"detail": "needs the scope risk"})
    assert "Needs the scope risk" in site.page("/").words


def test_change_of_a_limit_waits_for_another_person_than_who_proposed_it(site):
    page = site.page(f"{MODEL}/limits")
    assert (
        "Waits for a second person: Exceedances of the 99% VaR in 250 days: at most 9" in page.words
    )
    assert "Proposed by risk:meyer" in page.words
    confirm, reject = (
        b for b in page.all("button") if "/proposals/" in (b.get("formaction") or "")
    )
    assert "disabled" not in confirm
    done = site.app.test_client().post(confirm["formaction"])
    assert (done.status_code, done.headers["Location"]) == (303, f"{MODEL}/limits")
    assert site.house.sent[-1][0].endswith("/confirm")
    site.house.answers["/v1/me"] = {"actor_id": "risk:meyer", "scopes": ["risk"]}
    page = site.page(f"{MODEL}/limits")
    assert "another person confirms it" in page.words
    assert [b for b in page.all("button") if "disabled" in b]
    assert site.app.test_client().post(reject["formaction"] + "x").status_code == 404


def test_proposals_of_other_models_and_decided_ones_are_not_shown(site):
    assert "Waits for" not in site.page("/models/credit-default/limits").words
    assert site.page(f"{MODEL}/limits").words.count("Waits for a second person") == 1


def test_alarm_says_who_was_told_and_what_went_wrong(site):
    told = {"channel": "mail", "state": "waiting", "attempts": 2, "error": "no route to the relay"}
    site.house.answers["/v1/alarms/172"]["deliveries"] = [told]
    assert "mail waiting after 2 attempts: no route to the relay" in site.page("/alarms/172").words


def test_challenger_is_read_once_and_however_often(site):
    page = site.page(f"{MODEL}/challenger")
    assert "1.1.0 beside 1.0.0" in page.words
    assert "504 pairs, 500 with an outcome, 3 not yet answered by the challenger" in page.words
    assert "The challenger lost less, by 0.004 to 0.02." in page.words
    assert "Evidence that the challenger is better: 41.2, past the 20 it needs." in page.words
    assert "The interval holds nought: these pairs do not tell the two apart." in page.words
    assert "1.1 for the challenger, 0.1 for the champion; 20 decide" in page.words
    assert page.all("figure", cls="forest")
    found = rows_of(site.response(f"{MODEL}/challenger/1.csv"))
    assert [(r["Difference"], r["Low"]) for r in found] == [
        ("-0.0120", "-0.0200"),
        ("0.0010", "-0.0030"),
    ]
    assert {r["comparison_leaf"] for r in found} == {"167"}
    assert site.response(f"{MODEL}/challenger/2.csv").status_code == 404
    assert site.response("/models/credit-default/challenger/1.csv").status_code == 404


def test_model_without_a_challenger_says_how_to_get_one(site):
    for name in ("credit-default", "trade-signal"):
        assert "the alias challenger" in site.page(f"/models/{name}/challenger").words
    site.house.answers[f"/v1{MODEL}/comparison"] = dashboards.ReadError(
        403, {"detail": "needs risk"}
    )
    words = site.page(f"{MODEL}/challenger").words
    assert "Needs risk" in words
    assert "the alias challenger" not in words


def test_alarms_page_says_whether_a_scheduler_runs_and_what_is_overdue(site):
    words = site.page("/alarms").words
    assert "risk-1:4711, heard 4 seconds ago." in words
    assert "Drift 2026-11-25 05:38:07 UTC" in words
    assert "2 since 2026-11-25 05:40:07 UTC" in words
    site.house.answers["/v1/jobs"]["scheduler"] = None
    assert "None runs: no report is issued by itself" in site.page("/alarms").words
    del site.house.answers["/v1/jobs"]
    assert "scheduler" not in site.page("/alarms").words


def test_days_beyond_their_forecast_are_marked_and_told(site):
    page = site.page(f"{MODEL}/backtest")
    assert page.all("figure", id="newest-days-against-the-99-var", cls="days")
    assert "40 days from 2008-09-01 to 2008-10-12" in page.words
    assert "The loss went beyond the forecast on 4, last on 2008-10-08." in page.words
    assert len(page.all("tr", cls="marked")) == 4 + 9  # and the windows beyond the limit
    found = rows_of(site.response(f"{MODEL}/figures/newest-days-against-the-99-var.csv"))
    assert [r["Day"] for r in found if r["Exceeded"]] == [
        "2008-09-09", "2008-09-18", "2008-09-27", "2008-10-08",
    ]  # fmt: skip
    assert found[8]["P&L in percent"] == "-3.7000"
