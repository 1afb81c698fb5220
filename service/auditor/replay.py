"""Replay: every recorded execution run again from its opened inputs, and compared.

The model arrives as a callable from texts to texts, loaded by digest elsewhere: this file knows no
model format. Rows are batched per model, read once and never held all at the same time. A batch
recorded by columns goes through whole: from its records the model makes records again, and equal
bytes need no second look.

Replay says nothing on accuracy: a model that was
wrong replays exactly. `comparing` holds them apart.

The export is run in parts, ranges of leaves always cut at the same places (`bundle`), and each
part's counts and findings are put together in leaf order: so parts may run anywhere, and be kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from service.auditor.bundle import Finding
from service.auditor.comparing import (
    CHECK,
    FINDINGS_KEPT,
    Comparison,
    ModelRefused,
    ModelUnavailable,
    Tally,
    compare,
)
from service.auditor.replay_batches import run_batch
from service.verification.evidence import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from service.auditor.bundle import Bundle
    from service.auditor.comparing import Load, Rerun
    from service.auditor.recorded import Part, RecordedRow
    from service.verification.policy import Policy

    Engine = Callable[[Sequence[Part]], Iterable["PartReplay"]]

__all__ = [
    "BATCH_ROWS",
    "CHECK",
    "FINDINGS_KEPT",
    "Comparison",
    "Execution",
    "ModelRefused",
    "ModelUnavailable",
    "PartReplay",
    "Replay",
    "merge",
    "replay_bundle",
    "replay_part",
]

BATCH_ROWS: Final = 1024  # past this the model's own cost per row no longer falls


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


@dataclass(frozen=True, slots=True)
class PartReplay:
    """What running one part again showed. `refused`: models that must not be run, first use."""

    counts: Mapping[str, Mapping[Comparison, int]]
    findings: tuple[Finding, ...]
    failed: int
    unavailable: Mapping[str, str]
    refused: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON: what is kept of a part by an audit that may be gone on with."""
        return {
            "counts": {m: {str(k): n for k, n in c.items()} for m, c in self.counts.items()},
            "findings": [asdict(finding) for finding in self.findings],
            "failed": self.failed,
            "unavailable": dict(self.unavailable),
            "refused": dict(self.refused),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PartReplay:
        """Read it again. Raises KeyError, TypeError or ValueError."""
        counts = {
            str(model): {Comparison(kind): int(n) for kind, n in found.items()}
            for model, found in value["counts"].items()
        }
        return cls(
            counts=counts,
            findings=tuple(Finding(**finding) for finding in value["findings"]),
            failed=int(value["failed"]),
            unavailable={str(k): str(v) for k, v in value["unavailable"].items()},
            refused={str(k): int(v) for k, v in value["refused"].items()},
        )

    @property
    def rows(self) -> int:
        """How many rows were settled."""
        return sum(sum(found.values()) for found in self.counts.values())


def replay_bundle(
    bundle: Bundle,
    load: Load,
    *,
    policy: Policy,
    progress: Callable[[int], None] | None = None,
    engine: Engine | None = None,
) -> Replay:
    """Run every opened row again; `progress` is told how many rows were settled.

    `load(digest)` returns the callable of a model, or raises ModelUnavailable or ModelRefused. An
    `engine` runs the parts elsewhere, in any order, and loads models itself. Parts and how they are
    put together are the same either way, so the result is too.
    """
    if engine is not None:
        return merge(engine(bundle.parts()))
    loaded: dict[str, Rerun | None] = {}
    parts = bundle.parts()
    return merge(
        replay_part(p, load, policy=policy, progress=progress, loaded=loaded) for p in parts
    )


def replay_part(
    part: Part,
    load: Load,
    *,
    policy: Policy,
    progress: Callable[[int], None] | None = None,
    loaded: dict[str, Rerun | None] | None = None,
) -> PartReplay:
    """Run the rows of one part again. `loaded` keeps models from part to part."""
    tally = Tally(policy, load, progress, loaded={} if loaded is None else loaded)
    waiting: dict[str, list[RecordedRow]] = {}
    for row in part.rows():
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
    for recorded in part.batches():
        run_batch(tally, recorded, part.erased)
    return PartReplay(
        tally.counts, tuple(tally.findings), tally.failed, tally.unavailable, tally.refused
    )


def merge(parts: Iterable[PartReplay]) -> Replay:
    """Parts in leaf order as one replay. A model that must not be run is one failure."""
    counts: dict[str, Counter[Comparison]] = {}
    findings: list[Finding] = []
    unavailable: dict[str, str] = {}
    refused: dict[str, int] = {}
    failed = 0
    for part in parts:
        for model, found in part.counts.items():
            counts.setdefault(model, Counter()).update(found)
        findings += part.findings[: FINDINGS_KEPT - len(findings)]
        unavailable = {**part.unavailable, **unavailable}
        refused = {**part.refused, **refused}
        failed += part.failed
    findings += [
        Finding(
            check=CHECK,
            leaf=leaf,
            expected=f"{digest} loads and repeats its own test vectors",
            got=unavailable[digest],
            subject=f"model {digest}",
        )
        for digest, leaf in refused.items()
    ]
    return Replay(
        executions=tuple(Execution(digest, counts[digest]) for digest in sorted(counts)),
        findings=tuple(sorted(findings, key=lambda f: (f.leaf is None, f.leaf, f.subject))),
        failed=failed + len(refused),
        unavailable=unavailable,
    )


def _run(tally: Tally, batch: list[RecordedRow]) -> None:
    digest = batch[0].model_digest
    rerun = tally.model(digest, batch[0].leaf)
    if rerun is None:
        tally.count(digest, Comparison.NOT_REPLAYABLE, len(batch))
        return
    results = rerun([row.inputs or {} for row in batch])
    for row, executed in zip(batch, results, strict=True):
        compare(tally, row, executed)
