"""Batches run again: records in, records out; equal bytes are rows that agree to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import LedgerError
from service.auditor.comparing import Comparison, compare
from service.auditor.recorded import RecordedRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ledger.columnar import Columns
    from service.auditor.comparing import Tally
    from service.auditor.recorded import RecordedBatch

RECORD_ROWS: Final = 8192  # of a batch, run at once: bounds memory


def run_batch(tally: Tally, batch: RecordedBatch, erased: Collection[tuple[int, int]]) -> None:
    """Run a batch's records again, some thousands at a time; equal bytes are bit-exact rows."""
    width, whole = batch.columns.width, batch.records
    for first in range(0, batch.row_count, RECORD_ROWS):
        rows = range(first, min(first + RECORD_ROWS, batch.row_count))
        piece = b"" if whole is None else whole[rows.start * width : rows.stop * width]
        there = _there(piece, width)
        if len(there) < len(rows):
            for row in set(rows).difference(first + place for place in there):
                known = (batch.leaf, row) in erased
                kind = Comparison.ERASED if known else Comparison.NOT_REPLAYABLE
                tally.count(batch.model_digest, kind)
            piece = b"".join(piece[place * width : (place + 1) * width] for place in there)
        if there:
            _run_records(tally, batch, piece, [first + place for place in there])


def _there(records: bytes, width: int) -> Sequence[int]:
    """The places of the records that are more than zero bytes."""
    places = range(len(records) // width)
    if bytes(width) not in records:
        return places
    return [place for place in places if any(records[place * width : (place + 1) * width])]


def _run_records(tally: Tally, batch: RecordedBatch, records: bytes, rows: Sequence[int]) -> None:
    """Run records of these rows again."""
    rerun = tally.model(batch.model_digest, batch.leaf)
    if rerun is None:
        tally.count(batch.model_digest, Comparison.NOT_REPLAYABLE, len(rows))
        return
    made, refused = rerun.records(batch.columns, records, served=batch.row_count)
    if made == records and not refused:
        tally.count(batch.model_digest, Comparison.BIT_EXACT, len(rows))
        return
    width = batch.columns.width
    for place, row in enumerate(rows):
        old, new = (part[place * width : (place + 1) * width] for part in (records, made))
        if old == new and place not in refused:
            tally.count(batch.model_digest, Comparison.BIT_EXACT)
        else:
            compare(tally, _in_words(batch, row, old), _Again.of(batch, new, refused.get(place)))


def _in_words(batch: RecordedBatch, row: int, record: bytes) -> RecordedRow:
    """One record as a row of texts; a decision that the columns do not name is none."""
    outputs, decision = _outputs(batch.columns, record)
    return RecordedRow(
        leaf=batch.leaf,
        row_index=row,
        model_digest=batch.model_digest,
        model_name=batch.model_name,
        inputs={},
        outputs=outputs,
        decision=decision,
    )


def _outputs(columns: Columns, record: bytes) -> tuple[dict[str, str], str]:
    try:
        row = columns.row(record)
    except LedgerError:
        return {}, ""
    return {name: str(value) for name, value in row.outputs.items()}, row.decision


@dataclass(frozen=True, slots=True)
class _Again:
    """What the model made of one record."""

    outputs: Mapping[str, str]
    decision: str
    refused: str | None

    @classmethod
    def of(cls, batch: RecordedBatch, record: bytes, refused: str | None) -> _Again:
        return cls(*_outputs(batch.columns, record), refused)
