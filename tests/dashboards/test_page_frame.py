"""What every page keeps to: headers, no inline code, its own files only, well-formed, labelled."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest

import dashboards
from dashboards.render import POLICY, STATIC

TRADE_SIGNAL = "sha256:" + hashlib.sha256(b"trade-signal").hexdigest()  # as samples.py has it
PAGES = [
    "/",
    "/models/value-at-risk",
    "/models/trade-signal",
    "/models/credit-default/performance",
    "/models/credit-default/calibration",
    "/models/value-at-risk/backtest",
    "/models/value-at-risk/slices",
    "/models/value-at-risk/labels",
    "/models/value-at-risk/alarms",
    "/models/value-at-risk/challenger",
    "/models/value-at-risk/drift",
    "/models/value-at-risk/limits",
    "/models/value-at-risk/versions",
    "/models/value-at-risk/board-pack",
    "/alarms",
    "/alarms/172",
    "/alarms/158",
    "/hub",
    "/hub?q=credit+default&honesty=not+run+again&offset=20",
    "/register",
    "/register?overdue=1",
    f"/register/{TRADE_SIGNAL}",
    "/ledger",
    "/ledger/entries/0",
    "/ledger/entries/40",
    "/predictions/40",
    "/predictions/40.1",
    "/predictions/64.0",
    "/docs",
    "/sign-in",
]
SCRIPTS = ("assay.js", "receipt.js", "charts.js", "alarms.js", "uPlot.iife.min.js")
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
TEMPLATES = sorted((STATIC.parent / "templates").glob("*.html"))
BANNED = re.compile(r"\b(valid|accurate|proven correct|no drift|safe)\b", re.IGNORECASE)


@pytest.mark.parametrize("path", PAGES)
def test_page_carries_its_headers(site, path):
    headers = site.response(path).headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, no-store"


def test_policy_allows_nothing_inline_and_nobody_else():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_inline_script_or_style(site, path):
    page = site.page(path)
    assert not INLINE.search(page.source)
    ours = {dashboards.render.asset(name) for name in SCRIPTS}
    assert {s.get("src") for s in page.all("script")} <= ours


@pytest.mark.parametrize("path", PAGES)
def test_page_names_no_other_host(site, path):
    for _, attrs in site.page(path).tags:
        for name in ("href", "src", "action", "poster", "data", "xlink:href"):
            parts = urlsplit(attrs.get(name) or "")
            assert not parts.scheme, attrs
            assert not parts.netloc, attrs


@pytest.mark.parametrize("path", PAGES)
def test_page_is_well_formed_with_one_heading_and_unique_ids(site, path):
    page = site.page(path)
    assert len(page.all("h1")) == 1
    assert page.all("main", id="main")
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            for wanted in (attrs.get(name) or "").split():
                assert wanted in ids, f"{name}={wanted}"


@pytest.mark.parametrize("path", [p for p in PAGES if p != "/sign-in"])
def test_page_says_what_it_does_not_say(site, path):
    page = site.page(path)
    assert re.search(r"(not say|says nothing|no evidence|never one score)", page.words)


@pytest.mark.parametrize("path", PAGES)
def test_every_table_has_a_caption_and_every_header_a_scope(site, path):
    page = site.page(path)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.name)
def test_template_uses_no_word_that_promises_too_much(template):
    assert not BANNED.search(template.read_text())


def test_static_file_is_kept_only_under_the_address_that_names_its_digest(site):
    named = site.response(dashboards.render.asset("assay.css"))
    assert "immutable" in named.headers["Cache-Control"]
    assert named.headers["Content-Type"].startswith("text/css")
    assert site.response("/assets/assay.css").headers["Cache-Control"] == "no-cache"
    assert site.response("/assets/assay.css?v=old").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["nothing.css", "..%2Frender.py", "%2e%2e/render.py", "assay.css/"]
)
def test_only_our_static_files_are_served(site, name):
    assert site.response(f"/assets/{name}").status_code == 404


def test_nothing_of_ours_is_imported():
    for file in STATIC.parent.glob("*.py"):
        found = re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE)
        assert not {"service", "ledger", "models", "monitoring"} & set(found), file.name


def test_no_function_takes_both_reports():
    """The two reports meet on a page, never in code that could weigh one against the other."""
    for file in STATIC.parent.glob("*.py"):
        text = file.read_text()
        if file.name not in ("routes.py", "model_pages.py", "__init__.py", "render.py", "marks.py"):
            assert not ("HonestyView" in text and "CorrectnessView" in text), file.name
    assert "correctness" not in (STATIC.parent / "honesty.py").read_text().split('"""', 2)[2]
    assert "honesty" not in (STATIC.parent / "correctness.py").read_text().split('"""', 2)[2]
