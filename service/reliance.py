"""Who relied on a model: its predictions, counted and listed, before and after a leaf.

Asked when a model is withdrawn. Counts come from the log's own index of entries; the list is paged,
oldest first or newest first, and names the caller of each prediction as the entry does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.dialect import run
from ledger.record import parse_entry
from service.register import withdrawal

if TYPE_CHECKING:
    from ledger.log import StoredEntry
    from service.assembly import Assembly

RELIANCE_PAGE: Final = 100  # predictions of one page
CALLERS_SHOWN: Final = 50
CALLERS_ENTRIES: Final = 5000  # newest predictions whose callers are counted

_COUNT: Final = (
    "SELECT count(*), min(leaf_index), max(leaf_index) FROM ledger_entry "
    "WHERE type = ? AND ref = ? AND leaf_index >= ?"
)


@dataclass(frozen=True, slots=True)
class Since:
    """Predictions of a digest from a leaf on."""

    count: int
    first_leaf: int | None
    last_leaf: int | None


def predictions_since(house: Assembly, digest: str, leaf: int = 0) -> Since:
    """How many prediction entries name a digest from a leaf on."""
    with house.engine.connect() as connection:
        found = run(connection, _COUNT, ("prediction", digest, leaf)).all()
    count, first, last = found[0]
    return Since(int(count), first, last)


def reliance(
    house: Assembly, digest: str, *, since: int = 0, limit: int = RELIANCE_PAGE
) -> dict[str, Any]:
    """Who relied on a digest: counts, callers, and one page of predictions from `since` on.

    `next` is the leaf that the next page starts from; null on the last. Raises UnknownModel.
    """
    version = house.inventory.catalog(fresh=True).version(digest)
    every = predictions_since(house, digest)
    withdrawn = version.withdrawn
    after = None if withdrawn is None else predictions_since(house, digest, withdrawn.leaf).count
    page = list(house.ledger.entries(type="prediction", ref=digest, first=since, limit=limit + 1))
    shown = [_line(stored) for stored in page[:limit]]
    return {
        "name": version.name,
        "model_digest": digest,
        "status": version.status,
        "withdrawn": withdrawal(withdrawn),
        "predictions": every.count,
        "first_leaf": every.first_leaf,
        "last_leaf": every.last_leaf,
        "after_withdrawal": after,
        "callers": _callers(house, digest),
        "callers_of_newest": min(every.count, CALLERS_ENTRIES),
        "page": shown,
        "next": page[limit].index if len(page) > limit else None,
    }


def _line(stored: StoredEntry) -> dict[str, Any]:
    body = parse_entry(stored.entry).body
    return {
        "prediction_id": str(stored.index),
        "leaf_index": stored.index,
        "event_time": body["event_time"],
        "actor_id": body["actor_id"],
        "row_count": body["data"]["row_count"],
    }


def _callers(house: Assembly, digest: str) -> list[dict[str, Any]]:
    """Callers of the newest predictions, the most frequent first."""
    counted: dict[str, int] = {}
    newest = house.ledger.entries(type="prediction", ref=digest, newest=True, limit=CALLERS_ENTRIES)
    for stored in newest:
        actor = parse_entry(stored.entry).body["actor_id"]
        counted[actor] = counted.get(actor, 0) + 1
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [{"actor_id": actor, "predictions": n} for actor, n in ranked[:CALLERS_SHOWN]]
