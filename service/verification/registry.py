"""The list of verification modes, and the two calls everybody makes: attest and appraise.

A new mode is a file beside the others and a line in `MODES`. No mode imports this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.verification import signed
from service.verification.evidence import (
    AttestationResult,
    Claim,
    ClaimResult,
    Evidence,
    Run,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.verification.policy import Policy


class UnknownMode(ValueError):
    """A verification mode this release does not have."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        super().__init__(f"verification mode {mode!r}: this release has {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class Mode:
    """Both sides of one mode."""

    attest: Callable[[Run], Evidence]
    appraise: Callable[[Evidence, Policy], AttestationResult]


MODES: Final[Mapping[str, Mode]] = {signed.MODE: Mode(signed.attest, signed.appraise)}


def attest(mode: str, run: Run) -> Evidence:
    """Make the evidence of a run. Raises UnknownMode."""
    if mode not in MODES:
        raise UnknownMode(mode)
    return MODES[mode].attest(run)


def appraise(evidence: Evidence, policy: Policy) -> AttestationResult:
    """Hold evidence against a policy; a mode nobody knows is a failed claim, not an exception."""
    if evidence.mode in MODES:
        return MODES[evidence.mode].appraise(evidence, policy)
    unknown = ClaimResult(
        Claim.MODE_ACCEPTED, Verdict.FAILED, f"one of {', '.join(MODES)}", evidence.mode
    )
    rest = tuple(claim for claim in Claim if claim is not unknown.claim)
    return AttestationResult(evidence.mode, policy.digest, (unknown,), rest)
