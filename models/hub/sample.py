"""A sample of a model's features, stored as a blob: what live inputs are compared with for drift.

Columns of float32 bit patterns (8 hex digits each, joined), so that a sample has one text.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

from models.errors import ManifestRefused
from models.hub.canonical import canonical_bytes, parse_canonical
from models.hub.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA: Final = "assay/feature-sample/v1"
SAMPLE_MAX: Final = 32 << 20  # bytes


def sample_bytes(columns: Mapping[str, Sequence[float]]) -> bytes:
    """The blob of columns of equal length."""
    texts = {
        name: struct.pack(f">{len(values)}f", *values).hex() for name, values in columns.items()
    }
    rows = {len(values) for values in columns.values()}
    if len(rows) != 1:
        raise ManifestRefused("sample.columns", "columns differ in length")
    return canonical_bytes({"schema": SCHEMA, "rows": rows.pop(), "columns": texts}, "sample")


def parse_sample(data: bytes) -> dict[str, list[float | None]]:
    """The columns of a blob; a missing value is None."""
    top = Reader(parse_canonical(data, limit=SAMPLE_MAX, where="sample"), "sample")
    top.choice("schema", (SCHEMA,))
    rows = top.integer("rows", 1, SAMPLE_MAX)
    columns = top.take("columns")
    top.done()
    if not isinstance(columns, dict):
        raise ManifestRefused("sample.columns", "expected an object")
    return {name: _column(name, text, rows) for name, text in columns.items()}


def _column(name: str, text: object, rows: int) -> list[float | None]:
    try:
        values = struct.unpack(f">{rows}f", bytes.fromhex(str(text)))
    except (ValueError, struct.error) as error:
        raise ManifestRefused(f"sample.columns.{name}", f"expected {rows} patterns") from error
    return [None if math.isnan(value) else value for value in values]
