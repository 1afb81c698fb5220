"""Champion beside challenger: what both answered to the same requests, compared, on record.

A comparison is a pure function of a range of the log, as the correctness report is, and an entry of
its own (`report_kind` `comparison`). A promotion names the newest one among its parents, beside the
newest reports: what was known when somebody decided is bound to the decision.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from models.errors import ModelError
from models.hub.catalog import CHAMPION
from monitoring.champion import SCHEMA, Pair, compare
from service.shadow import SKIPPED
from service.source import SHADOWS, LedgerSource, catalog_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from monitoring.source import Outcome
    from service.assembly import Assembly

COMPARISON: Final = "comparison"
SKIPS_SHOWN: Final = 20  # newest refusals of a shadow in a comparison


@dataclass(frozen=True, slots=True)
class Match:
    """Two versions of a name, the second behind an alias of a shadow."""

    name: str
    alias: str
    champion: str
    challenger: str


def matches(assembly: Assembly, as_of_leaf: int) -> list[Match]:
    """Every champion with each of its shadows, as of a leaf."""
    found = []
    for model in catalog_at(assembly, as_of_leaf).models():
        champion = model.aliases.get(CHAMPION)
        for alias in SHADOWS:
            challenger = model.aliases.get(alias)
            if champion and challenger and champion != challenger:
                found.append(Match(model.name, alias, champion, challenger))
    return found


def compare_all(assembly: Assembly, as_of_leaf: int, *, afresh: bool = False) -> dict[str, Any]:
    """Every comparison there is as of a leaf; plain JSON, the same bytes for the same range."""
    source = LedgerSource(assembly, as_of_leaf, afresh=afresh)
    return {
        "comparison_schema": SCHEMA,
        "as_of_leaf": as_of_leaf,
        "compared": [
            _compare(assembly, source, match, as_of_leaf) for match in matches(assembly, as_of_leaf)
        ],
    }


def issue_comparison(assembly: Assembly, *, actor_id: str) -> Appended | None:
    """Record the comparison of every champion with its shadows; None when there is no shadow."""
    size = assembly.ledger.size
    told = compare_all(assembly, size - 1)
    if not told["compared"]:
        return None
    draft = Draft(
        type="report",
        actor_id=actor_id,
        data={
            "report_kind": COMPARISON,
            "checkpoint_size": size,
            "report_digest": assembly.blobs.put(canonical_bytes(told)),
        },
        event_time=assembly.now(),
        ref=COMPARISON,
    )
    return assembly.ledger.append(draft, assembly.signers[Role.REPORTER])


def newest_comparison(assembly: Assembly) -> tuple[int, str, dict[str, Any]] | None:
    """Leaf, time and bytes of the newest one; None before the first, or when its bytes are gone."""
    for stored in assembly.ledger.entries(type="report", ref=COMPARISON, newest=True, limit=1):
        body = unsigned_body(stored.entry)
        try:
            told = json.loads(assembly.blobs.get(body["data"]["report_digest"]))
        except ModelError:
            return None
        return stored.index, body["event_time"], told
    return None


def _compare(
    assembly: Assembly, source: LedgerSource, match: Match, as_of_leaf: int
) -> dict[str, Any]:
    parents = _parents(assembly, match.challenger, as_of_leaf)
    pairs, counts = _pairs(source, match, parents)
    kind = assembly.inventory.manifest(match.champion).kind
    told = compare(kind, pairs)
    leaves = sorted(parents)
    return {
        "name": match.name,
        "kind": kind,
        "champion": _version(assembly, match.champion, CHAMPION),
        "challenger": _version(assembly, match.challenger, match.alias),
        **counts,
        "labelled": len(pairs),
        "window": {
            "first_prediction": str(leaves[0]) if leaves else None,
            "last_prediction": str(leaves[-1]) if leaves else None,
            "as_of_leaf": as_of_leaf,
        },
        **told,
        "tables": [*told["tables"], _skips(assembly, match.challenger, as_of_leaf)],
    }


def _parents(assembly: Assembly, challenger: str, as_of_leaf: int) -> dict[int, int]:
    """The request that each answer of a shadow repeats, by the answer's leaf."""
    found = {}
    for stored in assembly.ledger.entries(type="prediction", ref=challenger):
        if stored.index > as_of_leaf:
            break
        above = unsigned_body(stored.entry)["parents"]
        if above:
            found[stored.index] = int(above[0])
    return found


def _pairs(
    source: LedgerSource, match: Match, parents: Mapping[int, int]
) -> tuple[list[Pair], dict[str, int]]:
    """Labelled pairs in the order of their outcomes, and the count of everything else."""
    every = source.predictions(match.champion)
    mine = every.take(np.isin(every.leaf, np.asarray(list(parents.values()), np.int64)))
    champion = {(row.leaf_index, row.row_index): row for row in mine}
    newest: dict[str, Outcome] = {o.prediction_id: o for o in source.outcomes(match.champion)}
    counts = {"pairs": 0, "of_another_champion": 0, "outcome_before_answer": 0}
    found = []
    for row in source.predictions(match.challenger):
        parent = parents.get(row.leaf_index)
        if parent is None:
            continue
        other = champion.get((parent, row.row_index))
        if other is None:
            counts["of_another_champion"] += 1
            continue
        counts["pairs"] += 1
        outcome = newest.get(other.prediction_id)
        if outcome is None:
            continue
        if outcome.leaf_index < row.leaf_index:
            counts["outcome_before_answer"] += 1
            continue
        found.append(
            (
                outcome.leaf_index,
                Pair(
                    other.outputs, row.outputs, other.decision, row.decision, float(outcome.value)
                ),
            )
        )
    found.sort(key=lambda item: item[0])
    return [pair for _, pair in found], counts


def _version(assembly: Assembly, digest: str, alias: str) -> dict[str, str]:
    manifest = assembly.inventory.manifest(digest)
    return {
        "name": manifest.name,
        "version": manifest.version,
        "model_digest": digest,
        "alias": alias,
    }


def _skips(assembly: Assembly, challenger: str, as_of_leaf: int) -> dict[str, Any]:
    rows = []
    for stored in assembly.ledger.entries(type="refusal", ref=challenger):
        data = unsigned_body(stored.entry)["data"]
        if stored.index <= as_of_leaf and data["cause"] == SKIPPED:
            rows.append([str(stored.index), data["detail"]])
    return {
        "title": "Requests that the challenger did not answer",
        "columns": ["Entry", "Why"],
        "rows": rows[-SKIPS_SHOWN:],
    }
