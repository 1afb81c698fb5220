"""Measure input drift of the models in production and record it: a leading indicator, no verdict.

Called by the scheduler's process alone. The measuring itself happens in a child process with its
own memory limit (`monitoring.drift`); a child that fails leaves nothing in the log, and the failed
job is an alarm (`job_runs.py`). Columns are the model's inputs and, as `score:NAME`, its outputs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import numpy as np

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.record import Draft
from models.hub.sample import parse_sample
from monitoring.drift import MINIMUM_ROWS, measure_in_subprocess
from service.source import LedgerSource

if TYPE_CHECKING:
    from pathlib import Path

    from monitoring.source import Prediction
    from service.assembly import Assembly

WINDOW_ROWS: Final = 2_000  # newest predictions compared with the reference
PAGES_KEPT: Final = 30  # of Evidently's own pages: a megabyte each, of a month of measurements
SCORE: Final = "score:"  # before the name of a model's own output among the columns


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
    sample = parse_sample(house.blobs.get(reference_digest))
    scores = _scores(house, digest, sample)
    beside = _page(house, -1)
    beside.parent.mkdir(mode=0o700, exist_ok=True)
    result = measure_in_subprocess(
        _rows({**sample, **scores}),
        [_shown(prediction, scores) for prediction in current],
        columns=[*manifest.feature_names, *scores],
        page_to=beside,
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
    leaf = house.ledger.append(draft, house.signers[Role.REPORTER]).index
    beside.replace(_page(house, leaf))
    for old in sorted(beside.parent.glob("leaf-*.html.gz"))[:-PAGES_KEPT]:
        old.unlink()
    return leaf


def drift_page(house: Assembly, leaf: int) -> bytes | None:
    """Evidently's own page of a measurement, compressed by gzip; None when it is not kept."""
    try:
        return _page(house, leaf).read_bytes()
    except FileNotFoundError:
        return None


def _page(house: Assembly, leaf: int) -> Path:
    name = f"leaf-{leaf:012d}.html.gz" if leaf >= 0 else f"now-{os.getpid()}"
    return house.settings.data_dir / "drift" / name


def _scores(
    house: Assembly, digest: str, sample: dict[str, list[float | None]]
) -> dict[str, list[float | None]]:
    """What the model makes of the reference rows: the score's own stability index comes of it."""
    predictor = house.inventory.predictor(digest)
    given = {
        name: (
            np.asarray([0.0 if v is None else v for v in values], np.float64),
            np.asarray([v is None for v in values]),
        )
        for name, values in sample.items()
    }
    outputs, _ = predictor.run_columns(predictor.encode_columns(given))
    return {
        f"{SCORE}{name}": [float(value) for value in outputs[:, at].tolist()]
        for at, name in enumerate(predictor.output_names)
    }


def _shown(
    prediction: Prediction, scores: dict[str, list[float | None]]
) -> dict[str, float | None]:
    outputs = {
        name: float(prediction.outputs[name.removeprefix(SCORE)])
        if name.removeprefix(SCORE) in prediction.outputs
        else None
        for name in scores
    }
    return {**prediction.features, **outputs}


def _rows(columns: dict[str, list[float | None]]) -> list[dict[str, float | None]]:
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
