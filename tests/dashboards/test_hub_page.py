"""The hub page: a form that is an address, facets, hits with reasons, two verdicts kept apart."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

import dashboards

SEARCH = "/v1/hub/search"


def asked(site):
    (path,) = [path for path in site.house.asked if path.startswith(SEARCH)]
    return parse_qs(urlsplit(path).query)


def test_the_question_reaches_the_api_as_it_was_typed(site):
    site.page("/hub?q=credit+default%2C+not+neural&sort=labels&licence=a&licence=b&offset=20")
    assert asked(site) == {
        "q": ["credit default, not neural"],
        "sort": ["labels"],
        "licence": ["a", "b"],
        "offset": ["20"],
        "limit": ["20"],
    }


def test_what_is_no_question_of_ours_is_left_out(site):
    site.page("/hub?q=x&sort=truth&offset=-7&colour=green")
    assert asked(site) == {"q": ["x"], "sort": ["relevance"], "limit": ["20"]}


def test_the_form_works_without_scripts(site):
    page = site.page("/hub?q=credit&licence=permissive+licence")
    (form,) = page.all("form", role="search")
    assert (form["method"], form["action"]) == ("get", "/hub")
    boxes = page.all("input", type="checkbox")
    assert {box["name"] for box in boxes} >= {"task", "honesty", "correctness", "licence"}
    chosen = [box["value"] for box in boxes if "checked" in box]
    assert chosen == ["permissive licence"]
    labelled = {label.get("for") for label in page.all("label")}
    assert {box["id"] for box in boxes} <= labelled


def test_a_chosen_value_that_nothing_has_stays_in_sight(site):
    page = site.page("/hub?q=credit&framework=cobol")
    chosen = [box["value"] for box in page.all("input", type="checkbox") if "checked" in box]
    assert chosen == ["cobol"]


def test_each_hit_says_why_it_stands_there(site):
    words = site.page("/hub?q=x").words
    assert "is for credit card default (behavioural score)" in words
    assert "excluded: says: neural network, which was excluded" in words
    assert "not said: does not say whether: real time, milliseconds" in words
    assert "defualt was read as default" in re.sub(r"\s+", " ", words)


def test_the_two_verdicts_stand_apart_and_are_never_one(site):
    page = site.page("/hub?q=x")
    states = [
        attrs["class"] for _, attrs in page.tags if attrs.get("class", "").startswith("state ")
    ]
    assert states[:2] == ["state honesty struck", "state correctness struck"]
    assert states[2:4] == ["state honesty cancelled", "state correctness cancelled"]
    assert not re.search(r"\b(overall|total score|trust score)\b", page.words, re.IGNORECASE)


def test_a_figure_comes_with_its_interval_and_its_report(site):
    words = re.sub(r"\s+", " ", site.page("/hub?q=x").words)
    assert "0.7792 0.7511 to 0.8051" in words
    assert "1,140 of 1,200 due" in words
    assert "leaf 170" in words


def test_who_may_not_read_the_reports_sees_no_verdict(site):
    found = site.house.answers[SEARCH]
    for hit in found["hits"]:
        hit["use"] = hit["honesty_verdict"] = None
        hit["facets"] = {
            k: v for k, v in hit["facets"].items() if k not in {"honesty", "correctness"}
        }
    for facet in ("honesty", "correctness"):
        del found["facets"][facet]
    words = site.page("/hub?q=x").words
    assert "Computed honestly" not in words
    assert "Not checked" not in words


def test_pages_follow_with_the_same_question(site):
    page = site.page("/hub?q=credit&licence=a")
    (after,) = page.all("a", rel="next")
    assert parse_qs(urlsplit(after["href"]).query) == {
        "q": ["credit"],
        "sort": ["relevance"],
        "licence": ["a"],
        "offset": ["3"],
    }
    assert page.all("a", rel="prev") == []


def test_nothing_found_says_what_to_do(site):
    site.house.answers[SEARCH] |= {"total": 0, "hits": [], "facets": {}}
    words = site.page("/hub?q=zorblat&licence=a").words
    assert "Nothing in this hub fits" in words
    assert "clear what was chosen" in words
    empty = site.page("/hub").words
    assert "No model was published yet" in empty
    assert "assay models publish" in empty


@pytest.mark.parametrize("status", [422, 503])
def test_a_refused_question_keeps_the_form_and_says_why(site, status):
    problem = {
        "title": "A field was refused",
        "detail": "one field was refused",
        "errors": [{"field": "q", "message": "at most 400 characters"}],
    }
    site.house.answers[SEARCH] = dashboards.ReadError(status, problem)
    page = site.page("/hub?q=long", 422)
    assert page.all("input", id="q")[0]["value"] == "long"
    assert "at most 400 characters" in page.words


def test_who_is_not_signed_in_gets_the_error_page(site):
    site.house.answers[SEARCH] = dashboards.ReadError(401, {"detail": "sign in"})
    assert site.response("/hub").status_code == 401
