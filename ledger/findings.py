"""What a check of a whole log found: every check by name, how often it looked, what failed.

A finding names the check, the leaf or file, what was expected and what was there. The list kept is
bounded, the counts are not: a report on a ruined export stays readable and still says how ruined.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.checkpoint import KeyHistory
    from ledger.public_keys import Role

FINDINGS_KEPT: Final = 1000

# Every check in the order reports print it, with the claim it settles.
CLAIMS: Final[Mapping[str, str]] = {
    "file": "the export holds the files its index lists, unchanged, and no others",
    "checkpoint": "the checkpoint is signed by the log's key",
    "history": "each earlier checkpoint is signed and its tree is a prefix of this one",
    "leaf": "each entry hashes to its leaf in the tiles",
    "tile": "each tile holds the hashes that its entries lead to",
    "root": "the entries lead to the root that the log signed",
    "entry": "each entry is canonical, of this log, and has the form of its type",
    "key": "each key is introduced once and was held by its owner, and each that ends was in use",
    "signer": "each entry names a key introduced before it, not ended, for entries of its type",
    "signature": "each entry is signed by the key it names",
    "sequence": "each key's entries are numbered from 0 without gap",
    "reference": "each entry refers to earlier entries only, of the right type",
    "row": "the rows of each entry of many rows are all there and lead to its root",
    "opening": "each opening leads to its commitment, and none is missing that was not erased",
    "erasure": "what is recorded as erased has no opening",
    "seal": "the seals adjoin, and each has the root over its range",
    "blob": "each blob hashes to its name",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `leaf` is None when it is about a file as a whole."""

    check: str
    leaf: int | None
    expected: str
    got: str
    subject: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.check}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class CheckCount:
    """One check: how many subjects it looked at, and how many of them failed."""

    check: str
    claim: str
    examined: int
    failed: int


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as entry `leaf` introduced it; it may sign the entries after that one.

    `until` is the entry that replaced or revoked it, the last that it may sign; None: it goes on.
    """

    key_id: str
    public_key: bytes
    role: Role
    holder: str
    leaf: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class LogFindings:
    """The result of checking a log: what is now known of it, every check, the first findings.

    `checkpoint` is the signed note, empty when it could not be opened; then nothing else was
    checked and `tree_size` is 0. `openings_withheld` says that the export holds no openings;
    `erased` gives for a leaf and row the entry that records its erasure, `log_keys` the keys that
    the checkpoints were held against.
    """

    origin: str
    tree_size: int
    root: bytes
    checkpoint: str
    keys: Mapping[str, KnownKey]
    entry_counts: Mapping[str, int]
    checks: tuple[CheckCount, ...]
    findings: tuple[Finding, ...]
    openings_withheld: bool = False
    erased: Mapping[tuple[int, int], int] = field(default_factory=dict)
    log_keys: KeyHistory | None = None

    @property
    def failed(self) -> int:
        """How many findings there are, those not kept included."""
        return sum(check.failed for check in self.checks)


@dataclass(slots=True)
class Tally:
    """Counts while a check runs. `passed` and `fail` each look at one subject."""

    examined: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)

    def passed(self, check: str, count: int = 1) -> None:
        """Count a subject that holds, or several."""
        self.examined[check] += count

    def compare(
        self, check: str, leaf: int | None, expected: str, got: str, subject: str = ""
    ) -> None:
        """Count a subject that holds when what was found is what was expected."""
        if expected == got:
            self.passed(check)
        else:
            self.fail(check, leaf, expected, got, subject)

    def fail(
        self, check: str, leaf: int | None, expected: object, got: object, subject: str = ""
    ) -> None:
        """Count a subject that does not hold, and keep the finding while there is room."""
        self.examined[check] += 1
        self.failed[check] += 1
        if len(self.kept) < FINDINGS_KEPT:
            subject = subject or f"entry {leaf}"
            self.kept.append(Finding(check, leaf, str(expected), str(got), subject))

    def checks(self) -> tuple[CheckCount, ...]:
        """Every check, also those that found nothing to look at."""
        return tuple(
            CheckCount(name, claim, self.examined[name], self.failed[name])
            for name, claim in CLAIMS.items()
        )

    def findings(self) -> tuple[Finding, ...]:
        """What was kept: findings about a leaf first, in leaf order, then those about files."""
        order = list(CLAIMS)
        return tuple(
            sorted(
                self.kept,
                key=lambda f: (f.leaf is None, f.leaf or 0, order.index(f.check), f.subject),
            )
        )
