"""Cosignatures kept beside the log's checkpoints: one per witness and size, as it came.

What is kept was verified by whoever collected it (`service/cosigning.py`). A checkpoint is handed
out with all that is kept for its size; readers ignore witnesses they do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from ledger.store import writer
from ledger.tables import CosignatureRow

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

    from ledger.cosignature import Cosignature, WitnessKey

_TABLE: Table = CosignatureRow.__table__  # type: ignore[attr-defined] # SQLModel's own attribute


def keep_cosignature(engine: Engine, size: int, cosignature: Cosignature) -> bool:
    """Keep a verified cosignature of the checkpoint of a size; False when one is kept already."""
    row = {
        "size": size,
        "witness": cosignature.witness.key.key_id,
        "time": cosignature.time,
        "line": cosignature.line,
    }
    try:
        with writer(engine).begin() as connection:
            connection.execute(insert(_TABLE).values(row))
    except IntegrityError:  # another process asked the same witness
        return False
    return True


def cosigned(engine: Engine, size: int, note: str) -> str:
    """A checkpoint's note with every cosignature kept for its size, in the order of their times."""
    with engine.connect() as connection:
        lines = connection.scalars(
            select(_TABLE.c.line)
            .where(_TABLE.c.size == size)
            .order_by(_TABLE.c.time, _TABLE.c.witness)
        )
        return note + "".join(lines)


def cosigned_sizes(engine: Engine, *, above: int, limit: int) -> list[int]:
    """Sizes above one that have any cosignature, the largest first."""
    with engine.connect() as connection:
        sizes = connection.scalars(
            select(_TABLE.c.size)
            .where(_TABLE.c.size > above)
            .distinct()
            .order_by(_TABLE.c.size.desc())
            .limit(limit)
        )
        return [int(size) for size in sizes]


def last_cosigned(engine: Engine, witness: WitnessKey) -> int:
    """The largest size a witness cosigned, as far as it is kept here; 0 when none is."""
    with engine.connect() as connection:
        found = connection.scalar(
            select(func.max(_TABLE.c.size)).where(_TABLE.c.witness == witness.key.key_id)
        )
        return int(found or 0)
