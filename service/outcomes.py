"""What happened, recorded by another key than the predictor's. All of a request or none of it.

An outcome names its prediction by id alone. A second outcome of the same prediction must say which
entry it revises and why; the old one stays in the log for ever.

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
from ledger.record import Draft, make_opening, parse_entry
from service.clock import parse_utc
from service.errors import FieldRefused, ServiceError
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
    key = assembly.signers[Role.OUTCOME_SOURCE]
    news = frozenset(("outcome", item.prediction_id) for item in observed)
    while True:
        since = assembly.ledger.size  # before looking: what comes in from here on was not seen
        replies = _already(assembly, observed, idempotency_key, request_digest)
        if replies is not None:
            return replies
        drafts = _drafts(assembly, observed, caller, (idempotency_key, request_digest))
        try:
            return assembly.ledger.append_many(
                [(draft, key) for draft in drafts], unless=Unless(since, news)
            )
        except Overtaken:
            continue  # by one of these very predictions, so this ends: the next look refuses it


def _drafts(
    assembly: Assembly,
    observed: Sequence[Observed],
    caller: Identity,
    retry: tuple[str | None, str | None],
) -> list[Draft]:
    idempotency_key, request_digest = retry
    seen: set[str] = set()
    drafts = []
    for position, item in enumerate(observed):
        place = f"outcomes.{position}"
        if item.prediction_id in seen:
            raise FieldRefused(f"{place}.prediction_id", "named twice in one request")
        seen.add(item.prediction_id)
        kind = _check(assembly, item, place)
        item_key = _item_key(idempotency_key, position) if idempotency_key else None
        drafts.append(
            _draft(assembly, item, kind=kind, caller=caller, retry=(item_key, request_digest))
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


def _check(assembly: Assembly, item: Observed, place: str) -> str:
    leaf, row = parse_id(item.prediction_id)
    if leaf >= assembly.ledger.size:
        raise FieldRefused(f"{place}.prediction_id", f"the log has no entry {leaf}")
    body = parse_entry(assembly.ledger.entry(leaf).entry).body
    if body["type"] != "prediction" or (row or 0) >= body["data"]["row_count"]:
        raise FieldRefused(f"{place}.prediction_id", f"{item.prediction_id} is not a prediction")
    kind = assembly.inventory.manifest(body["data"]["model_digest"]).kind
    if kind == "credit" and item.value not in {"0", "1"}:
        raise FieldRefused(f"{place}.value", "a credit outcome is 0 (repaid) or 1 (default)")
    if parse_utc(item.observed_at) > assembly.clock() + timedelta(seconds=AHEAD_S):
        raise FieldRefused(f"{place}.observed_at", "lies in the future: nobody has observed it")
    _check_revision(assembly, item, place)
    return KINDS[kind]


def _check_revision(assembly: Assembly, item: Observed, place: str) -> None:
    earlier = list(assembly.ledger.entries(type="outcome", ref=item.prediction_id))
    newest = earlier[-1].index if earlier else None
    if newest is not None and item.revises is None:
        raise ServiceError(
            409,
            "outcome-exists",
            f"{item.prediction_id} already has an outcome at leaf {newest}; "
            f"to correct it send revises={newest} with a reason",
            ((f"{place}.revises", f"must be {newest}"),),
        )
    if item.revises != newest:
        known = "it has none" if newest is None else f"its newest is at leaf {newest}"
        raise FieldRefused(f"{place}.revises", f"{item.revises} is not its newest outcome; {known}")
    if item.revises is not None and not item.reason:
        raise FieldRefused(f"{place}.reason", "a revision owes a reason")


def _draft(
    assembly: Assembly,
    item: Observed,
    *,
    kind: str,
    caller: Identity,
    retry: tuple[str | None, str | None],
) -> Draft:
    leaf, row = parse_id(item.prediction_id)
    opening, _, committed = make_opening(0, {}, {"value": item.value}, os.urandom)
    # The person's own subject, so that erasing the person erases what became of them too.
    subject = assembly.vault.subject_of(leaf, row or 0) or f"outcome_{item.prediction_id}"
    sealed = assembly.vault.seal(subject, 0, opening.to_bytes())
    return Draft(
        type="outcome",
        actor_id=caller.actor_id,
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
