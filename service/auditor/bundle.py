"""An export, read as claims about models, executions and outcomes' signers.

The log's own offline check (`ledger.verify`) ran before; its result comes along. `read_bundle`
walks the entries once and keeps what is small: the models' lifecycle, who signed what, and what
later entries will be judged by (`Carried`). Predictions, outcomes' signers and rows with their
opened inputs are streamed afterwards, one entry bundle at a time: memory stays as the log grows.

An entry that cannot be read here was named by the log's check already; it is passed over, so that
an audit of a damaged export still says everything else it can.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ledger.findings import Finding, KnownKey, LogFindings
from service.auditor.recorded import (
    OutcomeSigner,
    Part,
    Prediction,
    RecordedBatch,
    RecordedRow,
    blob_of,
    entries_from,
    record_of,
)

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
PART_LEAVES: Final = 4096  # of one part, and the rows past which it ends: seconds of replay
PART_ROWS: Final = 65_536


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
    cuts: tuple[int, ...] = ()  # the leaves at which parts begin, but for the first

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
        return blob_of(self.source, digest)

    def parts(self) -> list[Part]:
        """All of it in ranges of leaves, always cut at the same places."""
        size = self.log.tree_size
        erased = sorted(self.log.erased)
        return [
            Part(
                source=self.source,
                size=size,
                first=first,
                end=end,
                erased=frozenset(row for row in erased if first <= row[0] < end),
            )
            for first, end in pairwise((self.before.size, *self.cuts, size))
        ]

    def records(self) -> Iterator[Prediction | OutcomeSigner]:
        """Predictions and outcomes' signers, read again."""
        for _, body, leaf in self._entries():
            record = record_of(leaf, body)
            if record is not None:
                yield record

    def _entries(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        """Bundle number, body and leaf of each readable entry of this bundle."""
        return entries_from(self.source, self.before.size, self.log.tree_size)


def read_bundle(source: Source, log: LogFindings, before: Carried | None = None) -> Bundle:
    """Walk the entries of a checked export once, from where an earlier audit ended."""
    known = before or Carried()
    lifecycle = list(known.lifecycle)
    producers, outcomes = set(known.prediction_signers), dict(known.outcome_signers)
    next_seq, seal_end, rows = dict(known.next_seq), known.seal_end, 0
    cuts, begun, rows_before = list[int](), known.size, 0
    for _, body, leaf in entries_from(source, known.size, log.tree_size):
        try:
            kind, signer, seq = str(body["type"]), str(body["producer"]), int(body["seq"])
            next_seq[signer] = max(seq + 1, next_seq.get(signer, 0))
            if kind in LIFECYCLE:
                lifecycle.append(_lifecycle(leaf, body))
            elif kind == "seal":
                seal_end = max(seal_end, body["data"]["first_index"] + body["data"]["count"])
        except (KeyError, TypeError, ValueError):
            continue  # named by the log's check, which holds every entry against its grammar
        record = record_of(leaf, body)
        if isinstance(record, Prediction):
            producers.add(record.signer)
            if leaf - begun >= PART_LEAVES or rows - rows_before >= PART_ROWS:
                cuts.append(leaf)
                begun, rows_before = leaf, rows
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
    return Bundle(source, log, known, after, rows, tuple(cuts))


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
