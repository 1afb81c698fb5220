"""docs/api.md against the program: every command runs, every route and scope is there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from houses import Api, make_house
from models.reference.training import train_all
from models.reference.value_at_risk import BASELINE_NAME
from service import errors
from service.auth import Scope
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
SCOPES = [str(scope) for scope in Scope]
ADDRESS = "http://127.0.0.1:8000"
SERVICE = Path(__file__).parents[2] / "service"
API = sorted((SERVICE / "api").glob("*.py"))
# Of the command line alone; and of a route without a mark, which another test looks for.
NEVER_OVER_HTTP = {"not-initialised", "unknown-key", "route-shut"}


def commands():
    """Each `$ curl` of the page in order, with the output lines shown under it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in block.replace("\\\n", " ").split("\n$ "):
            line, _, shown = part.removeprefix("$ ").partition("\n")
            if line.startswith("curl "):
                found.append((line, shown))
    return found


def call(client, line, variables):
    """Send what a curl command would send."""
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    words = shlex.split(line)[1:]
    headers, data, method, url = {}, None, None, None
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = words.pop(0)
        elif word == "--data-binary":  # the file shown on the page
            data = re.search(r"```csv\n(.*?)```", PAGE, re.DOTALL)[1]
            words.pop(0)
        elif word == "-X":
            method = words.pop(0)
        elif word == "-o":
            words.pop(0)
        elif word != "-i":
            url = word
    method = method or ("GET" if data is None else "POST")
    return client.open(url.removeprefix(ADDRESS), method=method, headers=headers, data=data)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Every command of the page, with what was shown and what came back."""
    house = make_house(tmp_path_factory.mktemp("docs") / "house", models=())
    digests = {}
    for package in train_all(environment_digest=house.environment_digest):
        digest = publish_package(house, package, actor_id=DEVELOPER)
        put_to_work(house, digest, reason="reference model", actor_id=VALIDATOR)
        digests[package.manifest.name] = digest
    api = Api(house)
    variables = {"URL": ADDRESS, "DIGEST": digests[BASELINE_NAME], "NOW": house.now()}
    variables |= {scope.upper(): getattr(api, scope).key for scope in SCOPES}
    client = api.app.test_client()
    answers = [(line, shown, call(client, line, variables)) for line, shown in commands()]
    return api, answers


def test_every_command_gives_the_status_shown(told):
    wrong = []
    for line, shown, answer in told[1]:
        status = re.match(r"HTTP/1\.1 (\d+)", shown)
        expected = int(status[1]) if status else 200
        if answer.status_code != expected:
            wrong.append(f"{answer.status_code}, not {expected}: {line}")
    assert not wrong, "\n".join(wrong)


def test_the_problem_shown_is_the_one_that_comes(told):
    line, shown, answer = next(item for item in told[1] if "{" in item[1])
    assert answer.get_json() == json.loads(shown[shown.index("{") :]), line


def test_the_answer_shown_has_the_keys_and_numbers_that_come(told):
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
    answer = next(a for line, _, a in told[1] if "order-1" in line).get_json()
    assert shown.keys() == answer.keys()
    assert shown["receipt"].keys() == answer["receipt"].keys()
    assert shown["leaf_index"] == answer["leaf_index"]
    assert shown["rows"] == answer["rows"]


def test_every_route_is_called_on_the_page(told):
    api, answers = told
    matcher = api.app.url_map.bind("127.0.0.1")
    called = {matcher.match(a.request.path, method=a.request.method)[0] for _, _, a in answers}
    routes = {rule.endpoint for rule in api.app.url_map.iter_rules() if spoken_of(rule)}
    assert called == routes


def test_the_scopes_table_is_the_programs(told):
    api, _ = told
    table = {}
    for route, cells in re.findall(r"^\| `((?:GET|POST) /v1[^`]*)` \|(.*)\|$", PAGE, re.MULTILINE):
        marks = [cell.strip() for cell in cells.split("|")]
        table[route] = {scope for scope, mark in zip(SCOPES, marks, strict=True) if mark == "yes"}
    open_to_all = set(re.findall(r"`(GET /[^`]+)`", re.search(r"Open to everyone: .*", PAGE)[0]))
    for rule in api.app.url_map.iter_rules():
        if not spoken_of(rule):
            continue
        (method,) = rule.methods - {"HEAD", "OPTIONS"}
        scopes = api.app.view_functions[rule.endpoint].__assay_scopes__
        route = f"{method} {rule.rule}"
        if scopes:
            assert table.pop(route, None) == {str(scope) for scope in scopes}, route
        else:
            assert route in open_to_all
    assert not table


def test_every_kind_of_problem_is_on_the_page():
    codes = {code for _, _, code in errors._TRANSLATIONS}
    acts = ("outcomes.py", "alerts.py", "switch.py", "proposals.py", "policies.py")
    acts += ("outcomes_file.py", "outcomes_upload.py")
    for name in ("errors.py", "auth.py", *acts, *(f"api/{p.name}" for p in API)):
        text = (SERVICE / name).read_text("utf-8")
        codes |= set(re.findall(r'[45]\d\d,\s*"([a-z-]+)"', text))
    told = set(re.findall(r"`([a-z-]+)`", PAGE.partition("## Errors")[2].partition("## Idem")[0]))
    assert not codes - NEVER_OVER_HTTP - told


def spoken_of(rule):
    """Routes of the API, not of the pages."""
    machines = {"/livez", "/readyz", "/metrics", "/openapi.json"}
    return rule.rule.startswith("/v1/") or rule.rule in machines
