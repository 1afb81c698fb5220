"""The honesty report: verdicts counted over the leaves of one checkpoint, and nothing else.

A pure function of the export up to that checkpoint, the policy and the log's key. No clock, no
host, no path, no float: two auditors at the same checkpoint get the same bytes. Its "when" is the
checkpoint. What is recorded later, outcomes above all, cannot change it.

Canonical JSON, `assay/honesty-report/v1`:

- `log`: origin, tree size, root hash and the verifier key it was checked with;
- `policy_digest`: the policy the executions were held against;
- `checks`: claim, verdict, and how many subjects were examined, failed, or could not be checked;
  a check without any subject is left out, execution excepted;
- `executions`: per model digest (and the name it was published as), rows by the outcome of
  running them again;
- `findings`: the first failures, each with check, leaf, expected, got and subject;
- `since`, only in an audit that went on from an earlier one: the tree that was audited before; all
  counts are of what came after it;
- `says_nothing_on`: what a reader must not take from it.

It shares no field with the correctness report but `model_digest`, and has no overall score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes
from service.auditor.replay import CHECK as EXECUTED
from service.auditor.replay import FINDINGS_KEPT, Comparison
from service.auditor.verify import Check, Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.findings import CheckCount
    from ledger.note import Checkpoint
    from service.auditor.bundle import Finding, LogFindings
    from service.auditor.replay import Execution, Replay

SCHEMA: Final = "assay/honesty-report/v1"
SAYS_NOTHING_ON: Final = (
    "Nothing on whether the model was right: no outcome's value was read. "
    "Nothing on what was never recorded, on who really held a key, on clocks, "
    "or on whether the log shows somebody else another tree."
)
TEXT_MAX: Final = 400  # characters of a text taken from a log that may be hostile
# Checks of the export's files: how many there are is no fact about the log at a checkpoint.
OF_FILES: Final = frozenset({"file", "blob"})
NOTHING: Final = Findings((), ())
EXECUTION_CLAIM: Final = "the named model, run again on the opened inputs, gives what was recorded"


@dataclass(frozen=True, slots=True)
class HonestyReport:
    """Verdicts over the leaves of one checkpoint."""

    origin: str
    tree_size: int
    root_hash: str
    log_key: str
    policy_digest: str
    checks: tuple[Check, ...]
    executions: tuple[Execution, ...]
    findings: tuple[Finding, ...]
    published_as: Mapping[str, str]  # names by model digest
    since: Checkpoint | None = None  # the end of the audit that this one went on from

    @property
    def failed(self) -> int:
        """How many failures there are, those past the first findings included."""
        return sum(check.failed for check in self.checks)

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """Checks that were asked for and could not be done in full."""
        return tuple(check for check in self.checks if check.asked and check.unchecked)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON: text, integers, lists and null."""
        report: dict[str, Any] = {
            "honesty_schema": SCHEMA,
            "says_nothing_on": SAYS_NOTHING_ON,
            "log": {
                "origin": printable(self.origin),
                "tree_size": self.tree_size,
                "root_hash": self.root_hash,
                "log_key": self.log_key,
            },
            "policy_digest": self.policy_digest,
            "checks": [_check_json(check) for check in self.checks],
            "executions": [
                _execution_json(execution, self.published_as.get(execution.model_digest))
                for execution in self.executions
            ],
            "findings": [_finding_json(finding) for finding in self.findings],
        }
        if self.since is not None:
            before = {"tree_size": self.since.size, "root_hash": self.since.root.hex()}
            report["since"] = before
        return report

    def to_bytes(self) -> bytes:
        """The canonical bytes, equal for equal checkpoint, content, policy and key."""
        return canonical_bytes(self.to_json())


def build(
    log: LogFindings,
    findings: Findings,
    replay: Replay | None,
    *,
    log_key: str,
    policy_digest: str,
    published_as: Mapping[str, str],
    beside: Findings = NOTHING,
    since: Checkpoint | None = None,
) -> HonestyReport:
    """Put the steps together. Without `replay`, execution is left unchecked and says so.

    `beside` is what was held against the log from outside it: an earlier audit, kept receipts.
    """
    kept = [
        *beside.findings,
        *log.findings,
        *findings.findings,
        *(replay.findings if replay else ()),
    ]
    return HonestyReport(
        origin=log.origin,
        tree_size=log.tree_size,
        root_hash=log.root.hex(),
        log_key=log_key,
        policy_digest=policy_digest,
        checks=(
            *(_of_log(check) for check in log.checks if check.examined),
            *beside.checks,
            *findings.checks,
            _execution_check(replay, withheld=log.openings_withheld),
        ),
        executions=replay.executions if replay else (),
        findings=tuple(kept[:FINDINGS_KEPT]),
        published_as=published_as,
        since=since,
    )


def _of_log(check: CheckCount) -> Check:
    return Check(check.check, check.claim, check.examined, check.failed, unchecked=0)


def _execution_check(replay: Replay | None, *, withheld: bool) -> Check:
    """COMPUTED_BY_MODEL, the claim no signature settles."""
    if replay is None:
        told = "replay was switched off"
        return Check(EXECUTED, EXECUTION_CLAIM, 0, 0, 0, asked=False, detail=told)
    counts = {kind: _total(replay.executions, kind) for kind in Comparison}
    details = ["the export withholds openings"] if withheld else []
    if counts[Comparison.ERASED]:
        details.append(f"{counts[Comparison.ERASED]} rows were erased and cannot be run again")
    details += sorted(f"{digest}: {why}" for digest, why in replay.unavailable.items())
    return Check(
        EXECUTED,
        EXECUTION_CLAIM,
        examined=sum(counts.values()),
        failed=replay.failed,
        unchecked=counts[Comparison.NOT_REPLAYABLE],
        detail="; ".join(details),
    )


def _total(executions: Iterable[Execution], kind: Comparison) -> int:
    return sum(execution.counts.get(kind, 0) for execution in executions)


def _check_json(check: Check) -> dict[str, Any]:
    counts = {"failed": check.failed, "unchecked": check.unchecked}
    if check.check not in OF_FILES:
        counts["examined"] = check.examined
    return {
        "check": check.check,
        "claim": check.claim,
        "verdict": str(check.verdict),
        "counts": counts,
        "detail": printable(check.detail),
    }


def _execution_json(execution: Execution, name: str | None) -> dict[str, Any]:
    return {
        "model_digest": printable(execution.model_digest),
        "published_as": None if name is None else printable(name),
        "verdict": str(execution.verdict),
        "counts": {str(kind): execution.counts.get(kind, 0) for kind in Comparison},
    }


def _finding_json(finding: Finding) -> Mapping[str, Any]:
    return {
        "check": printable(finding.check),
        "leaf": finding.leaf,
        "expected": printable(finding.expected),
        "got": printable(finding.got),
        "subject": printable(finding.subject),
    }


def printable(text: str) -> str:
    """Text out of a hostile log: no control character, no lone surrogate, no flood."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[: TEXT_MAX + 1])
    return shown if len(text) <= TEXT_MAX else shown[:TEXT_MAX] + "…"
