"""GET the catalog, one model with its history, and what was in production at a time."""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from ledger.record import parse_entry
from models.errors import ModelError
from service.api.access import assembly, needs
from service.api.answers import DriftAnswer, ModelAnswer, ModelsAnswer
from service.api.describe import text
from service.api.schemas import AsOfQuery, DriftPagePath, NamePath
from service.clock import parse_utc
from service.drift import drift_page
from service.errors import FieldRefused, Missing
from service.loading import REPAIR

if TYPE_CHECKING:
    from models.hub.catalog import LifecycleEvent
    from service.assembly import Assembly

# Scripts of the page run without our origin, and neither load nor send anything.
DRIFT_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
DRIFT_SHOWN = 20  # newest measurements: a page shows five, a chart of a month needs no more

api = APIBlueprint(
    "models",
    __name__,
    url_prefix="/v1/models",
    abp_tags=[Tag(name="models", description="What may run, by whose decision, since when.")],
    abp_security=[{"bearer": []}],
)


@api.get("", summary="List models", responses={200: ModelsAnswer})
@needs()
def catalog() -> Response:
    """Every model ever published, with its aliases."""
    here = assembly()
    found = []
    for model in here.inventory.catalog(fresh=True).models():
        kind, use = _told(here, model.latest_digest)
        found.append(
            {
                "name": model.name,
                "kind": kind,
                "intended_use": use,
                "status": model.status,
                "aliases": dict(model.aliases),
                "latest_digest": model.latest_digest,
                "published_leaf": model.published_leaf,
            }
        )
    return jsonify({"models": found})


@api.get("/<name>", summary="One model, or what was in production", responses={200: ModelAnswer})
@needs()
def one(path: NamePath, query: AsOfQuery) -> Response:
    """Versions, aliases and lifecycle of one model.

    With `as_of` the answer is the digest the champion alias pointed to at that time, the entry
    that put it there, and that entry's receipt.
    """
    here = assembly()
    if query.as_of is not None:
        return jsonify(_as_of(here, path.name, query.as_of))
    history = here.inventory.catalog(fresh=True).history(path.name)
    if not history:
        raise Missing(f"no model is called {path.name}", "GET /v1/models lists them")
    model = next(m for m in here.inventory.catalog().models() if m.name == path.name)
    return jsonify(
        {
            "name": path.name,
            "kind": here.inventory.manifest(model.latest_digest).kind,
            "aliases": dict(model.aliases),
            "versions": _versions(here, history),
            "history": [_event_json(event) for event in history],
        }
    )


@api.get("/<name>/drift", summary="Input drift, a leading indicator", responses={200: DriftAnswer})
@needs()
def drift(path: NamePath) -> Response:
    """The newest recorded drift measurements: they say that inputs moved, not that answers err."""
    here = assembly()
    digests = {
        event.data["model_digest"]
        for event in here.inventory.catalog(fresh=True).history(path.name)
    }
    if not digests:
        raise Missing(f"no model is called {path.name}", "GET /v1/models lists them")
    results = []
    for digest in digests:
        newest = here.ledger.entries(type="drift", ref=digest, newest=True, limit=DRIFT_SHOWN)
        for stored in newest:
            body = parse_entry(stored.entry).body
            data = body["data"]
            result = json.loads(here.blobs.get(data["result_digest"]))
            results.append(
                {
                    "leaf_index": stored.index,
                    "event_time": body["event_time"],
                    **{k: v for k, v in data.items() if k != "result_digest"},
                    "share_drifted": result["share_drifted"],
                    "columns": result["columns"],
                }
            )
    results.sort(key=lambda item: -int(item["leaf_index"]))
    return jsonify({"results": results[:DRIFT_SHOWN]})


@api.get(
    "/<name>/drift/<int:leaf>/page",
    summary="The page that the drift library makes of a measurement",
    responses={200: text("text/html", "A file to download, with scripts of its own")},
)
@needs()
def drift_file(path: DriftPagePath) -> Response:
    """A file to download, with scripts of its own: sandboxed wherever it is opened."""
    here = assembly()
    page, digest = None, None
    if path.leaf < here.ledger.size:
        body = parse_entry(here.ledger.entry(path.leaf).entry).body
        if body["type"] == "drift":
            page, digest = drift_page(here, path.leaf), body["data"]["model_digest"]
    if page is None or here.inventory.manifest(str(digest)).name != path.name:
        raise Missing(
            f"no page of a drift measurement of {path.name} is kept at leaf {path.leaf}",
            f"GET /v1/models/{path.name}/drift lists the measurements; the newest keep their pages",
        )
    answer = Response(gzip.decompress(page), mimetype="text/html")
    answer.headers["Content-Disposition"] = f'attachment; filename="drift-{path.leaf}.html"'
    answer.headers["Content-Security-Policy"] = DRIFT_SANDBOX
    return answer


def _told(here: Assembly, digest: str) -> tuple[str, str]:
    """A model's kind and intended use; one rotten file keeps no other model off the list."""
    try:
        manifest = here.inventory.manifest(digest)
    except ModelError:
        return "unknown", f"its manifest cannot be read here; repair: {REPAIR}"
    return manifest.kind, manifest.intended_use


def _as_of(here: Assembly, name: str, moment: str) -> dict[str, Any]:
    if parse_utc(moment) > here.clock():
        raise FieldRefused("as_of", "lies in the future: what will be in production is not known")
    digest, leaf = here.inventory.catalog(fresh=True).as_of(name, moment)
    return {
        "name": name,
        "as_of": moment,
        "model_digest": digest,
        "leaf_index": leaf,
        "receipt": here.ledger.receipt(leaf).to_json(),
    }


def _versions(here: Assembly, history: list[LifecycleEvent]) -> list[dict[str, Any]]:
    versions: dict[str, dict[str, Any]] = {}
    for event in history:
        digest = event.data["model_digest"]
        if event.type == "model.published":
            manifest = here.inventory.manifest(digest)
            versions[digest] = {
                "model_digest": digest,
                "version": manifest.version,
                "status": "published",
                "published_leaf": event.leaf,
                "published_at": event.time,
                "approved_leaf": None,
                "manifest": json.loads(manifest.to_bytes()),
            }
        elif event.type == "model.approved":
            versions[digest].update(status="approved", approved_leaf=event.leaf)
        elif event.type == "model.withdrawn":
            versions[digest]["status"] = "withdrawn"
    return list(versions.values())


def _event_json(event: LifecycleEvent) -> dict[str, Any]:
    return {
        "leaf_index": event.leaf,
        "type": event.type,
        "event_time": event.time,
        "actor_id": event.actor,
        "model_digest": event.data["model_digest"],
        "alias": event.data.get("alias"),
        "reason": event.data.get("reason"),
    }
