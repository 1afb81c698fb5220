"""What the log alone cannot show: whether each execution was allowed, and in whose name.

The log's own check (ledger.verify) settles bytes, signatures, roots and sequences. This file holds
what those bytes say against each other and against the policy, claim by claim:

- a model: its manifest is the published digest and says the published name; its provenance
  envelope is signed by a publisher's key and names that digest; it was approved by another person
  with another key, after publication;
- a prediction: its model was published under the name it gives, approved before and not withdrawn
  at its leaf; it names the relying party's policy, a mode and an environment the policy accepts;
- an outcome: signed by a key that signed no prediction. Its value is never read here.

"Before" means a smaller leaf index, never an earlier clock. Whether the named model computed the
recorded outputs is left to `replay`; whether it was any good is nobody's business in this package.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from service.auditor.bundle import Finding, Lifecycle, OutcomeSigner
from service.auditor.dsse import EnvelopeRefused, open_envelope, subject_digests
from service.auditor.manifest import ManifestRefused, named_in
from service.verification.evidence import Claim, Evidence, Run, Verdict, worst
from service.verification.registry import appraise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.auditor.bundle import Bundle, Prediction
    from service.verification.policy import Policy

FINDINGS_KEPT: Final = 1000  # the rest is counted: a report must stay readable and bounded

# Every check of this file in the order reports print it, with the claim it settles.
CLAIMS: Final[Mapping[str, str]] = {
    "manifest": "each published digest is that of a manifest with the published name and version",
    "provenance": "each model's provenance is signed by a publisher's key and names its digest",
    "approval": "each approval follows publication, by its name, from another person and key",
    "model_name": "each prediction gives its model the name it was published under",
    "approved_before_use": "each model was approved at a leaf before its first use",
    "not_withdrawn_at_use": "no prediction was made by a model withdrawn at an earlier leaf",
    "policy_named": "each prediction names the policy of this audit",
    "mode_accepted": "each verification mode is one the policy accepts",
    "environment_accepted": "each environment is one the policy accepts",
    "outcome_source": "each outcome is signed by a key that signed no prediction",
}
_APPRAISED: Final = {
    Claim.POLICY_NAMED: "policy_named",
    Claim.MODE_ACCEPTED: "mode_accepted",
    Claim.ENVIRONMENT_ACCEPTED: "environment_accepted",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, over how many subjects it was looked at, and what came out."""

    check: str
    claim: str
    examined: int
    failed: int
    unchecked: int
    asked: bool = True  # False when the auditor switched this check off
    detail: str = ""  # what could not be looked at, and why

    @property
    def verdict(self) -> Verdict:
        """FAILED by one failure; NOT_CHECKED when some, or all, could not be looked at."""
        if self.failed:
            return Verdict.FAILED
        if self.unchecked or not self.examined:
            return Verdict.NOT_CHECKED
        return Verdict.VERIFIED


@dataclass(frozen=True, slots=True)
class Findings:
    """Every check that had a subject, in a fixed order; and the first findings in leaf order."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks; NOT_CHECKED when there was nothing to look at."""
        return worst(check.verdict for check in self.checks)


@dataclass(slots=True)
class _Tally:
    examined: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def passed(self, check: str) -> None:
        self.examined[check] += 1

    def fail(self, check: str, leaf: int, expected: str, got: str, subject: str) -> None:
        self.examined[check] += 1
        self.failed[check] += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(
                Finding(check=check, leaf=leaf, expected=expected, got=got, subject=subject)
            )

    def leave(self, check: str, leaf: int, subject: str, why: str) -> None:
        """Could not be checked: not a failure, so no finding; the first reason is kept."""
        self.examined[check] += 1
        self.unchecked[check] += 1
        self.details.setdefault(check, f"leaf {leaf}, {subject}: {why}")

    def settle(
        self, check: str, leaf: int, expected: str, got: str, subject: str, *, holds: bool
    ) -> None:
        if holds:
            self.passed(check)
        else:
            self.fail(check, leaf, expected, got, subject)

    def result(self) -> Findings:
        return Findings(
            checks=tuple(
                Check(
                    check=name,
                    claim=claim,
                    examined=self.examined[name],
                    failed=self.failed[name],
                    unchecked=self.unchecked[name],
                    detail=self.details.get(name, ""),
                )
                for name, claim in CLAIMS.items()
                if self.examined[name]  # nothing to look at: nothing to say
            ),
            findings=tuple(
                sorted(self.findings, key=lambda f: (f.leaf is None, f.leaf, f.check, f.subject))
            ),
        )


def verify_bundle(bundle: Bundle, policy: Policy) -> Findings:
    """Settle every claim of `CLAIMS` over a bundle; a failure is a finding, never an exception."""
    tally = _Tally()
    for event in bundle.lifecycle:
        if event.leaf < bundle.before.size:
            continue  # settled by the audit that this one goes on from
        if event.type == "model.published":
            _check_manifest(tally, bundle, event)
            _check_provenance(tally, bundle, event)
        elif event.type == "model.approved":
            _check_approval(tally, bundle, event)
    _check_records(tally, bundle, policy)
    return tally.result()


# Models.


def _check_manifest(tally: _Tally, bundle: Bundle, published: Lifecycle) -> None:
    subject = f"model {published.model_digest}"
    expected = f"name {published.name}, version {published.version}"
    data = bundle.blob(published.model_digest)
    if data is None:
        tally.leave("manifest", published.leaf, subject, "not in the export")
        return
    try:
        named = named_in(data, published.model_digest)
    except ManifestRefused as error:
        tally.fail("manifest", published.leaf, error.expected, error.got, subject)
        return
    got = f"name {named.name}, version {named.version}"
    tally.settle("manifest", published.leaf, expected, got, subject, holds=got == expected)


def _check_provenance(tally: _Tally, bundle: Bundle, published: Lifecycle) -> None:
    subject = f"provenance {published.provenance_digest} of {published.model_digest}"
    data = bundle.blob(published.provenance_digest)
    if data is None:
        tally.leave("provenance", published.leaf, subject, "not in the export")
        return
    # The key that signed the publication, as introduced before it: no other publisher's will do.
    key = bundle.log.keys.get(published.signer)
    known = {key.key_id: key.public_key} if key and key.leaf < published.leaf else {}
    try:
        statement = open_envelope(data, known)
    except EnvelopeRefused as error:
        tally.fail("provenance", published.leaf, error.expected, error.got, subject)
        return
    named = subject_digests(statement)
    tally.settle(
        "provenance",
        published.leaf,
        f"a statement about {published.model_digest}",
        f"a statement about {', '.join(sorted(named)) or 'nothing'}",
        subject,
        holds=published.model_digest in named,
    )


def _check_approval(tally: _Tally, bundle: Bundle, approved: Lifecycle) -> None:
    subject = f"approval of {approved.model_digest}"
    earlier = [
        event
        for event in bundle.lifecycle
        if event.type == "model.published"
        and event.model_digest == approved.model_digest
        and event.leaf < approved.leaf
    ]
    if not earlier:
        expected, got = "a publication at an earlier leaf", "none"
        tally.fail("approval", approved.leaf, expected, got, subject)
        return
    names = sorted({published.name for published in earlier})
    if approved.name not in names:
        tally.fail("approval", approved.leaf, " or ".join(names), approved.name, subject)
        return
    for published in earlier:
        if approved.actor == published.actor or approved.signer == published.signer:
            expected = f"somebody other than {published.actor}, key {published.signer}"
            got = f"{approved.actor}, key {approved.signer}"
            tally.fail("approval", approved.leaf, expected, got, subject)
            return
    tally.passed("approval")


# Predictions.


class _Standing:
    """Which models may answer, as the log is read from leaf 0 on."""

    def __init__(self, lifecycle: Iterable[Lifecycle]) -> None:
        self._events = sorted(lifecycle, key=lambda event: event.leaf)
        self._next = 0
        self.published: dict[str, set[str]] = {}
        self.approved: dict[str, int] = {}
        self.withdrawn: dict[str, int] = {}

    def advance(self, leaf: int) -> None:
        """Apply every event before `leaf`; leaves come in ascending order."""
        while self._next < len(self._events) and self._events[self._next].leaf < leaf:
            event = self._events[self._next]
            self._next += 1
            digest = event.model_digest
            if event.type == "model.published":
                self.published.setdefault(digest, set()).add(event.name)
            elif event.type == "model.approved":
                self.approved[digest] = event.leaf
            elif event.type == "model.withdrawn":
                self.withdrawn[digest] = event.leaf


def _check_records(tally: _Tally, bundle: Bundle, policy: Policy) -> None:
    standing = _Standing(bundle.lifecycle)
    for record in bundle.records():
        if isinstance(record, OutcomeSigner):
            _check_outcome(tally, record, bundle)
            continue
        standing.advance(record.leaf)
        _check_standing(tally, standing, record)
        _check_policy(tally, record, policy)
    _check_earlier_outcomes(tally, bundle)


def _check_standing(tally: _Tally, standing: _Standing, prediction: Prediction) -> None:
    digest, leaf = prediction.model_digest, prediction.leaf
    subject = f"prediction {leaf}"
    names = standing.published.get(digest, set())
    tally.settle(
        "model_name",
        leaf,
        " or ".join(sorted(names)) or f"a publication of {digest} before leaf {leaf}",
        prediction.model_name,
        subject,
        holds=prediction.model_name in names,
    )
    tally.settle(
        "approved_before_use",
        leaf,
        f"an approval of {digest} before leaf {leaf}",
        "none",
        subject,
        holds=digest in standing.approved,
    )
    gone = standing.withdrawn.get(digest)
    tally.settle(
        "not_withdrawn_at_use",
        leaf,
        f"{digest} in use",
        f"withdrawn at leaf {gone}",
        subject,
        holds=gone is None,
    )


def _check_policy(tally: _Tally, prediction: Prediction, policy: Policy) -> None:
    run = Run(
        model_digest=prediction.model_digest,
        model_name=prediction.model_name,
        policy_digest=prediction.policy_digest,
        environment_digest=prediction.environment_digest,
        producer=prediction.signer,
    )
    # No signed record is passed: the log's own check verified every entry's signature already.
    result = appraise(Evidence(mode=prediction.mode, run=run), policy)
    settled = {
        _APPRAISED[claim.claim]: claim for claim in result.claims if claim.claim in _APPRAISED
    }
    for check in _APPRAISED.values():
        claim = settled.get(check)
        if claim is None:
            told = f"mode {prediction.mode} does not settle it"
            tally.leave(check, prediction.leaf, f"prediction {prediction.leaf}", told)
            continue
        tally.settle(
            check,
            prediction.leaf,
            claim.expected,
            claim.got,
            f"prediction {prediction.leaf}",
            holds=claim.verdict is Verdict.VERIFIED,
        )


# Outcomes: who signed, never what.


def _check_outcome(tally: _Tally, outcome: OutcomeSigner, bundle: Bundle) -> None:
    tally.settle(
        "outcome_source",
        outcome.leaf,
        "a key that signed no prediction",
        f"{outcome.signer}, which signed predictions",
        f"outcome {outcome.leaf}",
        holds=outcome.signer not in bundle.after.prediction_signers,
    )


def _check_earlier_outcomes(tally: _Tally, bundle: Bundle) -> None:
    """A key of outcomes audited before that signs predictions since: told at its first outcome."""
    since = bundle.after.prediction_signers - bundle.before.prediction_signers
    for signer in sorted(since & bundle.before.outcome_signers.keys()):
        _check_outcome(tally, OutcomeSigner(bundle.before.outcome_signers[signer], signer), bundle)
