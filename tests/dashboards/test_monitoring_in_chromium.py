"""Monitoring in a real Chromium: axe-core, keyboard alone, charts on canvas, paper, an alarm."""

import re
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

VAR, CREDIT = "/models/value-at-risk", "/models/credit-default"
PAGES = [
    *(
        "/hub?q=credit+default",
        "/",
        "/alarms",
        "/alarms?state=closed",
        "/alarms/172",
        "/alarms/158",
    ),
    *(VAR, f"{VAR}/backtest", f"{VAR}/slices", f"{VAR}/labels", f"{VAR}/alarms"),
    *(f"{VAR}/challenger", f"{VAR}/drift", f"{VAR}/limits", f"{VAR}/versions"),
    *(f"{VAR}/board-pack", f"{CREDIT}/performance", f"{CREDIT}/calibration"),
    *("/ledger", "/ledger/entries/40", "/predictions/40.1", "/predictions/64.0", "/docs"),
    *("/sign-in", "/models/nothing", "/hub", "/register"),
]
FIGURE = "figure#exceedances-990-250d"
SERIOUS = {"serious", "critical"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def open_page(browser, address):
    """Open a path; errors of the console, stopped code and requests are kept on the page."""
    contexts = []

    def go(path, **options):
        options = {"timezone_id": "Asia/Dubai", "locale": "en-GB"} | options
        context = browser.new_context(base_url=address, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.trouble, page.requests = [], []
        page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " (e) => console.error('stopped: ' + e.violatedDirective + ' ' + e.sample))"
        )
        page.on("console", lambda m: page.trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path)
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe():
    from axe_playwright_python.sync_playwright import Axe

    return Axe()


def seen(page):
    return page.evaluate(
        """() => { const e = document.activeElement, b = e.getBoundingClientRect();
        return {tag: e.tagName, text: (e.ariaLabel ?? e.innerText ?? '').trim().slice(0, 60),
                href: e.getAttribute('href'), y: b.top, bottom: b.bottom, high: innerHeight}; }"""
    )


def tab_to(page, wanted, most=90):
    """Press Tab until the focus is on what `wanted` says; every stop must be on the screen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = seen(page)
        assert stop["bottom"] > 0, stop
        assert stop["y"] < stop["high"], stop
        if wanted(stop):
            return stop
    raise AssertionError("never reached by the tab key")


# --- every page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(open_page, axe, scheme):
    page = open_page("/", color_scheme=scheme)
    found = {}
    for path in PAGES:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        rules = {"type": "tag", "values": RULES}
        if scheme == "dark":  # the same page in other colours
            rules = {"type": "rule", "values": ["color-contrast"]}
        answer = axe.run(page, options={"resultTypes": ["violations"], "runOnly": rules})
        bad = [
            (v["id"], v["nodes"][0]["html"][:160], v["nodes"][0]["failureSummary"][:300])
            for v in answer.response["violations"]
            if v["impact"] in SERIOUS
        ]
        if bad:
            found[path] = bad
    assert found == {}


@pytest.mark.parametrize("width", [360, 1440])
def test_pages_are_quiet_whole_and_from_here_alone(open_page, address, width):
    page = open_page("/", viewport={"width": width, "height": 900})
    for path in PAGES:
        page.goto(path)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate(wide) <= 0, path
    expected = [t for t in page.trouble if "404" not in t]  # the page that is not there
    assert expected == []
    assert {urlsplit(url).netloc for url in page.requests} == {urlsplit(address).netloc}


def test_at_400_percent_nothing_scrolls_two_ways(open_page):
    """WCAG 1.4.10: 1280 pixels at 400% are 320."""
    page = open_page("/", viewport={"width": 320, "height": 256})
    for path in ("/", VAR, f"{VAR}/backtest", "/alarms/172"):
        page.goto(path)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, path


# --- keyboard alone ------------------------------------------------------------------------------


def test_from_the_overview_to_a_figure_to_a_comment_by_keyboard_alone(open_page, site):
    page = open_page("/")
    tab_to(page, lambda s: s["href"] == VAR)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{VAR}")
    tab_to(page, lambda s: s["text"] == "Backtest")
    page.keyboard.press("Enter")
    page.wait_for_url("**/backtest")
    tab_to(page, lambda s: s["text"] == "Points of Exceedances of the 99% VaR in 250 days")
    page.keyboard.press("End")
    assert "beyond the limit" in page.locator(f"{FIGURE} .cursor-told").inner_text()
    tab_to(page, lambda s: s["text"].startswith("Figures of this chart"))
    page.keyboard.press("Enter")
    assert page.locator(f"{FIGURE} table").is_visible()
    page.goto("/alarms")
    tab_to(page, lambda s: s["href"] == "/alarms/172")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alarms/172")
    tab_to(page, lambda s: s["tag"] == "TEXTAREA")
    page.keyboard.type("a holiday in one market")
    tab_to(page, lambda s: s["text"] == "Comment")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alarms/172?done=comment*")
    assert site.house.sent == [
        ("/v1/alarms/172/comment", {"comment": "a holiday in one market"}),
    ]
    assert "recorded in the log, with your name" in page.locator(".done").inner_text()


# --- charts --------------------------------------------------------------------------------------


def test_canvas_takes_the_place_of_the_drawing_and_reads_the_table(open_page):
    page = open_page(f"{VAR}/backtest")
    figure = page.locator(FIGURE)
    assert figure.locator("canvas").is_visible()
    assert not figure.locator("svg.plot").is_visible()
    assert figure.locator(".canvas").get_attribute("aria-hidden") == "true"
    pad = figure.locator(".draw")
    assert pad.get_attribute("role") == "slider"
    pad.focus()
    told = []
    for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
        page.keyboard.press(key)
        told.append(pad.get_attribute("aria-valuetext"))
    lines = figure.locator("tbody tr")
    count = lines.count()
    for text, place in zip(told, (0, 1, count - 1, count - 2), strict=True):
        cells = figure.locator(f'tbody tr[data-i="{place}"] > *').all_text_contents()
        assert text.startswith(f"{cells[0]}: Value {cells[1]}, Low {cells[2]}"), text
    page.keyboard.press("Escape")
    assert not figure.locator(".cursor-told").is_visible()


def test_pointer_reads_the_canvas_too(open_page):
    page = open_page(f"{VAR}/backtest")
    over = page.locator(f"{FIGURE} .u-over")
    over.hover(position={"x": over.bounding_box()["width"] - 8, "y": 30})
    page.wait_for_function(f"() => !document.querySelector('{FIGURE} .cursor-told').hidden")
    assert page.locator(f"{FIGURE} .cursor-told").inner_text().endswith("beyond the limit")


def test_canvas_is_painted_and_follows_the_width_and_the_scheme(open_page):
    page = open_page(f"{VAR}/backtest", color_scheme="light")
    paint = """() => { const c = document.querySelector('figure canvas');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      const seen = new Set(); for (let i = 0; i < d.length; i += 4)
        if (d[i + 3] === 255) seen.add(`${d[i]},${d[i + 1]},${d[i + 2]}`);
      return [...seen]; }"""
    assert "163,41,15" in page.evaluate(paint)  # --red: points beyond the limit
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({paint})().includes('255,146,116')")
    wide = page.locator("figure canvas").first.bounding_box()["width"]
    page.set_viewport_size({"width": 500, "height": 800})
    page.wait_for_function(
        f"() => document.querySelector('figure canvas').getBoundingClientRect().width < {wide - 50}"
    )


@pytest.mark.parametrize("options", [{"forced_colors": "active"}, {"java_script_enabled": False}])
def test_drawing_stays_where_a_canvas_would_not_serve(open_page, options):
    page = open_page(f"{VAR}/backtest", **options)
    figure = page.locator(FIGURE)
    assert figure.locator("svg.plot").is_visible()
    assert figure.locator("canvas").count() == 0
    figure.locator("summary").click()
    assert figure.locator("table").is_visible()


def test_drawing_with_forced_colours_has_the_same_cursor(open_page):
    page = open_page(f"{VAR}/backtest", forced_colors="active")
    page.locator(f"{FIGURE} .draw").focus()
    page.keyboard.press("End")
    assert "beyond the limit" in page.locator(f"{FIGURE} .cursor-told").inner_text()
    assert page.locator(f"{FIGURE} line.cursor").get_attribute("hidden") is None


def test_reliability_and_csv_link(open_page):
    page = open_page(f"{CREDIT}/calibration")
    figure = page.locator("figure.reliability")
    assert figure.locator("canvas").is_visible()
    with page.expect_download() as caught:
        figure.get_by_role("link", name="CSV").click()
    assert caught.value.suggested_filename == "credit-default-pd-by-band-171.csv"


# --- paper ---------------------------------------------------------------------------------------


def test_on_paper_the_drawing_takes_the_place_of_the_canvas(open_page):
    page = open_page(f"{VAR}/backtest")
    assert page.locator("figure canvas").first.is_visible()
    page.emulate_media(media="print")
    assert not page.locator("figure canvas").first.is_visible()
    assert page.locator("figure svg.plot").first.is_visible()
    assert page.locator("figure table").first.bounding_box()["height"] > 20


def test_board_pack_prints_to_a_pdf_with_drawings_and_sign_off(open_page):
    page = open_page(f"{VAR}/board-pack", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("figure svg.plot").first.is_visible()
    assert not page.locator("figure canvas").first.is_visible()
    assert page.locator("figure table").first.bounding_box()["height"] > 20
    for hidden in (".top nav", ".sign-out", ".tools", ".screen-only"):
        assert not page.locator(hidden).first.is_visible(), hidden
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12


# --- news ----------------------------------------------------------------------------------------


def test_new_alarm_is_said_politely_and_nothing_moves(open_page, site, sample):
    page = open_page("/")
    newer = sample.alarm(172) | {"leaf_index": 180}
    body = {"alarms": [newer, *site.house.answers["/v1/alarms"]["alarms"]]}
    page.route("**/v1/alarms", lambda route: route.fulfill(json=body))
    news = page.locator("section.watch .news")
    assert news.get_attribute("aria-live") == "polite"
    assert news.inner_text() == ""
    page.evaluate("dispatchEvent(new Event('assay:look'))")
    page.wait_for_function("() => document.querySelector('.news').textContent !== ''")
    assert news.inner_text() == "A new alarm about value-at-risk. Open it"
    assert news.locator("a").get_attribute("href") == "/alarms/180"
    page.evaluate("dispatchEvent(new Event('assay:look'))")
    assert news.locator("a").count() == 1
