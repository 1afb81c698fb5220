"""One recorded execution against the same model run again: what is compared, and counted.

Five outcomes, never mixed: bit-exact; within the tolerance that the policy declares for that
output; different; erased (the opening was destroyed and an entry says so); not replayable (the
opening or the model is not in the export).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from service.auditor.bundle import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ledger.columnar import Columns
    from service.auditor.recorded import RecordedRow
    from service.verification.policy import Policy

CHECK: Final = "execution"
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


@dataclass(slots=True)
class Tally:
    """Counts and first findings of one part, while it is run."""

    policy: Policy
    load: Load
    progress: Callable[[int], None] | None
    counts: dict[str, Counter[Comparison]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    failed: int = 0
    unavailable: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)  # digest: the first leaf that used it
    loaded: dict[str, Rerun | None] = field(default_factory=dict)

    def count(self, model_digest: str, comparison: Comparison, rows: int = 1) -> None:
        """Count rows that were settled."""
        self.counts.setdefault(model_digest, Counter())[comparison] += rows
        if self.progress is not None:
            self.progress(rows)

    def differ(self, row: RecordedRow, expected: str, got: str, subject: str) -> None:
        """Count a row that differs, and keep the finding while there is room."""
        self.count(row.model_digest, Comparison.DIFFERENT)
        self.failed += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(
                Finding(check=CHECK, leaf=row.leaf, expected=expected, got=got, subject=subject)
            )

    def model(self, digest: str, leaf: int) -> Rerun | None:
        """Load once; of one that must not be run, the first leaf that used it is kept."""
        if digest not in self.loaded:
            try:
                self.loaded[digest] = self.load(digest)
            except ModelUnavailable as error:
                self.loaded[digest] = None
                self.unavailable[digest] = str(error)
            except ModelRefused as error:
                self.loaded[digest] = None
                self.unavailable[digest] = str(error)
                self.refused[digest] = leaf
        return self.loaded[digest]


def compare(tally: Tally, row: RecordedRow, executed: Executed) -> None:
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
