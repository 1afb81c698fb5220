"""Entries: what is said, by whom, signed; and the exact bytes of it (docs/formats/entry.md).

An entry is canonical JSON: a body, and the envelope that carries its producer's signature, alone or
over a batch (`envelope.py`). The body is an exact slice of the entry's bytes, so no second encoding
is ever checked.

A `Draft` is what a caller wants recorded. The log adds its origin, the producer's key id and the
producer's next sequence number (each key counts its own entries from 0), and signs.

Tables of fields are in `grammar.py`, commitments and rows in `commitment.py`; callers take all of
it from here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import INT_MAX, canonical_bytes
from ledger.columnar import COLUMNS, SealedPart, check_parts
from ledger.commitment import (
    OpenedField,
    Opening,
    SealedOpening,
    check_opening,
    commit_field,
    make_opening,
    parse_row,
    row_bytes,
    row_object,
)
from ledger.envelope import body_of, signed_message
from ledger.errors import RecordError
from ledger.grammar import (
    ENTRY_SCHEMA,
    HEX64,
    MANY_ROWS,
    SIGNER_ROLES,
)
from ledger.merkle import leaf_hash, root_of
from ledger.signing import ENVELOPE, assemble, sign_bodies
from ledger.tiles import ENTRY_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping


from ledger.entry import (
    Entry,
    check_body,
    parse_entry,
)

__all__ = [
    "ENTRY_MAX",
    "SIGNER_ROLES",
    "Draft",
    "Entry",
    "OpenedField",
    "Opening",
    "SealedOpening",
    "assemble",
    "body_of_draft",
    "check_draft",
    "check_length",
    "check_opening",
    "commit_field",
    "encode_body",
    "make_opening",
    "parse_entry",
    "parse_row",
    "renumber",
    "row_bytes",
    "row_object",
    "sign_bodies",
    "signed_message",
    "unsigned_body",
]

_SEQ_DIGITS: Final = len(str(INT_MAX))


@dataclass(frozen=True, slots=True)
class Draft:
    """What a caller wants recorded.

    `request_digest` tells a retry from another request under the same idempotency key; `ref` is
    what the entry is looked up by; `rows` are the row tree's leaves and `openings` the encrypted
    openings, or `parts` both at once for rows by columns, all stored beside the log. None of these
    five is part of the entry.
    """

    type: str
    actor_id: str
    data: Mapping[str, object]
    event_time: str
    event_time_granularity_ms: int = 1
    clock_source: str = "system"
    idempotency_key: str | None = None
    request_digest: str | None = None
    parents: tuple[int, ...] = ()
    retention_class: str = "standard"
    retain_until: str | None = None
    regime_tags: tuple[str, ...] = ()
    ref: str | None = None
    rows: tuple[bytes, ...] = ()
    openings: tuple[SealedOpening, ...] = ()
    parts: tuple[SealedPart, ...] = ()


# --- written ---------------------------------------------------------------------------------


def check_draft(draft: Draft) -> None:
    """Hold a draft against the grammar, before it is queued. Raises RecordError."""
    body = body_of_draft(draft, origin="origin", producer="0" * 32, seq=0)
    check_body(body)
    row_count = body["data"]["row_count"] if draft.type == "prediction" else 1
    if COLUMNS in draft.data:
        check_parts(draft.data, draft.parts)
    elif draft.parts:
        raise RecordError("parts", "the entry has no columns")
    elif len(draft.rows) != (row_count if row_count > 1 else 0):
        raise RecordError("rows", f"{len(draft.rows)} row leaves beside a row_count of {row_count}")
    if draft.rows:
        root = root_of([leaf_hash(row) for row in draft.rows]).hex()
        if root != draft.data[MANY_ROWS]:
            raise RecordError(f"data.{MANY_ROWS}", f"the rows have root {root}")
    if draft.request_digest is not None and (reason := HEX64(draft.request_digest)):
        raise RecordError("request_digest", reason)
    for opening in draft.openings:
        if not 0 <= opening.row_index < row_count:
            raise RecordError("openings", f"no row {opening.row_index}")


def encode_body(draft: Draft, *, origin: str, producer: str, seq: int) -> bytes:
    """The canonical body. Raises RecordError when its entry would exceed 65,535 bytes."""
    body = canonical_bytes(body_of_draft(draft, origin=origin, producer=producer, seq=seq))
    check_length(body)
    return body


def check_length(body: bytes) -> None:
    """Refuse a body whose entry would exceed 65,535 bytes. Raises RecordError."""
    if len(body) + ENVELOPE + _SEQ_DIGITS > ENTRY_MAX:
        raise RecordError("entry", f"{len(body)} bytes of body do not fit in {ENTRY_MAX}")


def renumber(body: bytes, seq: int) -> bytes:
    """The same body under another sequence number: cheap enough to do under the log's lock.

    `seq` sorts before `type` alone, and a type holds no quote, so its place is found from behind.
    """
    start = body.rindex(b'"seq":') + len(b'"seq":')
    end = body.index(b",", start)
    return body[:start] + str(seq).encode() + body[end:]


def body_of_draft(draft: Draft, *, origin: str, producer: str, seq: int) -> dict[str, Any]:
    """The body that a draft will be, as plain JSON."""
    return {
        "schema": ENTRY_SCHEMA,
        "type": draft.type,
        "origin": origin,
        "producer": producer,
        "seq": seq,
        "actor_id": draft.actor_id,
        "event_time": draft.event_time,
        "event_time_granularity_ms": draft.event_time_granularity_ms,
        "clock_source": draft.clock_source,
        "idempotency_key": draft.idempotency_key,
        "parents": list(draft.parents),
        "retention_class": draft.retention_class,
        "retain_until": draft.retain_until,
        "regime_tags": list(draft.regime_tags),
        "data": dict(draft.data),
    }


def unsigned_body(entry: bytes) -> dict[str, Any]:
    """The body of an entry, read without checking anything: for callers that judge no evidence."""
    return dict(json.loads(body_of(entry)))
