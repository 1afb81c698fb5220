"""A model's life as entries: published, validated, approved, promoted, withdrawn; and limits.

Who validates or approves a model did not publish it, and signs with another key. The catalog
ignores an event that breaks a rule, so each act is checked here first: nothing is recorded that
would change nothing. A limit is an entry too, and judges only what comes after it.

**No prediction after its model's withdrawal.** A prediction chooses its model some milliseconds
before it has its place in the log; a withdrawal that slipped in between would make every audit say
that a withdrawn model was used. So a prediction is appended on condition that nothing of its name
was withdrawn since it chose (`ledger/condition.py`); else it chooses again and is refused. That
holds over every process and host, and a withdrawal waits for nobody.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from ledger.keys import Role
from ledger.record import Draft
from models.errors import UnknownModel, Withdrawn
from models.hub.catalog import ALIASES, UNSATISFACTORY
from monitoring.credit import CREDIT
from monitoring.source import Limit
from monitoring.terms import problem_of
from monitoring.trade_signal import SIGNAL
from monitoring.value_at_risk import VALUE_AT_RISK
from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from models.hub.catalog import LifecycleEvent
    from monitoring.metrics import Kind
    from service.assembly import Assembly

CONCLUSIONS: Final = ("satisfactory", "conditions", UNSATISFACTORY)
TIERS: Final = ("high", "medium", "low")
REPORTS: Final = ("honesty", "correctness", "comparison")  # what a decision is bound to
KINDS: Final[Mapping[str, Kind[Any]]] = {
    kind.name: kind for kind in (CREDIT, VALUE_AT_RISK, SIGNAL)
}


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """What a risk committee signs before the data: see docs/correctness.md."""

    metric: str
    limit: str
    side: str
    tolerance: str
    window: str
    minimum_labels: int
    detector: str


@dataclass(frozen=True, slots=True)
class Review:
    """A validator's conclusion, the tier the model is put in, and the next review."""

    conclusion: str
    materiality: str
    next_review: str
    report_digest: str | None = None


def publish(assembly: Assembly, *, digest: str, provenance_digest: str, actor_id: str) -> Appended:
    """Record a model whose blobs are already stored; refused when it was published before."""
    manifest = assembly.inventory.manifest(digest)
    if _events(assembly, manifest.name, digest):
        raise ServiceError(409, "published-already", f"{digest} was published before")
    data = {
        "model_digest": digest,
        "name": manifest.name,
        "version": manifest.version,
        "provenance_digest": provenance_digest,
    }
    return _append(
        assembly, "model.published", data, actor_id=actor_id, role=Role.PUBLISHER, ref=manifest.name
    )


def validate(
    assembly: Assembly, *, digest: str, review: Review, reason: str, actor_id: str
) -> Appended:
    """Record a validation; refused when the validator published the model."""
    name = _in_use(assembly, digest)
    _other_person(assembly, name, digest, actor_id, "validate")
    _check_review(review, assembly.now()[:10])
    data = {
        "model_digest": digest,
        "name": name,
        "reason": reason,
        "conclusion": review.conclusion,
        "materiality": review.materiality,
        "next_review": review.next_review,
        "report_digest": review.report_digest,
    }
    return _append(
        assembly, "model.validated", data, actor_id=actor_id, role=Role.APPROVER, ref=name
    )


def approve(assembly: Assembly, *, digest: str, reason: str, actor_id: str) -> Appended:
    """Record an approval; refused when the approver published the model, or validation failed."""
    name = _in_use(assembly, digest)
    _other_person(assembly, name, digest, actor_id, "approve")
    validated = assembly.inventory.catalog().version(digest).validated
    if validated is not None and validated.data["conclusion"] == UNSATISFACTORY:
        raise ServiceError(
            409,
            "validation-unsatisfactory",
            f"entry {validated.leaf}, by {validated.actor}, found {digest} unsatisfactory: "
            f"{validated.data['reason']}",
        )
    data = {"model_digest": digest, "name": name, "reason": reason}
    return _append(
        assembly, "model.approved", data, actor_id=actor_id, role=Role.APPROVER, ref=name
    )


def promote(assembly: Assembly, *, digest: str, alias: str, reason: str, actor_id: str) -> Appended:
    """Point an alias (champion, challenger or shadow) at an approved model.

    The entry's parents are the newest reports and the newest comparison: what was known by then.
    """
    if alias not in ALIASES:
        raise FieldRefused("alias", f"expected one of {', '.join(ALIASES)}")
    name = assembly.inventory.catalog(fresh=True).resolve(digest).name  # refuses what may not run
    data = {"model_digest": digest, "name": name, "alias": alias, "reason": reason}
    draft = Draft(
        type="model.promoted",
        actor_id=actor_id,
        data=data,
        event_time=assembly.now(),
        parents=known_reports(assembly),
        ref=name,
    )
    appended = assembly.ledger.append(draft, assembly.signers[Role.APPROVER])
    assembly.inventory.catalog(fresh=True)
    return appended


def known_reports(assembly: Assembly) -> tuple[int, ...]:
    """Leaves of the newest report of each kind and of the newest comparison, if there are any."""
    found = (
        assembly.ledger.entries(type="report", ref=kind, newest=True, limit=1) for kind in REPORTS
    )
    return tuple(sorted(stored.index for entries in found for stored in entries))


def withdraw(assembly: Assembly, *, digest: str, reason: str, actor_id: str) -> Appended:
    """Take a model out of use; it stays retrievable by digest for auditors."""
    name = _in_use(assembly, digest)
    data = {"model_digest": digest, "name": name, "reason": reason}
    return _append(
        assembly, "model.withdrawn", data, actor_id=actor_id, role=Role.APPROVER, ref=name
    )


def set_limit(assembly: Assembly, *, digest: str, terms: LimitTerms, actor_id: str) -> Appended:
    """Sign a monitoring limit. It judges only predictions recorded after it.

    Refuses a model that was never published, and terms that would silently judge nothing.
    """
    check_limit(assembly, digest, terms)
    data: dict[str, object] = {
        "model_digest": digest,
        "metric": terms.metric,
        "limit": terms.limit,
        "side": terms.side,
        "tolerance": terms.tolerance,
        "window": terms.window,
        "minimum_labels": terms.minimum_labels,
        "detector": terms.detector,
        "replaces": None,
        "reason": None,
        "second_person": None,
    }
    return _append(assembly, "limits", data, actor_id=actor_id, role=Role.APPROVER, ref=digest)


# --- what is refused before it is recorded ---------------------------------------------------


def check_limit(assembly: Assembly, digest: str, terms: LimitTerms) -> None:
    """Refuse terms that would judge nothing, and a model that is not in use."""
    _in_use(assembly, digest)
    _check_terms(assembly.inventory.manifest(digest).kind, terms)


def _events(assembly: Assembly, name: str, digest: str) -> list[LifecycleEvent]:
    """Everything recorded of one digest."""
    history = assembly.inventory.catalog(fresh=True).history(name)
    return [event for event in history if event.data["model_digest"] == digest]


def _in_use(assembly: Assembly, digest: str) -> str:
    """The name of a digest that was published and is not withdrawn. Raises ModelError."""
    name = assembly.inventory.manifest(digest).name
    events = _events(assembly, name, digest)
    if not events:
        raise UnknownModel(digest)
    if events[-1].type == "model.withdrawn":
        raise Withdrawn(name, digest, events[-1].leaf)
    return name


def _other_person(assembly: Assembly, name: str, digest: str, actor_id: str, act: str) -> None:
    if _events(assembly, name, digest)[0].actor == actor_id:
        raise ServiceError(
            409, "same-person", f"{actor_id} published {digest}; another person must {act} it"
        )


def _check_review(review: Review, today: str) -> None:
    if review.conclusion not in CONCLUSIONS:
        raise FieldRefused("conclusion", f"expected one of {', '.join(CONCLUSIONS)}")
    if review.materiality not in TIERS:
        raise FieldRefused("materiality", f"expected one of {', '.join(TIERS)}")
    try:
        parsed = date.fromisoformat(review.next_review).isoformat()
    except ValueError as error:
        raise FieldRefused("next_review", "expected a day such as 2027-11-25") from error
    if parsed != review.next_review or parsed <= today:
        raise FieldRefused("next_review", f"expected a day after {today}")


def _check_terms(kind: str, terms: LimitTerms) -> None:
    metrics = KINDS.get(kind)
    if metrics is None:
        raise FieldRefused("metric", f"a model of kind {kind} has no metrics")
    problem = problem_of(metrics, Limit(leaf_index=0, **asdict(terms)))
    if problem is not None:
        raise FieldRefused(*problem)


def _append(
    assembly: Assembly,
    kind: str,
    data: Mapping[str, object],
    *,
    actor_id: str,
    role: Role,
    ref: str,
) -> Appended:
    draft = Draft(type=kind, actor_id=actor_id, data=data, event_time=assembly.now(), ref=ref)
    appended = assembly.ledger.append(draft, assembly.signers[role])
    assembly.inventory.catalog(fresh=True)
    return appended
