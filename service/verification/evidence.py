"""The types every verification mode shares: evidence in, one verdict per claim out (RFC 9334).

Plain facts without I/O. A mode takes its types from here and never from another mode. Nothing in
this file says whether a prediction was any good.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(StrEnum):
    """What a check found about one claim. There is no fourth answer, and it is never a bool."""

    VERIFIED = "VERIFIED"
    FAILED = "FAILED"
    NOT_CHECKED = "NOT_CHECKED"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict for many: any FAILED fails, any NOT_CHECKED leaves the whole unchecked.

    No verdict at all is NOT_CHECKED: nothing was looked at.
    """
    seen = Counter(verdicts)
    if seen[Verdict.FAILED]:
        return Verdict.FAILED
    return Verdict.VERIFIED if set(seen) == {Verdict.VERIFIED} else Verdict.NOT_CHECKED


class Claim(StrEnum):
    """What is claimed of one execution."""

    POLICY_NAMED = "policy_named"
    MODE_ACCEPTED = "mode_accepted"
    ENVIRONMENT_ACCEPTED = "environment_accepted"
    SIGNED_BY_PRODUCER = "signed_by_producer"
    COMPUTED_BY_MODEL = "computed_by_model"


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A message, its Ed25519 signature and the 32-byte public key it is claimed for."""

    message: bytes
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """One execution as the attester knows it. Digests read `sha256:<64 hex>`."""

    model_digest: str
    model_name: str
    policy_digest: str
    environment_digest: str
    producer: str  # key id, 32 hex digits


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an attester hands over about one run.

    `record` is None before the entry is appended: in the ledger the entry carries the signature,
    made under the lock, when the producer's sequence number is known.
    """

    mode: str
    run: Run
    record: SignedRecord | None = None


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim, what was expected of it, what was found, and the verdict."""

    claim: Claim
    verdict: Verdict
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class AttestationResult:
    """What a verifier found: the claims its mode can settle, and those it cannot."""

    mode: str
    policy_digest: str
    claims: tuple[ClaimResult, ...]
    beyond_mode: tuple[Claim, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the claims the mode can settle."""
        return worst(result.verdict for result in self.claims)

    @property
    def failures(self) -> tuple[ClaimResult, ...]:
        """The claims that do not hold."""
        return tuple(result for result in self.claims if result.verdict is Verdict.FAILED)
