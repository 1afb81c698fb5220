"""Replay: every recorded execution run again from its opened inputs, and compared.

The model arrives as a callable from texts to texts, loaded by digest elsewhere: this file knows no
model format. Rows are batched per model, read once and never held all at the same time. A batch
recorded by columns goes through whole: from its records the model makes records again, and equal
bytes need no second look.

Five outcomes, counted and never mixed: bit-exact; within the tolerance that the policy declares
for that output; different; erased (the opening was destroyed and an entry says so); not replayable
(the opening or the model is not in the export). Replay says nothing on accuracy: a model that was
wrong replays exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from ledger.errors import LedgerError
from service.auditor.bundle import Finding, RecordedRow
from service.verification.evidence import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ledger.columnar import Columns
    from service.auditor.bundle import Bundle, RecordedBatch
    from service.verification.policy import Policy

CHECK: Final = "execution"
RECORD_ROWS: Final = 8192  # of a batch, run at once: bounds memory
BATCH_ROWS: Final = 1024  # past this the model's own cost per row no longer falls
FINDINGS_KEPT: Final = 1000  # the rest is counted: a report must stay readable and bounded
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,15})")  # 16 digits cover 2^53


class Comparison(StrEnum):
    """What running a row again showed."""

    BIT_EXACT = "bit_exact"
    WITHIN_TOLERANCE = "within_tolerance"
    DIFFERENT = "different"
    ERASED = "erased"
    NOT_REPLAYABLE = "not_replayable"


class ModelUnavailable(Exception):
    """The model cannot be loaded because a part of it is not in the export."""


class ModelRefused(Exception):
    """The model's bytes are there and must not be run: a digest or a test vector differs."""


class Executed(Protocol):
    """What the model answers when run again, as recorded texts; or why it refuses the inputs."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """By output name, as the texts that are committed to."""

    @property
    def decision(self) -> str:
        """What follows from the outputs."""

    @property
    def refused(self) -> str | None:
        """Why these inputs cannot be run; None when they were."""


class Rerun(Protocol):
    """A model, ready to run recorded rows again."""

    def __call__(self, rows: Sequence[Mapping[str, str]], /) -> Sequence[Executed]:
        """Rows as texts by input name."""

    def records(
        self, columns: Columns, records: bytes, *, served: int
    ) -> tuple[bytes, Mapping[int, str]]:
        """Records made again of the same salts and inputs; rows refused, by place, and why.

        `served` is how many rows the batch has, of which these may be some.
        """


if TYPE_CHECKING:
    Load = Callable[[str], Rerun]


@dataclass(frozen=True, slots=True)
class Execution:
    """The comparisons of one model, counted."""

    model_digest: str
    counts: Mapping[Comparison, int]

    @property
    def replayed(self) -> int:
        """Rows that were run again, whatever came out."""
        return sum(
            self.counts.get(kind, 0)
            for kind in (Comparison.BIT_EXACT, Comparison.WITHIN_TOLERANCE, Comparison.DIFFERENT)
        )

    @property
    def verdict(self) -> Verdict:
        """FAILED by any difference; erased rows aside, VERIFIED only if every row was run."""
        if self.counts.get(Comparison.DIFFERENT, 0):
            return Verdict.FAILED
        if self.counts.get(Comparison.NOT_REPLAYABLE, 0) or not self.replayed:
            return Verdict.NOT_CHECKED
        return Verdict.VERIFIED


@dataclass(frozen=True, slots=True)
class Replay:
    """Executions by model, the first findings, and how many there are."""

    executions: tuple[Execution, ...]
    findings: tuple[Finding, ...]
    failed: int
    unavailable: Mapping[str, str]  # model digest -> why its rows could not be run

    @property
    def replayed(self) -> int:
        """Rows run again, over all models."""
        return sum(execution.replayed for execution in self.executions)


@dataclass(slots=True)
class _Tally:
    policy: Policy
    load: Load
    progress: Callable[[int], None] | None
    counts: dict[str, Counter[Comparison]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    failed: int = 0
    unavailable: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, Rerun | None] = field(default_factory=dict)

    def count(self, model_digest: str, comparison: Comparison, rows: int = 1) -> None:
        self.counts.setdefault(model_digest, Counter())[comparison] += rows
        if self.progress is not None:
            self.progress(rows)

    def differ(self, row: RecordedRow, expected: str, got: str, subject: str) -> None:
        self.count(row.model_digest, Comparison.DIFFERENT)
        self.failed += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(
                Finding(check=CHECK, leaf=row.leaf, expected=expected, got=got, subject=subject)
            )

    def model(self, digest: str, leaf: int) -> Rerun | None:
        """Load once; a model that must not be run fails at the first leaf that used it."""
        if digest not in self.loaded:
            try:
                self.loaded[digest] = self.load(digest)
            except ModelUnavailable as error:
                self.loaded[digest] = None
                self.unavailable[digest] = str(error)
            except ModelRefused as error:
                self.loaded[digest] = None
                self.unavailable[digest] = str(error)
                self.failed += 1
                self.findings.append(
                    Finding(
                        check=CHECK,
                        leaf=leaf,
                        expected=f"{digest} loads and repeats its own test vectors",
                        got=str(error),
                        subject=f"model {digest}",
                    )
                )
        return self.loaded[digest]


def replay_bundle(
    bundle: Bundle,
    load: Load,
    *,
    policy: Policy,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Run every opened row again; `progress` is told how many rows were settled.

    `load(digest)` returns the callable of a model, or raises ModelUnavailable or ModelRefused.
    """
    tally = _Tally(policy, load, progress)
    waiting: dict[str, list[RecordedRow]] = {}
    for row in bundle.rows():
        if row.inputs is None:
            kind = Comparison.ERASED if row.erased else Comparison.NOT_REPLAYABLE
            tally.count(row.model_digest, kind)
            continue
        batch = waiting.setdefault(row.model_digest, [])
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            _run(tally, waiting.pop(row.model_digest))
    for batch in waiting.values():
        _run(tally, batch)
    for recorded in bundle.batches():
        _run_batch(tally, recorded, bundle.log.erased)
    return Replay(
        executions=tuple(
            Execution(digest, tally.counts[digest]) for digest in sorted(tally.counts)
        ),
        findings=tuple(sorted(tally.findings, key=lambda f: (f.leaf is None, f.leaf, f.subject))),
        failed=tally.failed,
        unavailable=tally.unavailable,
    )


def _run(tally: _Tally, batch: list[RecordedRow]) -> None:
    digest = batch[0].model_digest
    rerun = tally.model(digest, batch[0].leaf)
    if rerun is None:
        tally.count(digest, Comparison.NOT_REPLAYABLE, len(batch))
        return
    results = rerun([row.inputs or {} for row in batch])
    for row, executed in zip(batch, results, strict=True):
        _compare(tally, row, executed)


def _run_batch(tally: _Tally, batch: RecordedBatch, erased: Mapping[tuple[int, int], int]) -> None:
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


def _run_records(tally: _Tally, batch: RecordedBatch, records: bytes, rows: Sequence[int]) -> None:
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
            _compare(tally, _in_words(batch, row, old), _Again.of(batch, new, refused.get(place)))


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


def _compare(tally: _Tally, row: RecordedRow, executed: Executed) -> None:
    """Every recorded text against the one just made; the first difference names itself."""
    where = f"prediction {row.leaf}.{row.row_index}"
    if executed.refused is not None:
        tally.differ(row, "inputs that the model accepts", executed.refused, where)
        return
    tolerances = tally.policy.rule_for(row.model_name).tolerances
    exact = True
    for name in sorted(row.outputs.keys() | executed.outputs.keys()):
        recorded, again = row.outputs.get(name), executed.outputs.get(name)
        if recorded == again:
            continue
        if not _within(recorded, again, tolerances.get(name, 0)):
            told = "no such output" if again is None else again
            got = "not recorded" if recorded is None else recorded
            tally.differ(row, f"{told} (the model, run again)", got, f"{where}, output {name}")
            return
        exact = False
    if row.decision != executed.decision:
        told = f"{executed.decision} (the model, run again)"
        tally.differ(row, told, row.decision, f"{where}, decision")
        return
    tally.count(row.model_digest, Comparison.BIT_EXACT if exact else Comparison.WITHIN_TOLERANCE)


def _within(recorded: str | None, again: str | None, tolerance: int) -> bool:
    if recorded is None or again is None or not tolerance:
        return False
    if not _INTEGER.fullmatch(recorded) or not _INTEGER.fullmatch(again):
        return False
    return abs(int(recorded) - int(again)) <= tolerance
