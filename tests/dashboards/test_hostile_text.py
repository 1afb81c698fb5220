"""Text from a hostile log or caller is shown as text: never as a tag, an attribute or an address."""

import copy

import pytest

from dashboards.render import asset

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}</td></style>"
SCRIPTS = ("assay.js", "receipt.js", "charts.js", "alarms.js", "uPlot.iife.min.js")
KEPT = {"type", "checkpoint", "method", "$ref", "in", "status", "standing", "verdict", "limit_side"}
PATHS = {
    "/": ["/v1/models", "/v1/reports/honesty", "/v1/reports/correctness", "/v1/alarms"],
    "/models/value-at-risk": ["/v1/models/value-at-risk", "/v1/reports/correctness"],
    "/models/value-at-risk/performance": ["/v1/models/value-at-risk", "/v1/reports/correctness"],
    "/models/value-at-risk/drift": ["/v1/models/value-at-risk", "/v1/models/value-at-risk/drift"],
    "/models/value-at-risk/limits": ["/v1/models/value-at-risk", "/v1/reports/correctness"],
    "/models/value-at-risk/board-pack": ["/v1/models/value-at-risk", "/v1/reports/correctness"],
    "/models/value-at-risk/versions": ["/v1/models/value-at-risk"],
    "/hub?q=x": ["/v1/hub/search"],
    "/alarms": ["/v1/alarms"],
    "/alarms/172": ["/v1/alarms/172", "/v1/me"],
    "/ledger": ["/v1/ledger", "/v1/ledger/entries"],
    "/ledger/entries/40": ["/v1/ledger/entries/40"],
    "/predictions/64.0": ["/v1/predictions/64.0"],
    "/predictions/40.1": ["/v1/predictions/40.1"],
    "/docs": ["/openapi.json"],
}


def spoil(value, key=""):
    """Every text replaced, and every name of a field that is itself data."""
    if isinstance(value, dict):
        named = key in {"outputs", "derived", "inputs", "counts", "data", "aliases"}
        return {(HOSTILE + k if named else k): spoil(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [spoil(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key not in KEPT else value


@pytest.mark.parametrize("address", PATHS)
def test_hostile_text_stays_text(site, address):
    keep_digest = copy.deepcopy(site.house.answers["/v1/reports/correctness"])
    for path in PATHS[address]:
        body = spoil(site.house.answers[path])
        if path == "/v1/reports/correctness":
            models = zip(
                body["report"]["evaluated_models"],
                keep_digest["report"]["evaluated_models"],
                strict=True,
            )
            for spoiled, model in models:
                spoiled["model_digest"] = model["model_digest"]
        if path == "/openapi.json":
            body["paths"] = site.house.answers[path]["paths"] | {
                f"/{HOSTILE}": {"get": {"summary": HOSTILE}}
            }
        site.house.answers[path] = body
    page = site.page(address)
    assert {script["src"] for script in page.all("script")} <= {asset(name) for name in SCRIPTS}
    assert not page.all("img")
    assert not page.all("style")
    assert "alert(1)" in page.text
    assert "49" not in page.text[page.text.index("alert(1)") :][:40]
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")], attrs


def test_hostile_title_cannot_leave_a_chart(site):
    report = site.house.answers["/v1/reports/correctness"]["report"]
    for model in report["evaluated_models"]:
        for estimate in model["estimates"]:
            estimate["title"] = HOSTILE
            for point in estimate["history"]:
                point["window"] = HOSTILE
    page = site.page("/models/value-at-risk/backtest")
    assert page.all("svg", cls="plot")
    assert {script["src"] for script in page.all("script")} <= {asset(name) for name in SCRIPTS}
    assert not page.all("img")


def test_hostile_name_in_a_link_is_one_segment(site):
    site.house.answers["/v1/models"]["models"][0]["name"] = "javascript:alert(1)//../x"
    for link in site.page("/").all("a"):
        assert (link["href"] or "").startswith(("/", "#"))


def test_text_of_any_length_does_not_break_a_page(site):
    site.house.answers["/v1/models"]["models"][0]["name"] = "n" * 5000
    site.page("/")
