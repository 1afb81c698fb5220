"""What happened, recorded by another key than the predictor's. All of a request or none of it.

An outcome names its prediction by id alone. What arrives is one of these, and each has one answer:

| What arrives | Answer |
|---|---|
| the first outcome of a row | recorded |
| late, however late | recorded; a detector that has passed the row does not go back |
| a revision: names the newest outcome and a reason | recorded; the old one stays for ever |
| a contradiction: another value, and no word of revising | refused (409), naming the entry |
| a duplicate: the newest outcome word for word | refused here (409); skipped by an upload |
| an orphan: of no prediction of this log | refused (422) |

Looking and appending are one act over every process and host: an outcome is appended on condition
that its prediction got none since the look (`ledger/condition.py`). Who was overtaken looks again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.record import Draft, make_opening
from service.clock import parse_utc
from service.errors import FieldRefused, ServiceError
from service.outcomes_known import Known
from service.views import parse_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.log import Appended
    from service.assembly import Assembly
    from service.auth import Identity

AHEAD_S = 86_400  # a plain date is the observer's own day, which begins before UTC's in the east
KINDS = {"credit": "default_flag", "value_at_risk": "return_pct", "signal": "return_pct"}


@dataclass(frozen=True, slots=True)
class Observed:
    """One reported outcome, checked for form."""

    prediction_id: str
    value: str
    observed_at: str
    revises: int | None
    reason: str | None


def record_outcomes(
    assembly: Assembly,
    observed: Sequence[Observed],
    *,
    caller: Identity,
    idempotency_key: str | None,
    request_digest: str | None,
) -> list[Appended]:
    """Append one entry per outcome. Raises, with none recorded, when any is refused."""
    while True:
        since = assembly.ledger.size  # before looking: what comes in from here on was not seen
        replies = _already(assembly, observed, idempotency_key, request_digest)
        if replies is not None:
            return replies
        drafts = _drafts(assembly, observed, caller, (idempotency_key, request_digest))
        try:
            return append_outcomes(assembly, drafts, since=since)
        except Overtaken:
            continue  # by one of these very predictions, so this ends: the next look refuses it


def append_outcomes(assembly: Assembly, drafts: Sequence[Draft], *, since: int) -> list[Appended]:
    """One commit, if none of these rows got an outcome since. Raises Overtaken."""
    key = assembly.signers[Role.OUTCOME_SOURCE]
    news = frozenset(("outcome", str(draft.ref)) for draft in drafts)
    return assembly.ledger.append_many(
        [(draft, key) for draft in drafts], unless=Unless(since, news)
    )


def _drafts(
    assembly: Assembly,
    observed: Sequence[Observed],
    caller: Identity,
    retry: tuple[str | None, str | None],
) -> list[Draft]:
    idempotency_key, request_digest = retry
    known = Known(assembly, [item.prediction_id for item in observed])
    seen: set[str] = set()
    drafts = []
    for position, item in enumerate(observed):
        place = f"outcomes.{position}."
        if item.prediction_id in seen:
            raise FieldRefused(f"{place}prediction_id", "named twice in one request")
        seen.add(item.prediction_id)
        kind = check_outcome(assembly, known, item, place)
        item_key = _item_key(idempotency_key, position) if idempotency_key else None
        drafts.append(
            outcome_draft(
                assembly,
                item,
                kind=kind,
                actor_id=caller.actor_id,
                retry=(item_key, request_digest),
            )
        )
    return drafts


def _item_key(key: str, position: int) -> str:
    return hashlib.sha256(f"{key}\0{position}".encode()).hexdigest()


def _already(
    assembly: Assembly, observed: Sequence[Observed], key: str | None, digest: str | None
) -> list[Appended] | None:
    """The first answer of a retried request. One commit wrote all of it, so it is all there."""
    if key is None:
        return None
    found = []
    for position in range(len(observed)):
        known = assembly.ledger.duplicate_of(_item_key(key, position), digest)
        if known is None:
            return None
        found.append(known)
    return found


def check_outcome(assembly: Assembly, known: Known, item: Observed, place: str = "") -> str:
    """The kind of outcome it is. Raises ServiceError, naming the field after `place`."""
    leaf, row = parse_id(item.prediction_id)
    if leaf >= known.size:
        raise FieldRefused(f"{place}prediction_id", f"the log has no entry {leaf}")
    found = known.prediction(leaf)
    if found is None or (row or 0) >= found.rows:
        raise FieldRefused(f"{place}prediction_id", f"{item.prediction_id} is not a prediction")
    kind = assembly.inventory.manifest(found.model_digest).kind
    if kind == "credit" and item.value not in {"0", "1"}:
        raise FieldRefused(f"{place}value", "a credit outcome is 0 (repaid) or 1 (default)")
    if parse_utc(item.observed_at) > assembly.clock() + timedelta(seconds=AHEAD_S):
        raise FieldRefused(f"{place}observed_at", "lies in the future: nobody has observed it")
    _check_revision(known, item, place)
    return KINDS[kind]


def _check_revision(known: Known, item: Observed, place: str) -> None:
    newest = known.newest(item.prediction_id)
    if newest is not None and item.revises is None:
        raise ServiceError(
            409,
            "outcome-exists",
            f"{item.prediction_id} already has an outcome at leaf {newest}; "
            f"to correct it send revises={newest} with a reason",
            ((f"{place}revises", f"must be {newest}"),),
        )
    if item.revises != newest:
        told = "it has none" if newest is None else f"its newest is at leaf {newest}"
        raise FieldRefused(f"{place}revises", f"{item.revises} is not its newest outcome; {told}")
    if item.revises is not None and not item.reason:
        raise FieldRefused(f"{place}reason", "a revision owes a reason")


def outcome_draft(
    assembly: Assembly,
    item: Observed,
    *,
    kind: str,
    actor_id: str,
    retry: tuple[str | None, str | None] = (None, None),
) -> Draft:
    """The entry of a checked outcome, its value committed to and kept encrypted."""
    leaf, row = parse_id(item.prediction_id)
    opening, _, committed = make_opening(0, {}, {"value": item.value}, os.urandom)
    # The person's own subject, so that erasing the person erases what became of them too.
    subject = assembly.vault.subject_of(leaf, row or 0) or f"outcome_{item.prediction_id}"
    sealed = assembly.vault.seal(subject, 0, opening.to_bytes())
    return Draft(
        type="outcome",
        actor_id=actor_id,
        data={
            "prediction_leaf": leaf,
            "row_index": row or 0,
            "value": committed["value"],
            "observed_at": item.observed_at,
            "kind": kind,
            "revises": item.revises,
            "reason": item.reason,
        },
        event_time=assembly.now(),
        idempotency_key=retry[0],
        request_digest=retry[1],
        parents=(leaf,),
        ref=item.prediction_id,
        openings=(sealed,),
    )
