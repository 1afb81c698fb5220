"""Who may do what. Every route is closed unless it is listed here."""

import hashlib
import re
import time

import pytest

from houses import Api, problem_of
from logs import only_sqlite
from service.api.access import INTERNAL
from service.auth import KEPT_S, KeyRing, Scope
from service.errors import FieldRefused

ALL = set(Scope)
T, B, A, R, M = Scope.TRADER, Scope.OUTCOMES, Scope.AUDITOR, Scope.RISK, Scope.ADMIN
OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json", "/sign-in", "/sign-out", "/assets/<name>"}
SCOPES = {
    ("POST", "/v1/predictions"): {T},
    ("POST", "/v1/predictions:batch"): {T},
    ("GET", "/v1/predictions/0"): {T, A, R},
    ("GET", "/v1/predictions/0/receipt"): ALL,
    ("POST", "/v1/outcomes"): {B},
    ("POST", "/v1/outcomes:upload"): {B},
    ("GET", "/v1/models"): ALL,
    ("GET", "/v1/models/credit-default"): ALL,
    ("GET", "/v1/models/credit-default/drift"): ALL,
    ("GET", "/v1/models/credit-default/drift/0/page"): ALL,
    ("GET", "/v1/hub/hub.json"): ALL,
    ("GET", "/v1/hub/blobs/" + "0" * 64): {A, R, M},
    ("GET", "/v1/hub/search?q=credit"): ALL,
    ("GET", "/v1/hub/register"): ALL,
    ("GET", "/v1/hub/models/sha256:" + "0" * 64 + "/reliance"): {A, R, M},
    ("GET", "/v1/hub/models/sha256:" + "0" * 64 + "/bom"): ALL,
    ("GET", "/v1/ledger"): ALL,
    ("GET", "/v1/ledger/checkpoint"): ALL,
    ("GET", "/v1/ledger/tile/0/000.p/6"): ALL,
    ("GET", "/v1/ledger/proof/inclusion?leaf_index=0"): ALL,
    ("GET", "/v1/ledger/proof/consistency?first=1"): ALL,
    ("GET", "/v1/ledger/entries"): ALL,
    ("GET", "/v1/ledger/entries/0"): ALL,
    ("GET", "/v1/ledger/export"): {A},
    ("GET", "/v1/reports/honesty"): {A, R, M},
    ("GET", "/v1/reports/correctness"): {A, R, M},
    ("POST", "/v1/reports/honesty"): {A, M},
    ("POST", "/v1/reports/correctness"): {R, M},
    ("GET", "/v1/reports/honesty/0"): {A, R, M},
    ("GET", "/v1/reports/correctness/0"): {A, R, M},
    ("GET", "/v1/me"): ALL,
    ("GET", "/v1/alarms"): {A, R, M},
    ("GET", "/v1/alarms/0"): {A, R, M},
    ("POST", "/v1/alarms/0/acknowledge"): {R, M},
    ("POST", "/v1/alarms/0/comment"): {R, M},
    ("POST", "/v1/alarms/0/close"): {R, M},
    ("GET", "/v1/policies?model_digest=sha256:" + "0" * 64): {A, R, M},
    ("POST", "/v1/policies"): {R, M},
    ("GET", "/v1/proposals"): {A, R, M},
    ("POST", "/v1/proposals/0/confirm"): {R, M},
    ("POST", "/v1/proposals/0/reject"): {R, M},
    ("GET", "/v1/halts"): ALL,
    ("GET", "/v1/models/credit-default/comparison"): {A, R, M},
    ("GET", "/v1/jobs"): {A, R, M},
    ("POST", "/v1/halts"): {R, M},
    ("POST", "/v1/resumptions"): {R, M},
    ("POST", "/v1/admin/seals"): {M},
    ("POST", "/v1/admin/withdrawals"): {M},
    ("POST", "/v1/admin/limits"): {M},
}
MODEL = "/models/credit-default"
PAGES = [
    *("/", "/ledger", "/ledger/entries/0", "/predictions/0", "/docs", "/alarms", "/alarms/0"),
    *("/hub", "/register", "/register/sha256:" + "0" * 64),
    *(
        MODEL,
        f"{MODEL}/drift",
        f"{MODEL}/board-pack",
        f"{MODEL}/figures/auc.csv",
        f"{MODEL}/challenger/0.csv",
        f"{MODEL}/figures/auc",
    ),
]


@pytest.fixture(scope="module")
def api(open_api):
    return open_api


# --- scopes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_a_route_opens_to_its_scopes_and_to_no_other(api, method, path):
    for scope in Scope:
        caller = getattr(api, scope.value)
        answer = caller.get(path) if method == "GET" else caller.post(path, {"no": "such field"})
        allowed = scope in SCOPES[method, path]
        assert (answer.status_code == 403) != allowed, f"{scope}: {answer.status_code}"
        if not allowed:
            told = problem_of(answer)
            assert told["type"] == "urn:assay:problem:scope-missing"
            assert all(scope in told["detail"] for scope in SCOPES[method, path])


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_nobody_gets_in_without_a_key(api, method, path):
    answer = api.nobody.open(path, method=method, json={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    problem_of(answer)


def test_every_route_is_in_the_table_or_a_page_or_open_on_purpose(api):
    adapter = api.app.url_map.bind("localhost")
    known = {adapter.match(path.partition("?")[0], method=method)[0] for method, path in SCOPES}
    known |= {adapter.match(path, method="GET")[0] for path in [*PAGES, "/find"]}
    forms = ["/alarms/0/close", f"{MODEL}/proposals/0/confirm"]
    known |= {adapter.match(path, method="POST")[0] for path in forms}
    for rule in api.app.url_map.iter_rules():
        assert rule.endpoint in known or rule.rule in OPEN, f"{rule.rule} is in no table"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_no_method_of_any_route_answers_a_stranger(api, method):
    """Whatever the URL map holds, this test having been told of it or not."""
    for rule in api.app.url_map.iter_rules():
        if rule.rule in OPEN:
            continue
        path = re.sub(r"<int:[a-z_]+>", "0", rule.rule)
        path = re.sub(r"<path:[a-z_]+>", "0/000.p/6", path)
        path = re.sub(r"<[a-z_]+>", "0", path)
        answer = api.nobody.open(path, method=method)
        assert answer.status_code in {302, 401, 405}, f"{method} {path}: {answer.status_code}"
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/sign-in?next=")


def test_a_route_that_names_no_scope_is_shut_to_everyone(house):
    api = Api(house)
    api.app._got_first_request = False
    api.app.add_url_rule("/v1/forgotten", "forgotten", lambda: "open")
    for scope in Scope:
        answer = getattr(api, scope.value).get("/v1/forgotten")
        assert answer.status_code == 403
        assert problem_of(answer)["type"] == "urn:assay:problem:route-shut"


def test_scopes_add_up_and_nothing_more(api):
    both = api.caller("two-hats", T, B)
    assert both.get("/v1/ledger/export").status_code == 403
    assert both.post("/v1/outcomes", {}).status_code == 422
    assert both.post("/v1/predictions", {}).status_code == 422


# --- what a trader reads -------------------------------------------------------------------------


def test_a_trader_reads_what_it_asked_for_and_no_other_desks_answers(api):
    leaf = api.predict().get_json()["leaf_index"]
    other = api.caller("other-desk", T)
    for path in (f"/v1/predictions/{leaf}", f"/v1/predictions/{leaf}.0"):
        assert api.trader.get(path).status_code == 200
        refused = other.get(path)
        assert refused.status_code == 403
        assert problem_of(refused)["type"] == "urn:assay:problem:not-yours"
        assert api.risk.get(path).status_code == 200


def test_two_keys_of_one_caller_read_the_same(api):
    leaf = api.predict().get_json()["leaf_index"]
    second = api.caller("trader-person", T)
    assert second.get(f"/v1/predictions/{leaf}").status_code == 200


def test_a_receipt_which_anyone_may_fetch_holds_no_input_and_no_output(api):
    answer = api.predict().get_json()
    leaf, outputs = answer["leaf_index"], answer["rows"][0]["outputs"]
    told = api.outcomes.get(f"/v1/predictions/{leaf}/receipt")
    assert told.status_code == 200
    for value in outputs.values():
        assert str(value) not in told.get_data(as_text=True)


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic YTpi",
        "Token {key}",
        "{key}",
        "Bearer{key}",
        "Bearer {key}x",
        "Bearer {key} {key}",
        "Bearer {short}",
        "Bearer {other}",
        "Bearer assay_0_x",
        "Bearer ASSAY{rest}",
        "Bearer assay_" + "0" * 16 + "_" + "A" * 43,
        "Bearer " + "x" * 9000,
        "Bearer ünïcode",
    ],
)
def test_a_malformed_or_unknown_authorization_is_401(api, header):
    key = api.trader.key
    header = header.format(
        key=key,
        short=key[:-1],
        rest=key[5:],
        other=key[:-43] + api.risk.key[-43:],
    )
    answer = api.nobody.get("/v1/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert key[-43:] not in answer.get_data(as_text=True)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_as_http_writes_it(api, scheme):
    header = {"Authorization": f"{scheme}  {api.trader.key}"}
    assert api.nobody.get("/v1/models", headers=header).status_code == 200


def test_a_revoked_key_opens_nothing(api):
    leaver = api.caller("leaver", R)
    assert leaver.get("/v1/models").status_code == 200
    api.house.callers.revoke(leaver.key_id)
    refused = leaver.get("/v1/models")
    assert refused.status_code == 401
    assert problem_of(refused)["type"] == "urn:assay:problem:not-signed-in"


def test_a_revocation_keeps_its_first_time(api):
    leaver = api.caller("leaver-2", R)
    api.house.callers.revoke(leaver.key_id)
    times = []
    for _ in range(2):
        issued = api.house.callers.keys()
        (row,) = [key for key in issued if key.key_id == leaver.key_id]
        times.append(row.revoked_at)
        time.sleep(0.002)
        api.house.callers.revoke(leaver.key_id)
    assert times[0] is not None
    assert times[0] == times[1]


@pytest.mark.parametrize("actor", ["", " ", " desk", "desk\n", "de\tsk", "x" * 129, "a\u202eb"])
def test_a_name_that_entries_should_not_bear_gets_no_key(api, actor):
    with pytest.raises(FieldRefused):
        api.house.callers.issue(actor, [T])


def test_a_key_without_scope_is_not_made(api):
    with pytest.raises(FieldRefused):
        api.house.callers.issue("desk", [])


@only_sqlite
def test_secrets_are_not_in_the_database(house):
    api = Api(house)
    token = house.callers.make_link(api.risk.key_id)
    house.engine.dispose()
    stored = b"".join(path.read_bytes() for path in house.settings.data_dir.glob("assay.db*"))
    assert api.trader.key.split("_", 2)[2].encode() not in stored
    assert token.encode() not in stored
    assert api.trader.key_id.encode() in stored


def test_secrets_are_compared_by_digest_in_constant_time(api, monkeypatch):
    """A clock cannot see the difference under a database read, so the act itself is watched."""
    compared = []

    def watch(stored, given):
        compared.append((stored, given))
        return stored == given

    monkeypatch.setattr("service.auth.hmac.compare_digest", watch)
    api.house.callers._kept.clear()  # or it was recognised a moment ago and is not looked up
    assert api.trader.get("/v1/models").status_code == 200
    digest = hashlib.sha256(api.trader.key[-43:].encode()).hexdigest()
    assert (digest, digest) in compared


def test_a_key_revoked_elsewhere_is_refused_within_a_second(api, monkeypatch):
    """Another process's table is read again after `KEPT_S`; until then what was read holds."""
    elsewhere = KeyRing(api.house.engine, api.house.clock)
    leaver, now = api.caller("leaver", Scope.RISK), [time.monotonic()]
    monkeypatch.setattr("service.auth.time.monotonic", lambda: now[0])
    assert leaver.get("/v1/models").status_code == 200
    elsewhere.revoke(leaver.key_id)
    now[0] += KEPT_S - 0.01
    assert leaver.get("/v1/models").status_code == 200
    now[0] += 0.02
    assert leaver.get("/v1/models").status_code == 401


def test_a_key_revoked_here_is_refused_at_once(api):
    leaver = api.caller("leaver", Scope.RISK)
    assert leaver.get("/v1/models").status_code == 200
    api.house.callers.revoke(leaver.key_id)
    assert leaver.get("/v1/models").status_code == 401


# --- sessions and inner reads --------------------------------------------------------------------


def test_a_page_session_reads_under_v1_and_changes_nothing(api):
    browser = api.browser(api.admin)
    assert browser.get("/v1/models").status_code == 200
    size = api.house.ledger.size
    for method, path in SCOPES:
        if method == "POST":
            assert browser.post(path, json={"period": "2026-11-25"}).status_code == 401
    assert api.house.ledger.size == size


def test_a_session_is_not_used_beside_a_bad_key(api):
    browser = api.browser(api.admin)
    header = {"Authorization": "Bearer nonsense"}
    assert browser.get("/v1/models", headers=header).status_code == 401


def test_a_revoked_key_ends_its_sessions_and_its_links(api):
    leaver = api.caller("leaver-3", R)
    browser = api.browser(leaver)
    token = api.house.callers.make_link(leaver.key_id)
    assert browser.get("/").status_code == 200
    api.house.callers.revoke(leaver.key_id)
    assert browser.get("/").status_code == 302
    assert browser.get("/v1/models").status_code == 401
    stranger = api.app.test_client()
    stranger.get(f"/sign-in?token={token}")
    assert stranger.get("/").status_code == 302


@pytest.mark.parametrize("name", [INTERNAL, "assay-identity", "Assay.Identity", "HTTP_ASSAY"])
def test_no_header_passes_for_a_page_of_ours(api, name):
    answer = api.nobody.get("/v1/models", headers={name: "admin"})
    assert answer.status_code == 401


def test_not_even_text_in_the_environ_does(api):
    """The pages' own reads carry an object, which no network can."""
    answer = api.nobody.get("/v1/models", environ_overrides={INTERNAL: "admin"})
    assert answer.status_code == 401


def test_a_forged_cookie_opens_nothing(api):
    from flask import Flask

    forger = Flask("forger")
    forger.secret_key = b"guessed"
    cookie = forger.session_interface.get_signing_serializer(forger).dumps(
        {"key_id": api.admin.key_id}
    )
    client = api.app.test_client()
    client.set_cookie("assay", cookie)
    assert client.get("/v1/models").status_code == 401
    assert client.get("/").status_code == 302


def test_answers_are_kept_by_no_shared_cache(api):
    leaf = api.predict().get_json()["leaf_index"]
    for path in (f"/v1/predictions/{leaf}", "/v1/models", "/v1/ledger", "/v1/nothing"):
        answer = api.trader.get(path)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
