"""GET the hub: its index and blobs (what a mirror copies), the register, who relied on a model.

The index is the log's own entries with their proofs; blobs are named by digest. A mirror of these
two routes serves `assay models pull` as well as this house does.
"""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import assembly, needs
from service.api.answers import HubAnswer, RegisterAnswer, RelianceAnswer
from service.api.describe import binary
from service.auth import Scope
from service.describing import bill_of_materials
from service.errors import Missing
from service.hub_blobs import hub_blobs
from service.mirroring import build_index
from service.register import register as register_lines
from service.reliance import RELIANCE_PAGE, reliance

api = APIBlueprint(
    "hub",
    __name__,
    url_prefix="/v1/hub",
    abp_tags=[Tag(name="hub", description="Models as files, their register, who relied on them.")],
    abp_security=[{"bearer": []}],
)


class BlobPath(BaseModel):
    """A blob's name."""

    digits: str = Field(
        pattern=r"^(sha256:)?[0-9a-f]{64}$", description="64 hex digits of the SHA-256"
    )


class DigestPath(BaseModel):
    """A model's digest."""

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class RelianceQuery(BaseModel):
    """A page of predictions."""

    model_config = ConfigDict(extra="forbid")
    since: int = Field(default=0, ge=0, description="lowest leaf of the page")
    limit: int = Field(default=RELIANCE_PAGE, ge=1, le=500)


@api.get("/hub.json", summary="Index of the hub, with proofs", responses={200: HubAnswer})
@needs()
def index() -> Response:
    """Every entry about models and keys, its inclusion path, and the checkpoint they are under."""
    return Response(build_index(assembly()).to_bytes(), content_type="application/json")


@api.get(
    "/blobs/<digits>",
    summary="A blob by its SHA-256",
    responses={200: binary("application/octet-stream", "The bytes; ranges are answered")},
)
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def blob(path: BlobPath) -> Response:
    """A manifest, artifact, card, statement, signature: whatever a published model names."""
    here, digits = assembly(), path.digits.removeprefix("sha256:")
    digest = f"sha256:{digits}"
    if digest not in hub_blobs(here):
        raise Missing(f"no model names the blob {digest}", "GET /v1/hub/hub.json lists the models")
    response = Response(here.blobs.get(digest), content_type="application/octet-stream")
    response.headers["ETag"] = f'"{digits}"'
    response.make_conditional(request, accept_ranges=True, complete_length=response.content_length)
    return response


@api.get("/register", summary="The register of models", responses={200: RegisterAnswer})
@needs()
def register() -> Response:
    """Owner, purpose, tier, validator, next review and vendor of each model; overdue ones first."""
    here = assembly()
    lines = register_lines(here)
    return jsonify(
        {
            "as_of": here.now(),
            "models": [line.to_json() for line in lines],
            "overdue": sum(bool(line.overdue) for line in lines),
        }
    )


@api.get(
    "/models/<digest>/reliance", summary="Who relied on a model", responses={200: RelianceAnswer}
)
@needs(Scope.AUDITOR, Scope.RISK, Scope.ADMIN)
def relied_on(path: DigestPath, query: RelianceQuery) -> Response:
    """Its predictions: counted, by caller, page by page; and who withdrew it, when and why."""
    return jsonify(reliance(assembly(), path.digest, since=query.since, limit=query.limit))


@api.get(
    "/models/<digest>/bom",
    summary="Bill of materials (CycloneDX)",
    responses={200: binary("application/vnd.cyclonedx+json", "CycloneDX 1.6")},
)
@needs()
def bom(path: DigestPath) -> Response:
    """What a model is made of, by digest."""
    data = bill_of_materials(assembly(), path.digest)
    return Response(data, content_type="application/vnd.cyclonedx+json; version=1.6")
