"""Measure input drift of the models in production and record it: a leading indicator, no verdict.

Called by the scheduler's process alone. The measuring itself happens in a child process with its
own memory limit (`monitoring.drift`); a child that fails leaves nothing in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import Draft
from models.hub.sample import parse_sample
from monitoring.drift import MINIMUM_ROWS, measure_in_subprocess
from service.source import LedgerSource

if TYPE_CHECKING:
    from monitoring.source import Prediction
    from service.assembly import Assembly

WINDOW_ROWS: Final = 2_000  # newest predictions compared with the reference


def measure_drift(house: Assembly, *, actor_id: str) -> list[int]:
    """Record one drift entry per model in production that has enough predictions; their leaves."""
    digests = {
        digest
        for model in house.inventory.catalog(fresh=True).models()
        for digest in model.aliases.values()
    }
    leaves = []
    for digest in sorted(digests):
        source = LedgerSource(house, house.ledger.size - 1)
        current = list(source.predictions(digest).take(slice(-WINDOW_ROWS, None)))
        if len(current) >= MINIMUM_ROWS:
            leaves.append(_measure(house, digest, current, actor_id))
    return leaves


def _measure(house: Assembly, digest: str, current: list[Prediction], actor_id: str) -> int:
    manifest = house.inventory.manifest(digest)
    reference_digest = manifest.training.reference_digest
    result = measure_in_subprocess(
        _rows(parse_sample(house.blobs.get(reference_digest))),
        [prediction.features for prediction in current],
        columns=manifest.feature_names,
    )
    draft = Draft(
        type="drift",
        actor_id=actor_id,
        data={
            "model_digest": digest,
            "first_leaf": current[0].leaf_index,
            "last_leaf": current[-1].leaf_index,
            "reference_digest": reference_digest,
            "configuration_digest": house.blobs.put(canonical_bytes(result["configuration"])),
            "library": result["library"],
            "version": result["version"],
            "result_digest": house.blobs.put(canonical_bytes(result)),
        },
        event_time=house.now(),
        ref=digest,
    )
    return house.ledger.append(draft, house.signers[Role.REPORTER]).index


def _rows(columns: dict[str, list[float | None]]) -> list[dict[str, float | None]]:
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
