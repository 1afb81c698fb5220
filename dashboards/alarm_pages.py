"""The pages of alarms: the list, one alarm, and the form that acknowledges, comments on or closes.

|page|reads or sends|
|---|---|
|`/alarms`, `/alarms?state=open`|`/v1/alarms`, `/v1/jobs`, the newest correctness report for titles|
|`/alarms/<n>`|`/v1/alarms/<n>`, `/v1/me`|
|POST `/alarms/<n>/<act>`|`/v1/alarms/<n>/<act>` as the reader|

A form is sent to its own page, never to the API: the reader's cookie opens nothing under /v1 but
reading. `act` refuses a form that another site sent, and the API asks for the scope once more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import Response, abort, redirect, request

from dashboards import alarms, correctness, limits
from dashboards.model_report import CORRECTNESS, figure_of
from dashboards.reading import Problem, ReadError, part
from dashboards.render import page

if TYPE_CHECKING:
    from flask import Blueprint
    from werkzeug.wrappers import Response as WerkzeugResponse

    from dashboards.reading import Act, Read

STATES = ("open", "acknowledged", "closed")


def add_pages(pages: Blueprint, read: Read, act: Act | None) -> None:
    """Mount the pages; without `act` there are no forms."""
    pages.add_url_rule("/alarms", "alarms", partial(_list, read))
    pages.add_url_rule("/alarms/<int:leaf>", "alarm", partial(_one, read, act))
    if act is not None:
        pages.add_url_rule(
            "/alarms/<int:leaf>/<word>", "alarm_act", partial(_act, read, act), methods=["POST"]
        )


def _list(read: Read) -> Response:
    state = request.args.get("state")
    narrowed = f"?state={state}" if state in STATES else ""
    body = read(f"/v1/alarms{narrowed}")
    reported = part(read, CORRECTNESS)
    return page(
        "alarms.html",
        counts=body.get("counts") or {},
        chosen=state if narrowed else None,
        correctness=correctness.read_report(reported.body) if reported.body else None,
        jobs=part(read, "/v1/jobs").body,
        alarm_list=alarms.listed(part(lambda _: body, "")),
    )


def _one(read: Read, act: Act | None, leaf: int) -> Response:
    return _shown(read, leaf, may=act is not None)


def _act(read: Read, act: Act, leaf: int, word: str) -> Response | WerkzeugResponse:
    """Send what the form says; back to the alarm, or the form again with what was wrong."""
    if word not in {name for name, _, _ in alarms.ACTS}:
        abort(404)
    comment = request.form.get("comment", "").strip()
    try:
        done = act(f"/v1/alarms/{leaf}/{word}", {"comment": comment})
    except ReadError as error:
        if error.status in (401, 403, 404):
            raise
        told = Problem.of(error)
        return _shown(read, leaf, may=True, problem=told, tried=word, comment=comment)
    return redirect(f"/alarms/{leaf}?done={word}#entry-{done.get('leaf_index')}", 303)


def _shown(
    read: Read,
    leaf: int,
    *,
    may: bool,
    problem: Problem | None = None,
    tried: str = "",
    comment: str = "",
) -> Response:
    body = read(f"/v1/alarms/{leaf}")
    found = alarms.one(body["alarm"])
    me = part(read, "/v1/me").body or {}
    done = request.args.get("done")
    return page(
        "alarm.html",
        problem.status if problem else 200,
        alarm=found,
        **figure_of(read, found.model, found.about, found.policy_leaf),
        history=body.get("history") or (),
        limit=limits.signed(body["policy"]) if body.get("policy") else None,
        deliveries=body.get("deliveries") or (),
        record=body.get("evidence") or {},
        receipt=body.get("receipt"),
        me=me,
        may=may and bool(alarms.MAY_ACT & set(me.get("scopes") or ())),
        problem=problem,
        tried=tried,
        comment=comment,
        done=next((w for n, w, _ in alarms.ACTS if n == done), None),
    )
