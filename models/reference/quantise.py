"""Round a trained xgboost model to the 2^-16 grid, once, at publishing, and say what it changed.

The base margin goes into the first tree's leaves, the base score becomes the one whose margin is
0, and each leaf becomes the nearest multiple of 2^-16. `models.runtime.trees` says why that makes
every engine agree. What comes out is still an ordinary xgboost model.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost

from models.errors import ArtifactRefused
from models.hub.canonical import digest_of
from models.runtime.trees import BASE_SCORES, Trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCALE: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """The model before and after rounding."""

    before: xgboost.Booster
    after: xgboost.Booster
    artifact: bytes
    bound_q16: int

    def margins(self, matrix: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Before (floats) and after (units of 2^-16), both computed by xgboost."""
        before = raw_margins(self.before, matrix).astype(np.float64)
        after = raw_margins(self.after, matrix).astype(np.float64) * SCALE
        return before, after.astype(np.int64)

    def facts(self, matrix: NDArray[np.float32]) -> dict[str, str]:
        """What rounding did, for the manifest."""
        before, after = self.margins(matrix)
        return {
            "grid_bits": "16",
            "library": f"xgboost {xgboost.__version__}",
            "artifact_before": digest_of(bytes(self.before.save_raw("ubj"))),
            "largest_sum_q16": str(self.bound_q16),
            "rows_compared": str(len(matrix)),
            "largest_change": f"{np.abs(after / SCALE - before).max():.9f}",
        }


def fit(
    matrix: NDArray[np.float32],
    target: NDArray[Any],
    *,
    names: Sequence[str],
    params: dict[str, Any],
    rounds: int,
) -> Quantised:
    """Train on one thread, then round."""
    data = xgboost.DMatrix(matrix, target, feature_names=list(names), nthread=1)
    # Subsets of rows are drawn by the seed; more than one thread could add histograms in any order.
    settings = {"tree_method": "hist", "nthread": 1, **params}
    return quantise(xgboost.train(settings, data, rounds), names)


def quantise(booster: xgboost.Booster, names: Sequence[str]) -> Quantised:
    """The rounded model. Raises ArtifactRefused when rounding cannot make it exact."""
    document = json.loads(bytes(booster.save_raw("json")))
    learner = document["learner"]
    objective = str(learner["objective"]["name"])
    if objective not in BASE_SCORES:
        raise ArtifactRefused("xgboost", f"objective {objective} is not supported")
    param = learner["learner_model_param"]
    margin = _base_margin(objective, json.loads(param["base_score"])[0])
    param["base_score"] = f"[{BASE_SCORES[objective]}]"
    for tree in learner["gradient_booster"]["model"]["trees"]:
        _round_leaves(tree, margin)
        margin = 0.0
    after = xgboost.Booster({"nthread": 1})
    after.load_model(bytearray(json.dumps(document).encode()))
    artifact = bytes(after.save_raw("ubj"))
    trees = Trees.parse(artifact, names)  # refuses what is not on the grid or too large
    return Quantised(before=booster, after=after, artifact=artifact, bound_q16=trees.bound_q16)


def raw_margins(booster: xgboost.Booster, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The library's own untransformed output of each row."""
    found: NDArray[np.float32] = booster.inplace_predict(
        matrix, predict_type="margin", validate_features=False
    )
    return found.reshape(len(matrix))


def _base_margin(objective: str, base_score: float) -> float:
    if objective == "binary:logistic":
        return math.log(base_score / (1 - base_score))
    return base_score


def _round_leaves(tree: dict[str, Any], margin: float) -> None:
    values = tree["split_conditions"]
    for node, left in enumerate(tree["left_children"]):
        if left == -1:
            values[node] = round((float(np.float32(values[node])) + margin) * SCALE) / SCALE
