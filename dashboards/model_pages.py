"""The pages of one model: a summary, and a tab for each question; each is an address of its own.

|page|reads|
|---|---|
|`/models/<name>`|the model, both newest reports, its alarms|
|`/models/<name>/<tab>`|the model, the newest correctness report (`?report=N`: that at leaf N)|
|`/models/<name>/alarms`, `/drift`, `/limits`, `/challenger`|the model and that one resource|
|`/models/<name>/figures/<figure>`, `.csv`|the model and the correctness report|

No page reads predictions or outcomes: what they show was computed when the report was issued, so
a page costs the same whatever the month held.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Response, abort, current_app, redirect, request

from dashboards import alarms, champion, correctness, drift, honesty, limits, proposals, tabs
from dashboards.model_report import digests_of, group, headline, place, report_at, tab_of
from dashboards.reading import part, segment
from dashboards.render import guard, ident, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Blueprint
    from werkzeug.wrappers import Response as WerkzeugResponse

    from dashboards.figures import Figure
    from dashboards.reading import Act, Read

HONESTY: Final = "/v1/reports/honesty"


def add_pages(pages: Blueprint, read: Read, act: Act | None) -> None:
    """Mount every page of a model; without `act` there are no forms."""
    if act is not None:
        pages.add_url_rule(
            "/models/<name>/proposals/<proposal>/<word>",
            "proposal_act",
            partial(_decide, read, act),
            methods=["POST"],
        )
    pages.add_url_rule("/models/<name>", "model", partial(_summary, read))
    pages.add_url_rule("/models/<name>/<tab>", "model_tab", partial(_tab, read))
    pages.add_url_rule("/models/<name>/board-pack", "board_pack", partial(_board_pack, read))
    pages.add_url_rule("/models/<name>/figures/<figure>.csv", "figure_csv", partial(_csv, read))
    pages.add_url_rule(
        "/models/<name>/challenger/<int:number>.csv", "pairs_csv", partial(_pairs_csv, read)
    )
    pages.add_url_rule("/models/<name>/figures/<figure>", "figure", partial(_figure, read))


def _summary(read: Read, name: str) -> Response:
    context = _context(read, name, tabs.TABS[0])
    digests, found = context["digests"], context["found"]
    honest = part(read, HONESTY)
    view = honesty.read_report(honest.body) if honest.body else None
    return page(
        "model_summary.html",
        **context,
        honesty=view,
        honesty_part=honest,
        run=view.of(digests) if view else None,
        headline=headline(found),
        judged=[(e, tab_of(found, e)) for e in found.estimates if e.limit is not None]
        if found
        else [],
        alarm_list=_alarms_of(read, digests),
    )


def _tab(read: Read, name: str, tab: str) -> Response:
    known = next((t for t in tabs.TABS if t.slug == tab and t.slug), None)
    if known is None:
        abort(404)
    context = _context(read, name, known)
    if known not in context["tabs"]:
        abort(404)
    if known.slug in tabs.FIGURES:
        return page("model_figures.html", **context, group=group(context["found"], known))
    return page(f"model_{known.slug}.html", **context, **_OWN[known.slug](read, context))


def _find(context: Mapping[str, Any], figure: str) -> tuple[tabs.Tab, Figure]:
    """A figure of the report and the tab it stands under; 404 where there is none."""
    found = (
        (tab, drawn)
        for tab in context["tabs"]
        if tab.slug in tabs.FIGURES
        for drawn in group(context["found"], tab).drawn
        if drawn.ident == figure
    )
    return next(found, None) or abort(404)


def _figure(read: Read, name: str, figure: str) -> WerkzeugResponse:
    """The lasting address of a chart: on to its place under its tab."""
    context = _context(read, name, tabs.TABS[0])
    tab, _ = _find(context, figure)
    return redirect(f"{context['address']}/{tab.slug}{context['at'].query}#{figure}")


def _pairs_csv(read: Read, name: str, number: int) -> Response:
    """The paired differences of one comparison; it stands in no correctness report."""
    found = part(read, f"/v1/models/{segment(name)}/comparison")
    compared = champion.lay_out(found.body)
    drawn = champion.drawn(compared[number - 1], "x") if 0 < number <= len(compared) else None
    if drawn is None:
        abort(404)
    return _download(drawn.csv(model=name), f"{ident(name)}-paired-{number}.csv")


def _csv(read: Read, name: str, figure: str) -> Response:
    context = _context(read, name, tabs.TABS[0])
    found, view = context["found"], context["correctness"]
    _, wanted = _find(context, figure)
    text = wanted.csv(model=name, model_digest=found.digest, report_leaf=view.leaf)
    return _download(text, f"{ident(name)}-{figure}-{view.leaf}.csv")


def _download(text: str, file: str) -> Response:
    response = Response(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    return guard(response)


def _decide(
    read: Read, act: Act, name: str, proposal: str, word: str
) -> Response | WerkzeugResponse:
    """Confirm or reject as the reader; the API refuses whoever proposed it."""
    if word not in proposals.ACTS:
        abort(404)
    model = read(f"/v1/models/{segment(name)}")
    act(f"/v1/proposals/{segment(proposal)}/{word}", {})
    return redirect(f"/models/{segment(model['name'])}/limits", 303)


def _board_pack(read: Read, name: str) -> Response:
    context = _context(read, name, tabs.Tab("board-pack", "Board pack"))
    honest = part(read, HONESTY)
    view = honesty.read_report(honest.body) if honest.body else None
    groups = [group(context["found"], t) for t in context["tabs"] if t.slug in tabs.FIGURES]
    return page(
        "board_pack.html",
        **context,
        honesty=view,
        honesty_part=honest,
        run=view.of(context["digests"]) if view else None,
        groups=[g for g in groups if not g.empty],
        alarm_list=_alarms_of(read, context["digests"]),
        **_OWN["limits"](read, context),
    )


def _context(read: Read, name: str, tab: tabs.Tab) -> dict[str, Any]:
    """What every page of a model needs: the model, the report it speaks of, its tabs."""
    path = f"/v1/models/{segment(name)}"
    model = read(path)
    leaf = request.args.get("report", type=int)
    reported = report_at(read, leaf)
    view = correctness.read_report(reported.body) if reported.body else None
    digests = digests_of(model)
    found = view.of(digests) if view else None
    address = f"/models/{segment(name)}"
    return {
        "model": model,
        "digests": digests,
        "tab": tab,
        "tabs": tabs.tabs_of(str(model["kind"])),
        "correctness": view,
        "correctness_part": reported,
        "found": found,
        "at": place(view, address, tab, pinned=leaf is not None),
        "address": address,
        "asked_leaf": leaf,
        "can_act": "dashboards.proposal_act" in current_app.view_functions,
        "halts": (part(read, "/v1/halts").body or {}).get("halts") or [],
        "caveats": tabs.caveats(found) if found else [],
    }


def _alarms_of(read: Read, digests: list[str]) -> alarms.Listed:
    """Alarms about any version of the model."""
    return alarms.of_models(part(read, "/v1/alarms"), digests)


def _own_drift(read: Read, context: Mapping[str, Any]) -> dict[str, Any]:
    moved = part(read, f"/v1/models/{segment(context['model']['name'])}/drift")
    return {
        "drift_part": moved,
        "drift": drift.lay_out(moved.body or {}),
        "drift_columns": drift.COLUMNS,
    }


def _own_alarms(read: Read, context: Mapping[str, Any]) -> dict[str, Any]:
    return {"alarm_list": _alarms_of(read, context["digests"])}


def _own_limits(read: Read, context: Mapping[str, Any]) -> dict[str, Any]:
    """Limits of the version the report speaks of, else of the one in use."""
    found = context["found"]
    wanted = found.digest if found else next(iter(context["digests"]), "")
    signed = part(read, f"/v1/policies?model_digest={segment(wanted)}")
    every = limits.lay_out(signed.body, found)
    me = part(read, "/v1/me").body or {}
    asked = part(read, "/v1/proposals").body
    titled = {e.metric: e for e in found.estimates} if found else {}
    return {
        "me": me,
        "may": context["can_act"] and bool(alarms.MAY_ACT & set(me.get("scopes") or ())),
        "waiting": proposals.waiting(asked, context["digests"], titled),
        "limits_part": signed,
        "limits": [limit for limit in every if limit.replaced_at is None],
        "past_limits": [limit for limit in every if limit.replaced_at is not None],
    }


def _own_challenger(read: Read, context: Mapping[str, Any]) -> dict[str, Any]:
    found = part(read, f"/v1/models/{segment(context['model']['name'])}/comparison")
    compared = champion.lay_out(found.body)
    return {
        "challenger_part": found,
        "challenger": [(c, champion.drawn(c, f"paired-{n}")) for n, c in enumerate(compared, 1)],
    }


def _own_versions(read: Read, context: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {}


_OWN: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]]] = {
    "alarms": _own_alarms,
    "challenger": _own_challenger,
    "drift": _own_drift,
    "limits": _own_limits,
    "versions": _own_versions,
}
