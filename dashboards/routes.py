"""Which page reads which paths of the API. Rendering only: no page decides anything.

|page|reads|
|---|---|
|`/`|`/v1/models`, both newest reports, `/v1/alarms`, `/v1/halts`|
|`/models/...`|`model_pages`|
|`/alarms`, `/alarms/<n>`|`alarm_pages`|
|`/hub`|`/v1/hub/search`|
|`/register`, `/register/<digest>`|`register_pages`|
|`/ledger`, `/ledger/entries/<n>`|`/v1/ledger`, `/v1/ledger/entries`, `/v1/ledger/entries/<n>`|
|`/predictions/<id>`|`/v1/predictions/<id>`|
|`/docs`|`/openapi.json`|
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.exceptions import HTTPException

from dashboards import (
    alarm_pages,
    alarms,
    correctness,
    honesty,
    hub_pages,
    model_pages,
    openapi,
    register_pages,
)
from dashboards.reading import Problem, ReadError, part, segment
from dashboards.render import ASSETS, guard, page, render_error, static_file

if TYPE_CHECKING:
    from typing import Any

    from werkzeug.wrappers import Response as WerkzeugResponse

    from dashboards.reading import Act, Read

PAGE_ENTRIES = 50  # lines of the ledger on one page: two screens
ROWS_SHOWN = 200  # rows of one request on its page; every row has a page of its own
_ID = re.compile(r"[0-9]{1,15}(\.[0-9]{1,5})?")


def blueprint(read: Read, act: Act | None = None) -> Blueprint:
    """Every page, rendered from what `read(path)` returns; `act(path, body)` sends a form.

    Both answer as the reader of the page and raise ReadError. Without `act` no page has a form.
    """
    pages = Blueprint("dashboards", __name__)
    for rule, endpoint, view in (
        ("/", "overview", _overview),
        ("/ledger", "ledger", _ledger),
        ("/ledger/entries/<int:leaf>", "entry", _entry),
        ("/predictions/<prediction_id>", "prediction", _prediction),
        ("/docs", "docs", _docs),
    ):
        pages.add_url_rule(rule, endpoint, partial(view, read))
    model_pages.add_pages(pages, read, act)
    alarm_pages.add_pages(pages, read, act)
    register_pages.add_pages(pages, read)
    hub_pages.add_pages(pages, read)
    pages.add_url_rule("/find", "find", partial(_find))
    pages.add_url_rule(f"{ASSETS}/<name>", "static", partial(_static))
    pages.register_error_handler(ReadError, _refused)
    pages.register_error_handler(HTTPException, _http_error)
    pages.after_request(guard)
    return pages


def _overview(read: Read) -> Response:
    catalog = read("/v1/models")
    return page(
        "overview.html",
        models=catalog["models"],
        alarm_list=alarms.listed(part(read, "/v1/alarms")),
        halts=(part(read, "/v1/halts").body or {}).get("halts") or [],
        **_reports(read),
    )


def _ledger(read: Read) -> Response:
    before = request.args.get("before", type=int)
    start = "" if before is None else f"&first={before}"
    entries = read(f"/v1/ledger/entries?newest=true&limit={PAGE_ENTRIES}{start}")
    return page(
        "ledger.html",
        log=read("/v1/ledger"),
        entries=entries["entries"],
        size=entries["tree_size"],
        step=PAGE_ENTRIES,
    )


def _entry(read: Read, leaf: int) -> Response:
    found = read(f"/v1/ledger/entries/{leaf}")
    return page("entry.html", found=found, body=found["entry"]["body"])


def _prediction(read: Read, prediction_id: str) -> Response:
    found = read(f"/v1/predictions/{segment(prediction_id)}")
    rows = found["rows"][:ROWS_SHOWN]
    return page("prediction.html", found=found, rows=rows, more=len(found["rows"]) - len(rows))


def _docs(read: Read) -> Response:
    api = openapi.lay_out(read("/openapi.json"))
    return page("docs.html", api=api, base=request.url_root.rstrip("/"))


def _find() -> WerkzeugResponse:
    """Send whoever typed a leaf or a row id to its page."""
    wanted = request.args.get("id", "").strip()
    if not _ID.fullmatch(wanted):
        detail = "Type the number of an entry, such as 17, or a row of a prediction, such as 17.3."
        return render_error(Problem(404, "No such number", detail))
    return redirect(f"/predictions/{wanted}" if "." in wanted else f"/ledger/entries/{wanted}")


def _static(name: str) -> Response:
    return static_file(name) or abort(404)


def _reports(read: Read) -> dict[str, Any]:
    """Both newest reports, each read and laid out by its own module."""
    honest = part(read, "/v1/reports/honesty")
    correct = part(read, "/v1/reports/correctness")
    return {
        "honesty": honesty.read_report(honest.body) if honest.body else None,
        "honesty_part": honest,
        "correctness": correctness.read_report(correct.body) if correct.body else None,
        "correctness_part": correct,
    }


def _refused(error: ReadError) -> Response:
    return render_error(Problem.of(error))


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    return render_error(Problem(status, error.name, error.description or error.name))
