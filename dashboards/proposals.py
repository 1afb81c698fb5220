"""What waits for a second person: a change of a limit, or a halted model's return.

Nothing of a proposal is in the log until somebody other than its proposer confirms it; the API
checks who, this only lays out what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards import limits
from dashboards.words import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.correctness import Estimate

WAITING: Final = "waiting"
ACTS: Final = ("confirm", "reject")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal as served."""

    ident: str
    title: str
    state: str
    proposed_by: str
    proposed_at: str
    reason: str
    terms: tuple[tuple[str, str], ...]
    replaces: Any

    def may(self, actor: str) -> bool:
        """Whether this person is another than who proposed it."""
        return bool(actor) and actor != self.proposed_by


def waiting(
    body: Mapping[str, Any] | None, digests: Sequence[str], named: Mapping[str, Estimate]
) -> list[Proposal]:
    """Proposals about one of these models that nobody decided on yet; `named` gives the titles."""
    return [
        _one(item, named)
        for item in (body or {}).get("proposals") or ()
        if item.get("state") == WAITING
        and (item.get("asked") or {}).get("model_digest") in set(digests)
    ]


def _one(item: Mapping[str, Any], named: Mapping[str, Estimate]) -> Proposal:
    asked = item.get("asked") or {}
    terms = asked.get("terms")
    if terms:
        known = named.get(str(terms.get("metric")))
        limit = limits.signed({**terms, "on_alarm": asked.get("on_alarm")}, named=known)
        title, told = f"{limit.title}: {limit.said}", limit.terms
    else:
        title, told = "The model answers again", ()
    return Proposal(
        ident=str(item.get("proposal_id") or ""),
        title=title,
        state=sentence(item.get("state")),
        proposed_by=str(item.get("proposed_by") or ""),
        proposed_at=str(item.get("proposed_at") or ""),
        reason=str(asked.get("reason") or ""),
        terms=told,
        replaces=asked.get("replaces"),
    )
