"""GET the log: checkpoint, tiles, proofs, entries and the whole export.

Entries hold commitments, never inputs, so any known caller may read them; the export carries
openings and is the auditor's alone.
"""

# ruff: noqa: TC001 - flask-openapi3 reads the annotations of views when it registers them
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from ledger.merkle import leaf_hash
from ledger.note import open_checkpoint
from ledger.record import parse_entry
from ledger.tiles import TILE_WIDTH, parse_path
from service.api.access import assembly, needs
from service.api.answers import (
    ConsistencyAnswer,
    EntriesAnswer,
    EntryAnswer,
    InclusionAnswer,
    LedgerAnswer,
)
from service.api.describe import binary, text
from service.api.schemas import ConsistencyQuery, EntriesQuery, InclusionQuery, LeafPath, TileRest
from service.auth import Scope
from service.errors import FieldRefused, Missing
from service.exporting import export_tar, pieces

if TYPE_CHECKING:
    from ledger.log import StoredEntry

SEALS_SHOWN = 10
IMMUTABLE = "private, max-age=31536000, immutable"  # never for a cache that asks no key

api = APIBlueprint(
    "ledger",
    __name__,
    url_prefix="/v1/ledger",
    abp_tags=[Tag(name="ledger", description="The append-only log and its proofs (RFC 9162).")],
    abp_security=[{"bearer": []}],
)


@api.get("", summary="The log at a glance", responses={200: LedgerAnswer})
@needs()
def summary() -> Response:
    """Origin, verifier key, newest checkpoint and how many entries of each type."""
    here = assembly()
    note = here.ledger.checkpoint()
    checkpoint = open_checkpoint(note, here.ledger.keys())
    seals = []
    for stored in here.ledger.entries(type="seal", newest=True, limit=SEALS_SHOWN):
        data = parse_entry(stored.entry).body["data"]
        seals.append(
            {
                "leaf_index": stored.index,
                "period": data["period"],
                "count": data["count"],
                "root": data["root"],
            }
        )
    last = here.ledger.entry(checkpoint.size - 1) if checkpoint.size else None
    return jsonify(
        {
            "origin": checkpoint.origin,
            "vkey": here.ledger.vkey,
            "tree_size": checkpoint.size,
            "root_hash": checkpoint.root.hex(),
            "checkpoint": note,
            "last_commit_at": parse_entry(last.entry).body["event_time"] if last else None,
            "counts": here.ledger.counts(),
            "seals": seals,
        }
    )


@api.get(
    "/checkpoint",
    summary="Newest checkpoint (C2SP signed note)",
    responses={200: text("text/plain", "The signed note")},
)
@needs()
def checkpoint() -> Response:
    """The signed note, as text, with the witnesses' cosignatures it has so far."""
    here = assembly()
    return _plain(here.cosigning.checkpoint() if here.cosigning else here.ledger.checkpoint())


@api.get(
    "/tile/<path:rest>",
    summary="A tile or an entry bundle (C2SP tlog-tiles)",
    responses={200: binary("application/octet-stream", "Hashes, or entries behind their lengths")},
)
@needs()
def tile(path: TileRest) -> Response:
    """Hash tiles under `<level>/<n>[.p/<width>]`, bundles under `entries/<n>[.p/<width>]`."""
    here = assembly()
    where = parse_path(f"tile/{path.rest}")
    level = 0 if where.level is None else where.level
    if where.n * TILE_WIDTH + where.width > here.ledger.size >> (8 * level):
        raise Missing(f"no tile/{path.rest}", f"the tree has {here.ledger.size} leaves")
    data = (
        here.ledger.entry_bundle(where.n, where.width)
        if where.level is None
        else here.ledger.tile(where.level, where.n, where.width)
    )
    response = Response(data, content_type="application/octet-stream")
    response.headers["Cache-Control"] = IMMUTABLE
    return response


@api.get("/proof/inclusion", summary="Inclusion proof", responses={200: InclusionAnswer})
@needs()
def inclusion(query: InclusionQuery) -> Response:
    """The path of one leaf to the root of a tree that holds it."""
    here = assembly()
    size = _size(here.ledger.size, query.tree_size, "tree_size")
    if query.leaf_index >= size:
        raise FieldRefused("leaf_index", f"{query.leaf_index} is not below the tree size {size}")
    path = here.ledger.prove(query.leaf_index, size)
    return jsonify(
        {
            "leaf_index": query.leaf_index,
            "tree_size": size,
            "path": [node.hex() for node in path],
        }
    )


@api.get("/proof/consistency", summary="Consistency proof", responses={200: ConsistencyAnswer})
@needs()
def consistency(query: ConsistencyQuery) -> Response:
    """That the tree of `first` leaves is a prefix of the tree of `second`."""
    here = assembly()
    second = _size(here.ledger.size, query.second, "second")
    if query.first > second:
        raise FieldRefused("first", f"{query.first} is past {second}")
    path = here.ledger.prove_consistency(query.first, second)
    return jsonify({"first": query.first, "second": second, "path": [node.hex() for node in path]})


@api.get("/entries", summary="Page through the log", responses={200: EntriesAnswer})
@needs()
def entries(query: EntriesQuery) -> Response:
    """What each entry is, without its content."""
    ledger = assembly().ledger
    size = ledger.size
    if query.newest:
        end = min(query.first if query.first is not None else size, size)
        wanted = range(end - 1, max(end - query.limit, 0) - 1, -1)
    else:
        start = query.first or 0
        wanted = range(start, min(start + query.limit, size))
    low, high = (min(wanted), max(wanted)) if wanted else (0, -1)
    found = {e.index: e for e in ledger.entries(first=low, limit=high - low + 1)} if wanted else {}
    return jsonify({"tree_size": size, "entries": [_entry_line(found[i]) for i in wanted]})


@api.get("/entries/<int:leaf_index>", summary="One entry", responses={200: EntryAnswer})
@needs()
def entry(path: LeafPath) -> Response:
    """The entry's bytes and its receipt: under the newest witnessed checkpoint, else the newest."""
    here = assembly()
    ledger = here.ledger
    if path.leaf_index >= ledger.size:
        raise Missing(f"no entry {path.leaf_index}", f"the log has {ledger.size}")
    stored = ledger.entry(path.leaf_index)
    parsed = parse_entry(stored.entry)
    return jsonify(
        {
            "leaf_index": stored.index,
            "leaf_hash": leaf_hash(stored.entry).hex(),
            "entry": {"body": parsed.body, "sig": parsed.envelope.signature_text},
            "entry_text": stored.entry.decode(),
            "receipt": here.receipt(stored.index).to_json(),
        }
    )


@api.get(
    "/export",
    summary="Everything an offline audit needs, as a tar",
    responses={200: binary("application/x-tar", "The export")},
)
@needs(Scope.AUDITOR)
def export() -> Response:
    """Tiles, entries, rows, openings, blobs: unpack, then `assay audit DIR --key VKEY`."""
    here = assembly()
    response = Response(pieces(export_tar(here)), content_type="application/x-tar")
    response.headers["Content-Disposition"] = 'attachment; filename="assay-export.tar"'
    return response


def _entry_line(stored: StoredEntry) -> dict[str, Any]:
    body = parse_entry(stored.entry).body
    return {
        "leaf_index": stored.index,
        "type": body["type"],
        "event_time": body["event_time"],
        "producer": body["producer"],
        "actor_id": body["actor_id"],
        "leaf_hash": leaf_hash(stored.entry).hex(),
        "bytes": len(stored.entry),
    }


def _size(current: int, wanted: int | None, field: str) -> int:
    if wanted is not None and wanted > current:
        raise FieldRefused(field, f"{wanted} is past the tree's {current} leaves")
    return wanted or current


def _plain(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8")
