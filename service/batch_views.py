"""A batch as the API shows it: one row with its proof, or what stands beside all rows.

A row's leaf is its record in text; both come from the encrypted records, and the path from the leaf
hashes, which stay when the records are erased. Reasons are stated anew from the recorded inputs by
the recorded model: for a batch they are not recorded.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ledger.columnar import PART_ROWS, Columns, row_path
from ledger.merkle import HASH_BYTES
from service.batch_rows import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.runtime import Predictor
    from service.assembly import Assembly


def batch_rows(
    assembly: Assembly, leaf: int, data: Mapping[str, Any], row: int | None, *, whole: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """The row in the API's form with its proof. Without a row neither: there may be 100,000.

    The proof of a `whole` row holds its text; else its leaf hash, which reveals nothing.
    """
    if row is None:
        return [], None
    part, place = divmod(row, PART_ROWS)
    columns = Columns.of(data)
    shown: dict[str, Any] = {
        "prediction_id": f"{leaf}.{row}",
        "row_index": row,
        "decision": None,
        "outputs": {},
        "reasons": [],
        "inputs": None,
        "derived": {},
    }
    hashes = assembly.ledger.row_hashes(leaf)
    proof: dict[str, Any] = {
        "leaf_hash": hashes[part][place * HASH_BYTES : (place + 1) * HASH_BYTES].hex(),
        "row_index": row,
        "row_count": data["row_count"],
        "path": [node.hex() for node in row_path(hashes, row)],
    }
    found = dict(assembly.vault.open_parts(leaf, part, part + 1)).get(part)
    if found is None:  # erased: its place in the log stays
        return [shown], [proof]
    record = found[place * columns.width : (place + 1) * columns.width]
    predictor = assembly.inventory.predictor(data["model_digest"])
    words = columns.row(record)
    shown |= {
        "decision": words.decision,
        "outputs": dict(words.outputs),
        "reasons": _reasons(predictor, columns, record),
        "inputs": {name: _shown(pattern) for name, pattern in words.inputs.items()},
        "derived": predictor.derive(words.outputs),
    }
    if whole:
        del proof["leaf_hash"]
        proof["row"] = next(columns.texts(record, row)).decode()
    return [shown], [proof]


def _reasons(predictor: Predictor, columns: Columns, record: bytes) -> list[dict[str, Any]]:
    texts = {reason.code: reason.text for reason in predictor.reason_texts()}
    if not texts:
        return []
    (reasons,) = predictor.reasons(unpack(columns, record).inputs)
    return [
        {"code": r.code, "text": texts[r.code], "contribution_q16": r.contribution_q16}
        for r in reasons
    ]


def _shown(pattern: str) -> str | None:
    value: float = struct.unpack(">f", bytes.fromhex(pattern))[0]
    return None if value != value else repr(value)  # noqa: PLR0124 - NaN means missing
