"""GET champion beside challenger, and what the scheduler did; POST a comparison."""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from service.api.access import assembly, needs
from service.api.schemas import NamePath
from service.auth import Scope
from service.champion import newest_comparison
from service.errors import Missing
from service.shadow import waiting

api = APIBlueprint(
    "comparisons",
    __name__,
    url_prefix="/v1",
    abp_tags=[Tag(name="comparisons", description="The same requests, answered by both.")],
    abp_security=[{"bearer": []}],
)


class ComparisonAnswer(BaseModel):
    """The newest comparison of a model with each of its shadows."""

    comparisons: list[dict[str, Any]] = Field(
        description="leaf_index, issued_at, champion, challenger, pairs, labelled, waiting, "
        "window, differences (challenger less champion, with interval and evidence), tables"
    )


class JobsAnswer(BaseModel):
    """The scheduler and its jobs."""

    scheduler: dict[str, Any] | None = Field(description="holder, heard_s_ago; null: none runs")
    jobs: list[dict[str, Any]] = Field(
        description="job, started_at, finished_at, succeeded_at, failures, result, overdue_since"
    )


@api.get(
    "/models/<name>/comparison", summary="Beside its challenger", responses={200: ComparisonAnswer}
)
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def comparison(path: NamePath) -> Response:
    """The newest recorded comparison; none while no version has the alias `challenger`."""
    here = assembly()
    if not here.inventory.catalog(fresh=True).history(path.name):
        raise Missing(f"no model is called {path.name}", "GET /v1/models lists them")
    newest = newest_comparison(here)
    if newest is None:
        return jsonify({"comparisons": []})
    leaf, at, told = newest
    return jsonify(
        {
            "comparisons": [
                {
                    "leaf_index": leaf,
                    "issued_at": at,
                    "waiting": waiting(here, path.name, item["challenger"]["model_digest"]),
                    **item,
                }
                for item in told["compared"]
                if item["name"] == path.name
            ]
        }
    )


@api.get("/jobs", summary="What the scheduler did", responses={200: JobsAnswer})
@needs(Scope.RISK, Scope.AUDITOR, Scope.ADMIN)
def listed() -> Response:
    """Each job's newest run, whether it failed, and since when it is overdue."""
    from service.job_runs import status  # noqa: PLC0415 - APScheduler is no part of serving
    from service.jobs import triggers  # noqa: PLC0415

    here = assembly()
    return jsonify(status(here, triggers(here.settings)))
