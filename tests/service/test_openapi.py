"""The description of the API: OpenAPI 3.1, complete, and readable with no network."""

import json
import re

import pytest

from houses import credit_rows
from service.errors import TITLES

VERBS = ("get", "post")


@pytest.fixture(scope="module")
def api(open_api):
    return open_api


@pytest.fixture(scope="module")
def described(open_api):
    return open_api.nobody.get("/openapi.json").get_json()


def operations(described):
    return {
        (verb.upper(), path): operation
        for path, item in described["paths"].items()
        for verb, operation in item.items()
    }


def test_it_is_openapi_3_1_and_open_to_everyone(described):
    assert described["openapi"].startswith("3.1")
    assert described["info"]["title"] == "Assay"
    assert described["info"]["version"]
    assert set(described["components"]["securitySchemes"]) == {"bearer"}


def test_every_route_is_described_and_nothing_else_is(api, described):
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/v1/") or rule.rule in {"/livez", "/readyz"}
        for method in rule.methods & {"GET", "POST", "PUT", "PATCH", "DELETE"}
    }
    assert set(operations(described)) == routes


def test_every_operation_has_a_summary_a_description_a_tag_and_its_key(described):
    for (method, path), operation in operations(described).items():
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        wanted = [] if path in {"/livez", "/readyz"} else [{"bearer": []}]
        assert operation.get("security", []) == wanted, path
        assert method in {"GET", "POST"}


def test_every_operation_says_what_comes_back_and_that_errors_are_problems(described):
    for place, operation in operations(described).items():
        answers = operation["responses"]
        assert "200" in answers, place
        for status in ("4XX", "503"):
            schema = answers[status]["content"]
            assert list(schema) == ["application/problem+json"], (place, status)
        assert "422" not in answers, "a list of errors is no answer of ours"


def test_the_header_is_described_by_the_name_it_is_sent_under(described):
    for path, names in (
        ("/v1/predictions", {"Idempotency-Key", "Assay-Deadline-Ms"}),
        ("/v1/outcomes", {"Idempotency-Key"}),
    ):
        headers = described["paths"][path]["post"]["parameters"]
        assert {(header["name"], header["in"]) for header in headers} == {
            (name, "header") for name in names
        }


def test_descriptions_are_prose_without_markup(described):
    for operation in operations(described).values():
        assert "<" not in operation["description"].replace("<level>", "").replace(
            "<n>", ""
        ).replace("<width>", "")


def test_every_parameter_of_a_path_is_described(described):
    for (_, path), operation in operations(described).items():
        named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_reference_resolves(described):
    text = json.dumps(described)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        found = described
        for part in reference.split("/"):
            found = found[part]


def test_the_example_of_a_body_is_one_that_is_taken(api, described):
    """The models of the examples are not in this house; all else about them holds."""
    for (_, path), operation in operations(described).items():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in content:
            continue
        caller = api.outcomes if "outcomes" in path else api.trader
        answer = caller.post(path, content["example"])
        told = answer.get_json()
        fields = [error["field"] for error in told.get("errors", [])]
        assert answer.status_code in {200, 404} or fields == ["outcomes.0.prediction_id"], told


GETS = [
    "/livez",
    "/readyz",
    "/v1/ledger",
    "/v1/ledger/entries",
    "/v1/ledger/entries/0",
    "/v1/ledger/proof/inclusion?leaf_index=0",
    "/v1/ledger/proof/consistency?first=1",
    "/v1/models",
    "/v1/models/credit-default",
    "/v1/models/credit-default?as_of={now}",
    "/v1/models/credit-default/drift",
    "/v1/predictions/{leaf}",
    "/v1/predictions/{leaf}/receipt",
    "/v1/reports/honesty",
    "/v1/reports/correctness",
]
POSTS = {
    "/v1/admin/seals": {"period": "2026-11-25"},
    "/v1/reports/honesty": {},
    "/v1/reports/correctness": {},
}


def check_fields(described, operation, answer):
    """What came back has the fields that are described and no others."""
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    name = schema["$ref"].rpartition("/")[2]
    properties = described["components"]["schemas"][name]["properties"]
    required = described["components"]["schemas"][name].get("required", [])
    assert set(required) <= set(answer.get_json()) <= set(properties), name


def test_every_answer_has_the_fields_that_are_described(api, described):
    body = {"model": "credit-default", "rows": credit_rows(2)}
    answer = api.trader.post("/v1/predictions", body)
    check_fields(described, described["paths"]["/v1/predictions"]["post"], answer)
    leaf = answer.get_json()["leaf_index"]
    row = described["components"]["schemas"]["PredictionRow"]["properties"]
    assert set(answer.get_json()["rows"][0]) == set(row)
    for path, sent in POSTS.items():
        answer = api.admin.post(path, sent)
        check_fields(described, described["paths"][path]["post"], answer)
    adapter = api.app.url_map.bind("localhost")
    by_endpoint = {rule.endpoint: rule.rule for rule in api.app.url_map.iter_rules()}
    for place in GETS:
        path = place.format(leaf=f"{leaf}.1", now=api.house.now())
        answer = api.trader.get(path) if "predictions" in path else api.risk.get(path)
        assert answer.status_code == 200, path
        rule = by_endpoint[adapter.match(path.partition("?")[0], method="GET")[0]]
        told = described["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)]["get"]
        check_fields(described, told, answer)


def test_a_problem_has_the_fields_that_are_described(api, described):
    properties = described["components"]["schemas"]["Problem"]["properties"]
    refused = api.trader.post("/v1/predictions", {"model": 7}).get_json()
    assert set(refused) == set(properties)
    assert refused["title"] in TITLES.values()


def test_the_description_names_nothing_of_the_house(api, described):
    text = json.dumps(described)
    for word in (str(api.house.settings.data_dir), "sqlite", "postgres"):
        assert word not in text


def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(api, described):
    page = api.browser(api.risk).get("/docs").get_data(as_text=True)
    for (_, path), operation in operations(described).items():
        assert path in page
        assert operation["summary"] in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "<script>" not in page
    assert " style=" not in page
