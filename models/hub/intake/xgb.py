"""xgboost's own files, UBJSON or JSON, read as data; xgboost answers for them when compared.

Supported: gbtree, one binary class, numerical splits: objectives binary:logistic and
binary:logitraw. Quirks: version 3 writes the base score as a list of one, as a probability for
these objectives; UBJSON may hold columns as typed arrays or plain lists.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ArtifactRefused
from models.hub.intake.forms import XGBOOST_UBJSON
from models.hub.intake.shapes import LOG_ODDS, Given, Tree, TreeModel, floats, integers
from models.runtime.ubjson import parse_ubjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

OBJECTIVES: Final = ("binary:logistic", "binary:logitraw")


def read(data: bytes, form: str) -> Given:
    """Read a file. Raises ArtifactRefused with what cannot be exact here."""
    document = parse_ubjson(data) if form == XGBOOST_UBJSON else json.loads(data)
    try:
        learner = document["learner"]
        _check_kind(learner)
        param = learner["learner_model_param"]
        model = learner["gradient_booster"]["model"]
        names = tuple(str(name) for name in learner.get("feature_names", ()))
        shape = TreeModel(
            trees=tuple(_tree(tree) for tree in model["trees"]),
            base=_base_margin(param["base_score"]),
            unit=LOG_ODDS,
            width=int(param["num_feature"]),
        )
    except ArtifactRefused:
        raise
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ArtifactRefused("xgboost", f"a field is missing or malformed: {error}") from error
    shape.check()
    import xgboost  # noqa: PLC0415 - it takes a second, and only publishing needs it

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(data))

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        margins = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
        return np.asarray(1 / (1 + np.exp(-margins.astype(np.float64))), np.float64)

    return Given(
        form=form,
        library=f"xgboost {xgboost.__version__}",
        kind=str(learner["objective"]["name"]),
        shape=shape,
        names=names or None,
        steps=(),
        probability=probability,
        hyper={"trees": str(len(shape.trees))},
    )


def _check_kind(learner: Mapping[str, Any]) -> None:
    booster = str(learner["gradient_booster"]["name"])
    objective = str(learner["objective"]["name"])
    param = learner["learner_model_param"]
    if booster != "gbtree":
        raise ArtifactRefused("xgboost", f"booster {booster}: only gbtree adds up exactly")
    if objective not in OBJECTIVES:
        raise ArtifactRefused(
            "xgboost", f"objective {objective}: outcomes judge {' and '.join(OBJECTIVES)} only"
        )
    if str(param["num_class"]) not in {"0", "1"} or str(param.get("num_target", "1")) != "1":
        raise ArtifactRefused("xgboost", "several classes or targets: one binary class is read")


def _base_margin(text: object) -> float:
    value = json.loads(str(text))
    score = float(value[0] if isinstance(value, list) else value)
    if not 0 < score < 1:
        raise ArtifactRefused("xgboost", f"base score {score}: expected a probability")
    return math.log(score / (1 - score))


def _tree(tree: Mapping[str, Any]) -> Tree:
    if len(tree["categories"]) or any(integers(tree["split_type"])):
        raise ArtifactRefused("xgboost", "categorical splits: only numerical ones are exact here")
    if int(tree["tree_param"]["num_deleted"]):
        raise ArtifactRefused("xgboost", "a pruned tree with deleted nodes; save the model again")
    left = integers(tree["left_children"])
    condition = np.asarray(tree["split_conditions"], np.float32).tolist()
    found = Tree(
        feature=integers(tree["split_indices"]),
        threshold=condition,
        left=left,
        right=integers(tree["right_children"]),
        default_left=[bool(flag) for flag in integers(tree["default_left"])],
        value=floats(condition),
    )
    if {len(found.feature), len(found.right), len(found.default_left), len(condition)} != {
        len(left)
    }:
        raise ArtifactRefused("xgboost", "columns of a tree differ in length")
    return found
