"""Alarms as a list and as a page: what was crossed, since when, on which outcomes, who did what.

State is a word and a shape. Nothing is decided here: the API says where an alarm stands and who may
act; a form that the API would refuse is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dashboards.words import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dashboards.reading import Part, Problem

STATES: Final = {
    "open": ("cancelled", "Open"),
    "acknowledged": ("cancelled", "Acknowledged"),
    "closed": ("unstruck", "Closed"),
}
CAUSES: Final = {
    "limit": "Signed limit crossed",
    "job_failed": "A job failed",
    "job_missed": "A job was missed",
    "person": "Raised by a person",
}
SEVERITIES: Final = {"red": "Red: its limit halts the model", "amber": "Amber: people are told"}
ACTS: Final = (
    ("acknowledge", "Acknowledge", "You have seen it. Nothing else changes."),
    ("comment", "Comment", "Recorded with your name; nothing else changes."),
    ("close", "Close", "The detector starts again from nothing. It cannot be reopened."),
)
MAY_ACT: Final = frozenset({"risk", "admin"})


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as served, with the words a page needs."""

    leaf: int
    raised_at: str
    state: str
    severity: str
    cause: str
    about: str
    name: str  # of the model, or of the job
    model: str  # the model's name; empty when the alarm is about a job
    metric: str
    detector: str
    guarantee: str
    detail: str
    policy_leaf: Any
    evidence: Mapping[str, Any]
    acknowledged: Mapping[str, Any] | None
    closed: Mapping[str, Any] | None
    halted: Mapping[str, Any] | None

    @property
    def mark(self) -> str:
        """How its mark is drawn."""
        return STATES.get(self.state, ("unstruck", ""))[0]

    @property
    def word(self) -> str:
        """What its state is called."""
        return STATES.get(self.state, ("", sentence(self.state)))[1]

    @property
    def why(self) -> str:
        """What kind of thing happened."""
        return CAUSES.get(self.cause, sentence(self.cause))

    @property
    def weight(self) -> str:
        """Its severity in words."""
        return SEVERITIES.get(self.severity, sentence(self.severity))

    def said(self, titles: Mapping[str, str]) -> str:
        """What happened, with the figure's title in place of its metric where it is known."""
        title = titles.get(self.metric, "")
        return self.detail.replace(self.metric, title) if self.metric and title else self.detail

    @property
    def acts(self) -> list[tuple[str, str, str]]:
        """What may still be done about it: path, word, what comes of it."""
        gone = {"open": set(), "acknowledged": {"acknowledge"}}.get(
            self.state, {"acknowledge", "close"}
        )
        return [act for act in ACTS if act[0] not in gone]


@dataclass(frozen=True, slots=True)
class Listed:
    """Alarms, newest first, or the reason why they are not shown."""

    alarms: tuple[Alarm, ...]
    problem: Problem | None
    total: int

    @property
    def unclosed(self) -> tuple[Alarm, ...]:
        """Those that nobody has closed."""
        return tuple(a for a in self.alarms if a.state != "closed")

    @property
    def newest(self) -> int:
        """The newest alarm's leaf, -1 when there is none."""
        return max((a.leaf for a in self.alarms), default=-1)

    def about(self, digests: Iterable[str]) -> tuple[Alarm, ...]:
        """Unclosed alarms about one of these models."""
        wanted = set(digests)
        return tuple(a for a in self.unclosed if a.about in wanted)


def listed(found: Part) -> Listed:
    """What GET /v1/alarms answers."""
    body = found.body or {}
    alarms = tuple(one(item) for item in body.get("alarms") or ())
    counts = body.get("counts") or {}
    total = sum(n for n in counts.values() if isinstance(n, int)) or len(alarms)
    return Listed(alarms, found.problem, total)


def of_models(found: Part, digests: Sequence[str]) -> Listed:
    """The list, narrowed to some models."""
    whole = listed(found)
    mine = tuple(a for a in whole.alarms if a.about in set(digests))
    return Listed(mine, whole.problem, len(mine))


def one(item: Mapping[str, Any]) -> Alarm:
    """One alarm of an answer."""
    model = item.get("model") or {}
    about = str(item.get("about") or "")
    return Alarm(
        leaf=int(item["leaf_index"]),
        raised_at=str(item.get("raised_at") or ""),
        state=str(item.get("state") or "open"),
        severity=str(item.get("severity") or ""),
        cause=str(item.get("cause") or ""),
        about=about,
        name=str(model.get("name") or about.removeprefix("job:")),
        model=str(model.get("name") or ""),
        metric=str(item.get("metric") or ""),
        detector=str(item.get("detector") or ""),
        guarantee=str(item.get("guarantee") or ""),
        detail=str(item.get("detail") or ""),
        policy_leaf=item.get("policy_leaf"),
        evidence=item.get("evidence") or {},
        acknowledged=item.get("acknowledged"),
        closed=item.get("closed"),
        halted=item.get("halted"),
    )
