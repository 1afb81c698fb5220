"""Mode `signed`: what a record signed by its producer proves, and what it does not.

It proves that the holder of the producer's key stood behind this model digest, policy,
environment and these commitments. It does not prove that the model computed them: a producer can
sign what it never ran. Replay settles that claim, or one of the stronger modes to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.errors import LedgerError
from ledger.keys import key_id, verify_signature
from service.verification.evidence import (
    AttestationResult,
    Claim,
    ClaimResult,
    Evidence,
    Run,
    SignedRecord,
    Verdict,
)

if TYPE_CHECKING:
    from service.verification.policy import Policy

MODE: Final = "signed"
BEYOND: Final = (Claim.COMPUTED_BY_MODEL,)


# Attester side.


def attest(run: Run) -> Evidence:
    """Evidence of a run about to be recorded: the ledger adds the signature when it appends."""
    return Evidence(mode=MODE, run=run)


# Verifier side.


def appraise(evidence: Evidence, policy: Policy) -> AttestationResult:
    """Hold evidence of this mode against a policy, one verdict per claim.

    Without a signed record (before the append) the signature claim is NOT_CHECKED.
    """
    run, rule = evidence.run, policy.rule_for(evidence.run.model_name)
    return AttestationResult(
        mode=MODE,
        policy_digest=policy.digest,
        claims=(
            _compare(Claim.POLICY_NAMED, policy.digest, run.policy_digest),
            _one_of(Claim.MODE_ACCEPTED, rule.modes, evidence.mode),
            _one_of(Claim.ENVIRONMENT_ACCEPTED, rule.environments, run.environment_digest),
            _signature(run.producer, evidence.record),
        ),
        beyond_mode=BEYOND,
    )


def _compare(claim: Claim, expected: str, got: str) -> ClaimResult:
    verdict = Verdict.VERIFIED if expected == got else Verdict.FAILED
    return ClaimResult(claim, verdict, expected, got)


def _one_of(claim: Claim, accepted: tuple[str, ...], got: str) -> ClaimResult:
    """An empty list accepts anything: the policy made no demand."""
    if not accepted:
        return ClaimResult(claim, Verdict.VERIFIED, "any", got)
    verdict = Verdict.VERIFIED if got in accepted else Verdict.FAILED
    return ClaimResult(claim, verdict, "one of " + ", ".join(accepted), got)


def _signature(producer: str, record: SignedRecord | None) -> ClaimResult:
    expected = f"a signature by {producer}"
    if record is None:
        got = "no signature yet: the ledger adds it when it appends"
        return ClaimResult(Claim.SIGNED_BY_PRODUCER, Verdict.NOT_CHECKED, expected, got)
    holder = key_id(record.public_key)
    if holder != producer:
        got = f"a signature by {holder}"
        return ClaimResult(Claim.SIGNED_BY_PRODUCER, Verdict.FAILED, expected, got)
    try:
        verify_signature(record.public_key, record.message, record.signature)
    except LedgerError as error:
        return ClaimResult(Claim.SIGNED_BY_PRODUCER, Verdict.FAILED, expected, str(error))
    return ClaimResult(Claim.SIGNED_BY_PRODUCER, Verdict.VERIFIED, expected, expected)
