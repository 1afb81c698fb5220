"""The pages in a real Chromium: policy, network, keyboard, widths, zones, copying, print."""

import hashlib
import itertools
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

PAGES = [
    "/",
    "/models/value-at-risk",
    "/hub?q=credit+default",
    "/register",
    "/register/sha256:" + hashlib.sha256(b"trade-signal").hexdigest(),
    "/ledger",
    "/ledger/entries/40",
    "/predictions/40.1",
    "/predictions/64.0",
    "/docs",
    "/sign-in",
]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def open_page(browser, address):
    """Open a path in a context of its own; console, errors and requests are kept on the page."""
    contexts = []

    def go(path, **options):
        options = {"timezone_id": "Europe/Berlin", "locale": "en-GB"} | options
        context = browser.new_context(base_url=address, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.trouble, page.requests = [], []
        page.on("console", lambda m: page.trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path)
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_quietly_and_from_here_alone(open_page, address, scheme):
    page = open_page("/", color_scheme=scheme)
    for path in PAGES:
        page.goto(path)
    assert page.trouble == []
    assert page.requests
    assert {urlsplit(url).netloc for url in page.requests} == {urlsplit(address).netloc}


def test_policy_stops_inline_script_and_style(open_page):
    page = open_page("/")
    page.evaluate(
        """() => {
          window.stopped = [];
          addEventListener('securitypolicyviolation', (e) => stopped.push(e.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          const holder = document.createElement('div');
          holder.innerHTML = '<p style="color: red">x</p><img src="https://other.example/x.png">';
          document.body.append(holder);
        }"""
    )
    page.wait_for_function("stopped.length >= 3")
    assert page.evaluate("window.ran") is None
    assert set(page.evaluate("stopped")) == {"script-src-elem", "style-src-attr", "img-src"}


@pytest.mark.parametrize("width", [320, 360, 380, 768, 1024, 1600])
def test_no_page_is_wider_than_the_window(open_page, width):
    page = open_page("/", viewport={"width": width, "height": 800})
    for path in PAGES:
        page.goto(path)
        assert page.evaluate(OVERFLOW) <= 0, path
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate(OVERFLOW) <= 0, f"{path}, everything opened"


def test_first_tab_reaches_the_skip_link_and_it_skips(open_page):
    page = open_page("/ledger")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("path", ["/", "/models/value-at-risk", "/predictions/64.0", "/sign-in"])
def test_every_stop_of_the_tab_key_can_be_seen(open_page, path):
    page = open_page(path)
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => { const e = document.activeElement; if (!e || e === document.body) return null;
            window.marks ??= new Map(); if (!marks.has(e)) marks.set(e, marks.size);
            const s = getComputedStyle(e); const b = e.getBoundingClientRect();
            return {id: marks.get(e), tag: e.tagName, ring: s.outlineStyle, width: s.outlineWidth,
                    onScreen: b.bottom > 0 && b.top < innerHeight}; }"""
        )
        if stop is None or stop["id"] in seen:
            break
        seen.add(stop["id"])
        assert stop["ring"] not in ("none", ""), stop
        assert stop["width"] != "0px", stop
        assert stop["onScreen"], stop
    assert seen


def test_arrow_keys_read_the_points_of_a_chart(open_page):
    page = open_page("/models/value-at-risk")
    plot, told = page.locator(".draw").first, page.locator(".cursor-told").first
    assert not told.is_visible()
    plot.focus()
    page.keyboard.press("End")
    assert "beyond the limit" in told.inner_text()
    last = told.inner_text()
    page.keyboard.press("ArrowLeft")
    assert told.inner_text() != last
    page.keyboard.press("Home")
    assert told.inner_text().startswith("2006-10-03 to")
    page.keyboard.press("ArrowLeft")
    assert told.inner_text().startswith("2006-10-03 to")
    page.keyboard.press("Escape")
    assert not told.is_visible()


def test_details_open_by_keyboard_and_hold_the_table(open_page):
    page = open_page("/models/value-at-risk")
    summary = page.locator(".figure summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator(".figure table").first.is_visible()


def test_times_show_the_readers_zone_beside_utc(open_page):
    page = open_page("/ledger/entries/40")
    assert page.locator("time .utc").first.inner_text() == "2026-11-25 03:40:07 UTC"
    assert "04:40" in page.locator("time .local").first.inner_text()


def test_reader_in_utc_sees_one_time(open_page):
    page = open_page("/ledger/entries/40", timezone_id="UTC")
    assert page.locator("time .utc").count()
    assert page.locator("time .local").count() == 0


def test_receipt_is_copied_as_it_was_served(open_page, address, site):
    page = open_page("/predictions/64.0")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.locator("button[data-copies=checkpoint]").click()
    page.wait_for_function("document.getElementById('said').textContent === 'Copied'")
    served = site.house.answers["/v1/predictions/64.0"]["receipt"]["checkpoint"]
    assert page.evaluate("navigator.clipboard.readText()") == served


def test_pages_are_whole_without_scripts(open_page):
    page = open_page("/models/value-at-risk", java_script_enabled=False)
    assert page.locator("svg.plot").first.is_visible()
    assert not page.locator("button[data-copies]").first.is_visible()
    page.locator(".figure summary").first.click()
    assert page.locator(".figure table").first.is_visible()


def test_scheme_follows_the_reader(open_page):
    grounds = [
        open_page("/", color_scheme=scheme).evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(243, 244, 244)", "rgb(15, 18, 20)"]


def test_marks_differ_in_outline_as_well_as_colour(open_page):
    page = open_page("/")
    marks = page.evaluate(
        """() => ['.card.honesty > header .mark', '.card.correctness > header .mark'].map(
             (s) => document.querySelector(s).querySelector('.field').tagName)"""
    )
    assert marks == ["path", "ellipse"]


def test_print_opens_the_tables_and_drops_what_only_a_screen_needs(open_page):
    page = open_page("/models/value-at-risk", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".figure table").first.bounding_box()["height"] > 20
    assert not page.locator(".top nav").is_visible()
    assert not page.locator(".sign-out").is_visible()
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


def test_every_link_of_the_pages_leads_somewhere(open_page, site):
    """Links between pages answer; those to the API are the service's to answer."""
    page = open_page("/")
    found = set()
    for path in PAGES:
        page.goto(path)
        found |= set(
            page.evaluate(
                "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"
            )
        )
    pages = sorted(h for h in found if h.startswith("/") and not h.startswith("/v1/"))
    known = {"/predictions/24.0", "/predictions/166.0"} | {f"/predictions/{n}" for n in range(173)}
    for href in itertools.islice((h for h in pages if h not in known), 80):
        assert site.response(href).status_code in (200, 302), href
    page.goto("/docs")
    for href in page.evaluate(
        "[...document.querySelectorAll('.toc a')].map(a => a.getAttribute('href'))"
    ):
        assert page.locator(href).count() == 1
