"""What an export records of predictions: rows with their opened inputs, and batches by records.

A `Part` is a range of leaves that can be read with no other: what one worker replays. Nothing is
checked here; an entry that cannot be read was named by the log's check, and is passed over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ledger.columnar import COLUMNS, Columns
from ledger.errors import LedgerError
from ledger.grammar import ROWS_MAX
from ledger.layout import batch_records_path, blob_path, is_blob, openings_path, rows_path
from ledger.record import unsigned_body
from ledger.tiles import TILE_WIDTH, split_bundle, tile_path, width_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger.layout import Source

_NOTHING: Final[dict[int, dict[int, dict[str, Any]]]] = {}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a prediction entry says of itself; its rows are read apart."""

    leaf: int
    model_digest: str
    model_name: str
    policy_digest: str
    environment_digest: str
    mode: str
    row_count: int
    signer: str
    columns: Columns | None = None  # of a batch, whose rows are records


@dataclass(frozen=True, slots=True)
class OutcomeSigner:
    """Who signed an outcome. What came out is deliberately not here."""

    leaf: int
    signer: str


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One executed row. `inputs` is None when its opening is not in the export."""

    leaf: int
    row_index: int
    model_digest: str
    model_name: str
    inputs: Mapping[str, str] | None
    outputs: Mapping[str, str]
    decision: str
    erased: bool = False


@dataclass(frozen=True, slots=True)
class RecordedBatch:
    """The rows of one batch as records. `records` is None when they are not in the export."""

    leaf: int
    model_digest: str
    model_name: str
    columns: Columns
    row_count: int
    records: bytes | None


@dataclass(frozen=True, slots=True)
class Part:
    """Leaves [first, end) of an export whose tree has `size` leaves. In leaf order.

    `erased` are the rows of these leaves, by leaf and row, whose erasure is recorded anywhere.
    """

    source: Source
    size: int
    first: int
    end: int
    erased: frozenset[tuple[int, int]] = frozenset()

    def rows(self) -> Iterator[RecordedRow]:
        """Every recorded row but those of batches, holding one entry bundle at a time."""
        held, many, openings = -1, _NOTHING, _NOTHING
        for number, body, leaf in self._entries():
            prediction = record_of(leaf, body)
            if not isinstance(prediction, Prediction) or prediction.columns is not None:
                continue
            if number != held:
                many = lines_of(self.source, rows_path(number), "row")
                openings = lines_of(self.source, openings_path(number), "opening")
                held = number
            one = prediction.row_count == 1
            rows = {0: body["data"]["row"]} if one else many.get(leaf, {})
            opened = openings.get(leaf, {})
            for index in range(prediction.row_count):
                erased = (leaf, index) in self.erased
                row = _row(prediction, index, rows.get(index), opened.get(index))
                yield replace(row, erased=True) if erased else row

    def batches(self) -> Iterator[RecordedBatch]:
        """Every batch with its records, holding one at a time."""
        for _, body, leaf in self._entries():
            prediction = record_of(leaf, body)
            if isinstance(prediction, Prediction) and prediction.columns is not None:
                yield self._batch(prediction, prediction.columns)

    def _batch(self, prediction: Prediction, columns: Columns) -> RecordedBatch:
        try:
            records = self.source.read(batch_records_path(prediction.leaf))
        except OSError:
            records = b""
        fits = len(records) == prediction.row_count * columns.width
        return RecordedBatch(
            leaf=prediction.leaf,
            model_digest=prediction.model_digest,
            model_name=prediction.model_name,
            columns=columns,
            row_count=prediction.row_count,
            records=records if fits else None,  # a wrong length is named by the log's check
        )

    def _entries(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        for number, body, leaf in entries_from(self.source, self.first, self.size):
            if leaf >= self.end:
                return
            yield number, body, leaf


def blob_of(source: Source, digest: str) -> bytes | None:
    """The bytes stored under a digest, not hashed here; None when they are not there."""
    path = blob_path(digest)
    if not is_blob(path):  # an entry of no known form could name any file of this machine
        return None
    try:
        return source.read(path)
    except OSError:
        return None


def entries_from(
    source: Source, first: int, size: int
) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Bundle number, body and leaf of each readable entry from a leaf on."""
    for number in range(first // TILE_WIDTH, -(-size // TILE_WIDTH)):
        for leaf, body in _bodies(source, number, size):
            if leaf >= first:
                yield number, body, leaf


def _bodies(source: Source, number: int, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Leaf and body of each readable entry of a bundle."""
    width = width_at(0, number, size)
    path = tile_path(None, number, width)
    try:
        entries = split_bundle(source.read(path), width, path)
    except (OSError, LedgerError):
        return
    for place, entry in enumerate(entries):
        try:
            yield number * TILE_WIDTH + place, unsigned_body(entry)
        except (LedgerError, ValueError, TypeError, RecursionError):
            continue


def record_of(leaf: int, body: dict[str, Any]) -> Prediction | OutcomeSigner | None:
    """A prediction or an outcome's signer; None for anything else, readable or not."""
    try:
        if body["type"] == "prediction":
            return _prediction(leaf, body)
        if body["type"] == "outcome":
            return OutcomeSigner(leaf, str(body["producer"]))
    except (KeyError, TypeError, ValueError, LedgerError):
        pass  # named by the log's check, which holds every entry against its grammar
    return None


def _prediction(leaf: int, body: dict[str, Any]) -> Prediction:
    data = body["data"]
    count = data["row_count"]
    columns = Columns.of(data) if COLUMNS in data else None
    alone = columns is None and count == 1
    if not 1 <= count <= ROWS_MAX or (alone and not isinstance(data["row"], dict)):
        raise ValueError(leaf)
    return Prediction(
        leaf=leaf,
        model_digest=str(data["model_digest"]),
        model_name=str(data["model_name"]),
        policy_digest=str(data["policy_digest"]),
        environment_digest=str(data["environment_digest"]),
        mode=str(data["verification_mode"]),
        row_count=int(count),
        signer=str(body["producer"]),
        columns=columns,
    )


def lines_of(source: Source, path: str, what: str) -> dict[int, dict[int, dict[str, Any]]]:
    """Rows or openings of one bundle's entries, by leaf and row; unreadable lines are left out."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    try:
        lines = source.read(path).splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            value = json.loads(line)
            item = value[what]
            found.setdefault(int(value["leaf_index"]), {})[int(item["row_index"])] = item
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def _row(
    prediction: Prediction,
    index: int,
    row: dict[str, Any] | None,
    opening: dict[str, Any] | None,
) -> RecordedRow:
    """Inputs as opened; of the outputs those that the row commits to, whatever else is opened."""
    inputs: dict[str, str] | None = None
    outputs: dict[str, str] = {}
    decision = ""
    try:
        if row is not None and opening is not None:
            decision = str(row["decision"])
            opened = opening["outputs"]
            outputs = {str(n): str(opened[n]["value"]) for n in row["outputs"] if n in opened}
            inputs = {str(n): str(f["value"]) for n, f in opening["inputs"].items()}
    except (KeyError, TypeError, AttributeError):
        inputs = None  # named by the log's check, which holds openings against their grammar
    return RecordedRow(
        leaf=prediction.leaf,
        row_index=index,
        model_digest=prediction.model_digest,
        model_name=prediction.model_name,
        inputs=inputs,
        outputs=outputs,
        decision=decision,
    )
