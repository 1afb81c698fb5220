"""An export, read as claims about models, executions and outcomes' signers.

The log's own offline check (`ledger.verify`) ran before; its result comes along. `read_bundle`
walks the entries once and keeps what is small: the models' lifecycle, who signed what, and what
later entries will be judged by (`Carried`). Predictions, outcomes' signers and rows with their
opened inputs are streamed afterwards, one entry bundle at a time: memory stays as the log grows.

An entry that cannot be read here was named by the log's check already; it is passed over, so that
an audit of a damaged export still says everything else it can.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ledger.columnar import COLUMNS, Columns
from ledger.errors import LedgerError
from ledger.grammar import ROWS_MAX
from ledger.layout import batch_records_path, blob_path, is_blob, openings_path, rows_path
from ledger.record import unsigned_body
from ledger.tiles import TILE_WIDTH, split_bundle, tile_path, width_at
from ledger.verify import Finding, KnownKey, LogFindings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger.layout import Source

__all__ = [
    "Bundle",
    "Carried",
    "Finding",
    "KnownKey",
    "Lifecycle",
    "LogFindings",
    "OutcomeSigner",
    "Prediction",
    "RecordedBatch",
    "RecordedRow",
    "read_bundle",
]

LIFECYCLE: Final = frozenset({"model.published", "model.approved", "model.withdrawn"})
_NOTHING: Final[dict[int, dict[int, dict[str, Any]]]] = {}


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """A publication, approval or withdrawal. Version and provenance are a publication's alone."""

    leaf: int
    type: str
    model_digest: str
    name: str
    actor: str
    signer: str
    version: str = ""
    provenance_digest: str = ""


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
class Carried:
    """What the entries of a tree leave for those after it to be judged by; nothing of an empty one.

    `outcome_signers` gives the first outcome that each key signed.
    """

    size: int = 0
    lifecycle: tuple[Lifecycle, ...] = ()
    prediction_signers: frozenset[str] = frozenset()
    outcome_signers: Mapping[str, int] = field(default_factory=dict)
    next_seq: Mapping[str, int] = field(default_factory=dict)
    seal_end: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A read export, from leaf `before.size` on. Everything is in leaf order.

    `row_count` counts the rows recorded by its predictions.
    """

    source: Source
    log: LogFindings
    before: Carried
    after: Carried
    row_count: int

    @property
    def lifecycle(self) -> tuple[Lifecycle, ...]:
        """Every event from leaf 0 on."""
        return self.after.lifecycle

    @property
    def published_as(self) -> dict[str, str]:
        """The name each model was first published under, by digest."""
        published = [e for e in self.lifecycle if e.type == "model.published"]
        return {event.model_digest: event.name for event in reversed(published)}

    def blob(self, digest: str) -> bytes | None:
        """The bytes stored under a digest, not hashed here; None when they are not there."""
        path = blob_path(digest)
        if not is_blob(path):  # an entry of no known form could name any file of this machine
            return None
        try:
            return self.source.read(path)
        except OSError:
            return None

    def records(self) -> Iterator[Prediction | OutcomeSigner]:
        """Predictions and outcomes' signers, read again."""
        for _, body, leaf in self._entries():
            record = _record(leaf, body)
            if record is not None:
                yield record

    def rows(self) -> Iterator[RecordedRow]:
        """Every recorded row but those of batches, holding one entry bundle at a time."""
        held, many, openings = -1, _NOTHING, _NOTHING
        for number, body, leaf in self._entries():
            prediction = _record(leaf, body)
            if not isinstance(prediction, Prediction) or prediction.columns is not None:
                continue
            if number != held:
                many = _lines(self.source, rows_path(number), "row")
                openings = _lines(self.source, openings_path(number), "opening")
                held = number
            one = prediction.row_count == 1
            rows = {0: body["data"]["row"]} if one else many.get(leaf, {})
            opened = openings.get(leaf, {})
            for index in range(prediction.row_count):
                erased = (leaf, index) in self.log.erased
                row = _row(prediction, index, rows.get(index), opened.get(index))
                yield replace(row, erased=True) if erased else row

    def batches(self) -> Iterator[RecordedBatch]:
        """Every batch with its records, holding one at a time."""
        for _, body, leaf in self._entries():
            prediction = _record(leaf, body)
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
        """Bundle number, body and leaf of each readable entry of this bundle."""
        return _entries(self.source, self.before.size, self.log.tree_size)


def read_bundle(source: Source, log: LogFindings, before: Carried | None = None) -> Bundle:
    """Walk the entries of a checked export once, from where an earlier audit ended."""
    known = before or Carried()
    lifecycle = list(known.lifecycle)
    producers, outcomes = set(known.prediction_signers), dict(known.outcome_signers)
    next_seq, seal_end, rows = dict(known.next_seq), known.seal_end, 0
    for _, body, leaf in _entries(source, known.size, log.tree_size):
        try:
            kind, signer, seq = str(body["type"]), str(body["producer"]), int(body["seq"])
            next_seq[signer] = max(seq + 1, next_seq.get(signer, 0))
            if kind in LIFECYCLE:
                lifecycle.append(_lifecycle(leaf, body))
            elif kind == "seal":
                seal_end = max(seal_end, body["data"]["first_index"] + body["data"]["count"])
        except (KeyError, TypeError, ValueError):
            continue  # named by the log's check, which holds every entry against its grammar
        record = _record(leaf, body)
        if isinstance(record, Prediction):
            producers.add(record.signer)
            rows += record.row_count
        elif record is not None:
            outcomes.setdefault(record.signer, leaf)
    after = Carried(
        size=log.tree_size,
        lifecycle=tuple(lifecycle),
        prediction_signers=frozenset(producers),
        outcome_signers=outcomes,
        next_seq=next_seq,
        seal_end=seal_end,
    )
    return Bundle(source, log, known, after, rows)


def _entries(source: Source, first: int, size: int) -> Iterator[tuple[int, dict[str, Any], int]]:
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


def _lifecycle(leaf: int, body: dict[str, Any]) -> Lifecycle:
    data = body["data"]
    return Lifecycle(
        leaf=leaf,
        type=body["type"],
        model_digest=str(data["model_digest"]),
        name=str(data["name"]),
        actor=str(body["actor_id"]),
        signer=str(body["producer"]),
        version=str(data.get("version", "")),
        provenance_digest=str(data.get("provenance_digest", "")),
    )


def _record(leaf: int, body: dict[str, Any]) -> Prediction | OutcomeSigner | None:
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


def _lines(source: Source, path: str, what: str) -> dict[int, dict[int, dict[str, Any]]]:
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
