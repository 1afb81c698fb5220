"""Monitoring policies: limits signed before the data they judge, and what crossing one does.

A policy is a `limits` entry with `on_alarm`: tell people (`alert`), or halt the model (`shadow`,
`blocked`). It judges only predictions recorded after it. The first policy on a metric is one
person's act. Another on the same metric, side, window and detector replaces it, which needs a
reason and a second person: see `proposals.py`. A policy on another window or detector stands beside
the first and takes nothing away from it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from monitoring.alerts import ACTIONS
from service.errors import FieldRefused, ServiceError
from service.lifecycle import check_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from service.assembly import Assembly
    from service.lifecycle import LimitTerms

POLICY: Final = "policy"
SIGNED: Final = ("limits", POLICY)
_SAME: Final = ("metric", "side", "window")


def policies(assembly: Assembly, digest: str) -> list[dict[str, Any]]:
    """Every limit signed for a model, oldest first, with the leaf that replaced it."""
    found = []
    for kind in SIGNED:
        for stored in assembly.ledger.entries(type=kind, ref=digest):
            body = unsigned_body(stored.entry)
            found.append(
                {
                    "leaf_index": stored.index,
                    "signed_at": body["event_time"],
                    "signed_by": body["actor_id"],
                    "on_alarm": "alert",
                    "replaced_at": None,
                    **body["data"],
                }
            )
    found.sort(key=lambda item: int(item["leaf_index"]))
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in found:
        key = _key(item)
        if key in newest:
            newest[key]["replaced_at"] = item["leaf_index"]
        newest[key] = item
    return found


def in_force(assembly: Assembly, digest: str, terms: LimitTerms) -> int | None:
    """Leaf of the policy that one on these terms would replace; None when there is none."""
    wanted = _key(asdict(terms))
    found = [item for item in policies(assembly, digest) if _key(item) == wanted]
    return int(found[-1]["leaf_index"]) if found else None


def _key(item: Mapping[str, Any]) -> tuple[str, ...]:
    """What two limits share when one replaces the other; a detector's parameters are no part."""
    return (*(str(item[name]) for name in _SAME), str(item["detector"]).partition(" ")[0])


def check_policy(
    assembly: Assembly, digest: str, terms: LimitTerms, *, on_alarm: str, replaces: int | None
) -> None:
    """Refuse a policy that could not be signed now. Raises ServiceError or ModelError."""
    check_limit(assembly, digest, terms)
    if on_alarm not in ACTIONS:
        raise FieldRefused("on_alarm", f"expected one of {', '.join(ACTIONS)}")
    found = in_force(assembly, digest, terms)
    if found == replaces:
        return
    if replaces is None:
        raise ServiceError(
            409,
            "policy-in-force",
            f"entry {found} is in force on this metric, side, window and detector; to change it "
            f"send replaces={found} with a reason: another person must then confirm",
            (("replaces", f"must be {found}"),),
        )
    told = "there is none" if found is None else f"entry {found} is"
    raise FieldRefused("replaces", f"{replaces} is not in force on these terms: {told}")


def sign_policy(
    assembly: Assembly,
    *,
    digest: str,
    terms: LimitTerms,
    on_alarm: str,
    actor_id: str,
    replaces: int | None = None,
    reason: str | None = None,
    second_person: str | None = None,
) -> Appended:
    """Record a policy; one that replaces another owes a reason and a second person."""
    if replaces is not None:
        if not reason:
            raise FieldRefused("reason", "changing a policy owes a reason")
        if second_person is None or second_person == actor_id:
            raise FieldRefused("second_person", "must be somebody else than who asked")
    data = {
        "model_digest": digest,
        **asdict(terms),
        "on_alarm": on_alarm,
        "replaces": replaces,
        "reason": reason,
        "second_person": second_person,
    }
    while True:
        since = assembly.ledger.size
        check_policy(assembly, digest, terms, on_alarm=on_alarm, replaces=replaces)
        draft = Draft(
            type=POLICY, actor_id=actor_id, data=data, event_time=assembly.now(), ref=digest
        )
        unless = Unless(since, frozenset((kind, digest) for kind in SIGNED))
        try:
            return assembly.ledger.append(draft, assembly.signers[Role.APPROVER], unless=unless)
        except Overtaken:
            continue  # by another limit of the model: look again
