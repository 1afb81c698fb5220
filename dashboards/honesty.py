"""The honesty report as its card and panels need it. Knows nothing of the correctness report.

The report counts verdicts up to one checkpoint. Nothing is recomputed here: a verdict printed on a
page is the report's own, and the card's is the worst of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards.words import sentence, texts, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUN_AGAIN: Final = (
    ("bit_exact", "Run again, bit-exact"),
    ("within_tolerance", "Run again, within declared tolerance"),
    ("different", "Run again, different"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of check with its verdict and what was counted."""

    name: str
    claim: str
    verdict: str
    detail: str
    counts: Mapping[str, int]

    @property
    def idle(self) -> bool:
        """Nothing of its kind is in the log, so there was nothing to look at."""
        return self.verdict == "NOT_CHECKED" and not any(self.counts.values()) and not self.detail

    @property
    def state(self) -> str:
        """How the mark is drawn."""
        return verdict(self.verdict)[0]

    @property
    def word(self) -> str:
        """What the verdict is called."""
        return "Nothing to check" if self.idle else verdict(self.verdict)[1]


@dataclass(frozen=True, slots=True)
class Executions:
    """One model's recorded executions, run again and compared."""

    digest: str
    verdict: str
    counts: Mapping[str, int]

    @property
    def state(self) -> str:
        """How the mark is drawn."""
        return verdict(self.verdict)[0]

    @property
    def word(self) -> str:
        """What the verdict is called."""
        return verdict(self.verdict)[1]

    @property
    def replayed(self) -> int:
        """Rows that were run again, whatever came out."""
        return sum(self.counts.get(name, 0) for name, _ in RUN_AGAIN)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """Words and counts: what was run again always, the rest if it occurred."""
        shown = [(word, self.counts.get(name, 0)) for name, word in RUN_AGAIN]
        names = {name for name, _ in RUN_AGAIN}
        return shown + [(sentence(k), n) for k, n in self.counts.items() if n and k not in names]


@dataclass(frozen=True, slots=True)
class HonestyView:
    """The report, with the entry it is recorded at."""

    leaf: int
    issued_at: str
    silent_on: tuple[str, ...]
    log: Mapping[str, Any]
    policy_digest: str
    checks: tuple[Check, ...]
    executions: tuple[Executions, ...]
    findings: tuple[Mapping[str, Any], ...]

    @property
    def verdict(self) -> str:
        """The worst verdict among checks that had anything to look at, and executions."""
        found = {c.verdict for c in self.checks if not c.idle}
        found |= {e.verdict for e in self.executions}
        if "FAILED" in found:
            return "FAILED"
        return "VERIFIED" if found == {"VERIFIED"} else "NOT_CHECKED"

    @property
    def state(self) -> str:
        """How the card's mark is drawn."""
        return verdict(self.verdict)[0]

    @property
    def word(self) -> str:
        """The card's word."""
        return verdict(self.verdict)[1]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if c.verdict == "FAILED")

    @property
    def troubled(self) -> tuple[Check, ...]:
        """The checks that failed or could not be done; those with nothing to look at left out."""
        return tuple(c for c in self.checks if c.verdict != "VERIFIED" and not c.idle)

    @property
    def first(self) -> Mapping[str, Any] | None:
        """The first finding of a failure; findings of what was left unchecked come after."""
        left = {c.name for c in self.checks if c.verdict != "FAILED"}
        ranked = sorted(self.findings, key=lambda f: f.get("check") in left)
        return ranked[0] if ranked else None

    @property
    def tree_size(self) -> Any:  # noqa: ANN401 - printed as it came
        """The number of entries the report speaks of."""
        return self.log.get("tree_size")

    def of(self, digests: Sequence[str]) -> Executions | None:
        """Executions of the first of these digests that the report knows."""
        found = {e.digest: e for e in self.executions}
        return next((found[d] for d in digests if d in found), None)


def read_report(answer: Mapping[str, Any]) -> HonestyView:
    """The view of what GET /v1/reports/honesty answers."""
    report = answer["report"]
    return HonestyView(
        leaf=answer["leaf_index"],
        issued_at=answer["issued_at"],
        silent_on=texts(report.get("says_nothing_on")),
        log=report.get("log") or {},
        policy_digest=report.get("policy_digest") or "",
        checks=tuple(_check(item) for item in report.get("checks") or ()),
        executions=tuple(_executions(item) for item in report.get("executions") or ()),
        findings=tuple(report.get("findings") or ()),
    )


def _check(item: Mapping[str, Any]) -> Check:
    return Check(
        name=str(item["check"]),
        claim=str(item.get("claim") or ""),
        verdict=str(item["verdict"]),
        detail=str(item.get("detail") or ""),
        counts=item.get("counts") or {},
    )


def _executions(item: Mapping[str, Any]) -> Executions:
    return Executions(
        digest=item["model_digest"],
        verdict=str(item["verdict"]),
        counts=item.get("counts") or {},
    )
