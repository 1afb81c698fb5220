"""What is stored beside an entry: rows of many, encrypted openings and the keys they need.

None of it is hashed into the log as it stands; rows and openings lead to what the entry commits to.
It is stored in the entry's transaction. What a table would refuse is refused before it is queued,
since inside the transaction it would fail everybody's batch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ledger.dialect import insert, insert_missing, run
from ledger.errors import LedgerInconsistent, RecordError
from ledger.merkle import HASH_BYTES
from ledger.tables import ENTRIES, OPENINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection

    from ledger.columnar import SealedPart
    from ledger.record import Draft

COMMITTING: Final = frozenset({"prediction", "outcome"})  # types whose fields may have openings
_UNSTORABLE: Final = re.compile(r"[\0\ud800-\udfff]")  # PostgreSQL has no NUL, UTF-8 no surrogate


def check_beside(draft: Draft) -> None:
    """Hold what a draft brings beside its entry against the tables. Raises RecordError."""
    _check_text("ref", draft.ref, ENTRIES.c.ref)
    if draft.openings and draft.type not in COMMITTING:
        raise RecordError("openings", f"a {draft.type} commits to nothing that could be opened")
    rows = [opening.row_index for opening in draft.openings]
    if len(set(rows)) != len(rows):
        raise RecordError("openings", "two openings of one row")
    for opening in draft.openings:
        _check_text("openings.subject", opening.subject, OPENINGS.c.subject)
        if not isinstance(opening.sealed, bytes):
            raise RecordError("openings.sealed", "expected bytes")
        if not isinstance(opening.wrapped_key, bytes | None):
            raise RecordError("openings.wrapped_key", "expected bytes or nothing")
    for part in draft.parts:
        _check_text("parts.subject", part.subject, OPENINGS.c.subject)


def insert_beside(connection: Connection, placed: Sequence[tuple[int, Draft]]) -> None:
    """Insert what drafts bring beside their entries, each with its leaf index."""
    rows: list[tuple[Any, ...]] = []
    openings: list[tuple[Any, ...]] = []
    keys: dict[tuple[str, bytes], None] = {}
    for leaf, draft in placed:
        rows.extend((leaf, place, row) for place, row in enumerate(draft.rows))
        for opening in draft.openings:
            openings.append((leaf, opening.row_index, opening.subject, opening.sealed))
            if opening.wrapped_key is not None:
                keys[opening.subject, opening.wrapped_key] = None
    insert(connection, "ledger_row", rows)
    insert_missing(connection, "ledger_subject_key", list(keys))
    insert(connection, "ledger_opening", openings)
    for leaf, draft in placed:
        if draft.parts:
            _insert_parts(connection, leaf, draft.parts)


def _insert_parts(connection: Connection, leaf: int, parts: Sequence[SealedPart]) -> None:
    """Insert a batch's parts, and read back what was stored: the entry commits to the hashes."""
    hashes = [(leaf, number, part.hashes) for number, part in enumerate(parts)]
    insert(connection, "ledger_part", hashes)
    sealed = [
        (leaf, number, part.subject, len(part.hashes) // HASH_BYTES, part.sealed)
        for number, part in enumerate(parts)
    ]
    insert(connection, "ledger_sealed_part", sealed)
    keys = {(part.subject, part.wrapped_key) for part in parts if part.wrapped_key is not None}
    insert_missing(connection, "ledger_subject_key", sorted(keys))
    found = run(
        connection,
        "SELECT leaf_index, part, hashes FROM ledger_part WHERE leaf_index = ? ORDER BY part",
        (leaf,),
    )
    if [(at, number, bytes(stored)) for at, number, stored in found] != hashes:
        raise LedgerInconsistent(f"rows stored of entry {leaf}")


def _check_text(field: str, value: object, column: Column[Any]) -> None:
    if value is None and column.nullable:
        return
    longest = column.type.length  # type: ignore[attr-defined] # a text column's
    fits = isinstance(value, str) and 0 < len(value) <= longest and not _UNSTORABLE.search(value)
    if not fits:
        raise RecordError(field, f"expected text of 1 to {longest} characters")
