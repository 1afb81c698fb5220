"""A house in JSON: what the API would answer, and the pages over it, with no service behind them.

`house.answers` maps a path to a body or a ReadError; a test changes what it needs and asks for a
page. The shapes are those of service/api; a test of the service renders the same pages for real.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from werkzeug.serving import make_server

import dashboards

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"dashboard_{name}", HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = _load("samples")
APART = {"br", "dd", "div", "dt", "h1", "h2", "h3", "li", "p", "span", "summary", "td", "th"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class House:
    """Answers by path; entries page like the real route."""

    answers: dict[str, Any] = field(default_factory=samples.house)
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def read(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        parts = urlsplit(path)
        if parts.path == "/v1/ledger/entries" and "/v1/ledger/entries" in self.answers:
            return self._entries(parse_qs(parts.query))
        found = self.answers.get(parts.path)
        if found is None:
            raise dashboards.ReadError(
                404, {"title": "Not found", "detail": f"nothing at {parts.path}"}
            )
        if isinstance(found, dashboards.ReadError):
            raise found
        return found

    def act(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the API does with a form, as far as a page shows it."""
        self.sent.append((path, body))
        if path.startswith("/v1/proposals/"):
            return {"leaf_index": 173, "receipt": {}}
        if len(body["comment"]) < 3:
            told = {"field": "comment", "message": "at least 3 characters"}
            raise dashboards.ReadError(422, {"detail": "a field was refused", "errors": [told]})
        base, _, word = path.rpartition("/")
        found = self.answers[base]
        found["alarm"]["state"] = {"acknowledge": "acknowledged", "close": "closed"}.get(
            word, found["alarm"]["state"]
        )
        kind = {"acknowledge": "acknowledged", "comment": "commented", "close": "closed"}[word]
        act = {"leaf_index": 173, "type": f"alarm.{kind}", "comment": body["comment"]}
        found["history"].append(act | {"event_time": samples.at(172), "actor_id": "risk:okafor"})
        return {"leaf_index": 173, "receipt": {}}

    def _entries(self, query: dict[str, list[str]]) -> dict[str, Any]:
        held = self.answers["/v1/ledger/entries"]["entries"]
        size, limit = len(held), int(query["limit"][0])
        end = min(int(query.get("first", [str(size)])[0]), size)
        return {"tree_size": size, "entries": held[max(end - limit, 0) : end][::-1]}


class Page(HTMLParser):
    """A page as a list of tags with their attributes and the text, checked to be well nested."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        elif tag in APART:
            self.text += " "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()
        if tag in APART:
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of every such tag; `cls` asks for one class."""
        cls = wanted.pop("cls", None)
        return [
            attrs
            for name, attrs in self.tags
            if name == tag
            and all(attrs.get(key) == value for key, value in wanted.items())
            and (cls is None or cls in (attrs.get("class") or "").split())
        ]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@dataclass
class Site:
    app: Flask
    house: House

    def response(self, path: str) -> Any:
        return self.app.test_client().get(path)

    def page(self, path: str, status: int = 200) -> Page:
        answer = self.response(path)
        assert answer.status_code == status, answer.get_data(as_text=True)[:2000]
        return Page(answer.get_data(as_text=True))


def make_app(house: House) -> Flask:
    """The pages over a house, with a sign-in page as the service mounts it."""
    app = Flask("pages", static_folder=None)
    app.register_blueprint(dashboards.blueprint(house.read, house.act))
    app.add_url_rule("/sign-in", "sign_in", lambda: dashboards.render_sign_in(None, "/ledger"))
    app.add_url_rule("/openapi.json", "openapi", lambda: house.answers["/openapi.json"])
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def site(house: House) -> Site:
    return Site(make_app(house), house)


# No GPU, no sandbox (tests run as root), and nothing of Chromium's own on the network.
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """ASSAY_CHROMIUM, else a browser on the path; None leaves playwright to look for its own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    on_path = next((found for name in names if (found := shutil.which(name))), None)
    return os.environ.get("ASSAY_CHROMIUM") or on_path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One real Chromium for all tests; skips when there is none."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        except Error as error:
            pytest.skip(f"no Chromium: set ASSAY_CHROMIUM ({str(error).splitlines()[0]})")
        yield found
        found.close()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """The pages on a loopback port."""
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sample() -> Any:
    """The module that makes the sample JSON."""
    return samples
