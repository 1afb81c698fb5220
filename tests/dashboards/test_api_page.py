"""The API page: every operation, field and example of the served description."""

import json
import shlex

import pytest

from dashboards.openapi import lay_out


@pytest.fixture
def api(sample):
    return lay_out(sample.stored("openapi"))


def operation(api, method, path):
    return next(o for g in api.groups for o in g.operations if (o.method, o.path) == (method, path))


def test_every_operation_is_listed_under_its_tag(api):
    assert [g.name for g in api.groups] == ["predictions", "health"]
    assert [o.method for o in api.groups[0].operations] == ["POST", "GET"]


def test_fields_say_type_need_and_bounds(api):
    body = {f.name: f for f in operation(api, "POST", "/v1/predictions").body}
    assert body["model"].required
    assert body["model"].kind == "string"
    assert "at most 200 characters" in body["model"].notes
    assert body["rows"].kind == "list of object of number or null or null"
    assert not body["rows"].required


def test_schema_that_names_itself_ends(api):
    answer = operation(api, "POST", "/v1/predictions").answers[0]
    assert [f.name for f in answer.fields].count("leaf_index") == 1


def test_description_does_not_repeat_the_summary(api):
    told = operation(api, "POST", "/v1/predictions").description
    assert told == ("The answer carries the receipt.", "Send a key with it.")


def test_curl_example_is_one_command_with_a_body_that_parses(api):
    words = shlex.split(operation(api, "POST", "/v1/predictions").curl)
    assert words[:4] == ["curl", "-sS", "-X", "POST"]
    assert "$ASSAY_URL/v1/predictions" in words
    assert json.loads(words[words.index("-d") + 1]) == {"model": "credit-default"}


def test_curl_example_fills_the_path(api):
    assert (
        '"$ASSAY_URL/v1/predictions/17.0"'
        in operation(api, "GET", "/v1/predictions/{prediction_id}").curl
    )


def test_given_example_of_a_body_is_the_one_shown(sample):
    document = sample.stored("openapi")
    content = document["paths"]["/v1/predictions"]["post"]["requestBody"]["content"]
    content["application/json"]["example"] = {"model": "m", "features": {"a": 1}}
    curl = operation(lay_out(document), "POST", "/v1/predictions").curl
    assert json.loads(shlex.split(curl)[-1]) == {"model": "m", "features": {"a": 1}}


def test_open_route_needs_no_key(api):
    assert operation(api, "GET", "/livez").open
    assert "Authorization" not in operation(api, "GET", "/livez").curl


def test_example_from_a_description_cannot_add_a_command(sample):
    document = sample.stored("openapi")
    by_id = document["paths"]["/v1/predictions/{prediction_id}"]["get"]["parameters"][0]
    by_id["schema"]["examples"] = ['17"; rm -rf $(HOME) `id`']
    model = document["components"]["schemas"]["PredictionRequest"]["properties"]["model"]
    model["examples"] = ["it's $(id)"]
    api = lay_out(document)
    get = operation(api, "GET", "/v1/predictions/{prediction_id}").curl
    assert not set("`;()") & set(get)
    words = shlex.split(operation(api, "POST", "/v1/predictions").curl)
    assert json.loads(words[-1]) == {"model": "it's $(id)"}


@pytest.mark.parametrize(
    "document", [{}, {"paths": {}}, {"paths": {"/x": {"get": {}}}, "info": {}}]
)
def test_bare_description_is_laid_out(document):
    lay_out(document)


def test_page_shows_every_operation_with_its_example(site, sample):
    page = site.page("/docs")
    for path, item in sample.stored("openapi")["paths"].items():
        assert path in page.text
        assert all(told["summary"] in page.text for told in item.values())
    assert page.text.count("curl -sS") == 3
    assert "export ASSAY_URL=http://localhost" in page.text
