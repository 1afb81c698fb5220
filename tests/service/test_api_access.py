"""Who may do what. Every route is closed unless it is listed here."""

import pytest

from houses import problem_of
from service.auth import Scope

ALL = set(Scope)
T, B, A, R, M = Scope.TRADER, Scope.OUTCOMES, Scope.AUDITOR, Scope.RISK, Scope.ADMIN
OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json", "/sign-in", "/sign-out"}
SCOPES = {
    ("POST", "/v1/predictions"): {T},
    ("GET", "/v1/predictions/0"): {T, A, R},
    ("GET", "/v1/predictions/0/receipt"): ALL,
    ("POST", "/v1/outcomes"): {B},
    ("GET", "/v1/models"): ALL,
    ("GET", "/v1/models/credit-default"): ALL,
    ("GET", "/v1/models/credit-default/drift"): ALL,
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
    ("POST", "/v1/admin/seals"): {M},
    ("POST", "/v1/admin/withdrawals"): {M},
    ("POST", "/v1/admin/limits"): {M},
}


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_a_route_opens_to_its_scopes_and_to_no_other(api, method, path):
    for scope in Scope:
        caller = getattr(api, scope.value)
        answer = caller.get(path) if method == "GET" else caller.post(path, {})
        allowed = scope in SCOPES[method, path]
        assert (answer.status_code == 403) != allowed, f"{scope}: {answer.status_code}"
        if not allowed:
            assert problem_of(answer)["type"] == "urn:assay:problem:scope-missing"


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_nobody_gets_in_without_a_key(api, method, path):
    answer = api.nobody.open(path, method=method, json={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_of_the_service_is_in_the_table_or_open_on_purpose(api):
    tabled = {path.split("?")[0] for _, path in SCOPES}
    adapter = api.app.url_map.bind("localhost")
    known = {
        adapter.match(path, method=method)[0]
        for method, path in ((m, p.split("?")[0]) for m, p in SCOPES)
    }
    for rule in api.app.url_map.iter_rules():
        if rule.rule in OPEN or rule.endpoint.startswith("dashboards."):
            continue
        assert rule.endpoint in known, f"{rule.rule} is in no table"
    assert tabled


def test_pages_send_a_stranger_to_the_sign_in_form(api):
    for rule in api.app.url_map.iter_rules():
        if not rule.endpoint.startswith("dashboards.") or rule.endpoint == "dashboards.static":
            continue
        path = rule.rule.replace("<name>", "credit-default").replace("<prediction_id>", "0")
        path = path.replace("<int:leaf>", "0").replace("<int:n>", "0").replace("<int:index>", "0")
        answer = api.nobody.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "bearer x", "Basic YTpi", "Bearer assay_0_x", "Bearer " + "x" * 9000],
)
def test_a_malformed_authorization_is_401(api, header):
    answer = api.nobody.get("/v1/models", headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_revoked_key_opens_nothing_and_ends_its_sessions(api):
    key = api.house.callers.issue("leaver", [Scope.RISK])
    key_id = key.split("_")[1]
    browser = api.app.test_client()
    assert browser.get(f"/sign-in?token={api.house.callers.make_link(key_id)}").status_code == 302
    assert browser.get("/").status_code == 200
    api.house.callers.revoke(key_id)
    assert browser.get("/").status_code == 302
    refused = api.nobody.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert refused.status_code == 401


def test_a_sign_in_link_works_once(api):
    token = api.house.callers.make_link(api.risk.key.split("_")[1])
    assert api.app.test_client().get(f"/sign-in?token={token}").status_code == 302
    again = api.app.test_client().get(f"/sign-in?token={token}")
    assert b"used already" in again.get_data()


def test_a_page_session_changes_nothing_under_v1(api):
    browser = api.app.test_client()
    browser.get(f"/sign-in?token={api.house.callers.make_link(api.admin.key.split('_')[1])}")
    assert browser.get("/v1/models").status_code == 200
    assert browser.post("/v1/admin/seals", json={"period": "2026-11-25"}).status_code == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "\\\\evil"]
)
def test_signing_in_never_leads_to_another_site(api, target):
    answer = api.nobody.post("/sign-in", data={"api_key": api.risk.key, "next": target})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/"


def test_secrets_are_not_in_the_database(api):
    secret = api.trader.key.split("_", 2)[2]
    api.house.engine.dispose()
    stored = b"".join(path.read_bytes() for path in api.house.settings.data_dir.glob("assay.db*"))
    assert secret.encode() not in stored
    assert api.trader.key.split("_")[1].encode() in stored


def test_the_risk_role_sees_no_inputs_on_any_page(api):
    from houses import credit_rows

    row = credit_rows(1)[0] | {"limit_bal": 123457}
    leaf = api.predict(row).get_json()["leaf_index"]
    browser = api.app.test_client()
    browser.get(f"/sign-in?token={api.house.callers.make_link(api.risk.key.split('_')[1])}")
    for path in (f"/predictions/{leaf}", f"/predictions/{leaf}.0", f"/ledger/entries/{leaf}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "123457" not in page.get_data(as_text=True).replace(",", "")
