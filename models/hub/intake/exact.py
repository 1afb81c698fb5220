"""A shape rounded to the 2^-16 grid: the artifact's bytes, and what any engine must answer.

Trees become xgboost UBJSON (`tree-ensemble-q16/v1`): thresholds become the smallest float32 that is
not below them, which moves no float32 input to another side, and leaves the nearest multiple of
2^-16, the base among those of the first tree. A weighted sum becomes ONNX (`linear-q16/v1`), its
weights the nearest float32. The answers are computed here in another way than `models.runtime`
does: by walking node by node, and in exact fractions.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.hub.intake.shapes import LinearModel, Tree, TreeModel, ceil32, float32
from models.runtime.linear import encode_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE: Final = 1 << 16
TREES: Final = "tree-ensemble-q16/v1"
LINEAR: Final = "linear-q16/v1"


@dataclass(frozen=True, slots=True)
class Exact:
    """The rounded model. `answer` gives a row's output in units of 2^-16."""

    format: str
    artifact: bytes
    shape: TreeModel | LinearModel

    def answer(self, row: Sequence[float]) -> int:
        """What every engine must answer to a row of float32 values."""
        if isinstance(self.shape, TreeModel):
            return sum(_leaf(tree, row) for tree in self.shape.trees)
        pairs = zip(self.shape.weights, row, strict=True)
        total = sum((Fraction(w) * Fraction(x) for w, x in pairs), Fraction(self.shape.intercept))
        return round(Fraction(float(total)) * SCALE)  # once to float64, then to the grid


def exact(shape: TreeModel | LinearModel, names: Sequence[str]) -> Exact:
    """Round a shape and write it."""
    if isinstance(shape, LinearModel):
        weights = tuple(float32(weight) for weight in shape.weights)
        rounded = LinearModel(weights, float32(shape.intercept), shape.unit, shape.width)
        return Exact(LINEAR, encode_onnx(weights, rounded.intercept), rounded)
    base = shape.base
    trees = []
    for tree in shape.trees:
        trees.append(_rounded(tree, base))
        base = 0.0
    whole = TreeModel(tuple(trees), 0.0, shape.unit, shape.width)
    return Exact(TREES, _ubjson(_document(whole, names)), whole)


def _rounded(tree: Tree, base: float) -> Tree:
    """The tree on the grid, level by level; a right child follows its left: xgboost needs it so."""
    order = [0]
    for node in order:  # grows while it is walked
        if tree.left[node] != -1:
            order += [tree.left[node], tree.right[node]]
    place = {node: at for at, node in enumerate(order)}
    found = Tree([], [], [], [], [], [])
    for node in order:
        leaf = tree.left[node] == -1
        found.feature.append(0 if leaf else tree.feature[node])
        found.threshold.append(0.0 if leaf else ceil32(tree.threshold[node]))
        found.left.append(-1 if leaf else place[tree.left[node]])
        found.right.append(-1 if leaf else place[tree.right[node]])
        found.default_left.append(not leaf and tree.default_left[node])
        found.value.append(round((tree.value[node] + base) * SCALE) / SCALE if leaf else 0.0)
    return found


def _leaf(tree: Tree, row: Sequence[float]) -> int:
    node = 0
    while tree.left[node] != -1:
        x = row[tree.feature[node]]
        goes_left = tree.default_left[node] if math.isnan(x) else x < tree.threshold[node]
        node = tree.left[node] if goes_left else tree.right[node]
    return int(tree.value[node] * SCALE)


# --- xgboost's file --------------------------------------------------------------------------


def _document(model: TreeModel, names: Sequence[str]) -> dict[str, Any]:
    """Xgboost's model document. A probability's sum is a squared-error regression to it."""
    trees = [_tree_document(tree, number, model.width) for number, tree in enumerate(model.trees)]
    log_odds = model.unit == "log-odds"
    return {
        "learner": {
            "attributes": {},
            "feature_names": list(names),
            "feature_types": [],
            "gradient_booster": {
                "model": {
                    "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
                    "gbtree_model_param": {
                        "num_parallel_tree": "1",
                        "num_trees": str(len(trees)),
                    },
                    "iteration_indptr": list(range(len(trees) + 1)),
                    "tree_info": [0] * len(trees),
                    "trees": trees,
                },
                "name": "gbtree",
            },
            "learner_model_param": {
                "base_score": "[5E-1]" if log_odds else "[0E0]",
                "boost_from_average": "1",
                "num_class": "0",
                "num_feature": str(model.width),
                "num_target": "1",
            },
            "objective": {
                "name": "binary:logistic" if log_odds else "reg:squarederror",
                "reg_loss_param": {"scale_pos_weight": "1"},
            },
        },
        "version": [3, 0, 0],
    }


def _tree_document(tree: Tree, number: int, width: int) -> dict[str, Any]:
    count = len(tree.left)
    parents = [0x7FFFFFFF] * count
    for node, left in enumerate(tree.left):
        if left != -1:
            parents[left] = parents[tree.right[node]] = node
    columns = zip(tree.left, tree.threshold, tree.value, strict=True)
    both = [leaf if left == -1 else split for left, split, leaf in columns]
    empty = np.zeros(0, ">i4")
    return {
        "base_weights": np.zeros(count, ">f4"),
        "categories": empty,
        "categories_nodes": empty,
        "categories_segments": np.zeros(0, ">i8"),
        "categories_sizes": np.zeros(0, ">i8"),
        "default_left": np.asarray(tree.default_left, ">u1"),
        "id": number,
        "left_children": np.asarray(tree.left, ">i4"),
        "loss_changes": np.zeros(count, ">f4"),
        "parents": np.asarray(parents, ">i4"),
        "right_children": np.asarray(tree.right, ">i4"),
        "split_conditions": np.asarray(both, ">f4"),
        "split_indices": np.asarray(tree.feature, ">i4"),
        "split_type": np.zeros(count, ">u1"),
        "sum_hessian": np.zeros(count, ">f4"),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(width),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }


_MARKERS: Final = {">f4": b"d", ">i4": b"l", ">i8": b"L", ">u1": b"U", "|u1": b"U"}


def _ubjson(value: Any) -> bytes:  # noqa: ANN401 - a document has no one type
    """UBJSON draft 12 as xgboost writes it: counted lists, typed arrays, int64 lengths."""
    if isinstance(value, dict):
        inner = b"".join(_text(key) + _ubjson(item) for key, item in value.items())
        return b"{" + inner + b"}"
    if isinstance(value, np.ndarray):
        return b"[$" + _MARKERS[value.dtype.str] + b"#" + _length(len(value)) + value.tobytes()
    if isinstance(value, list):
        return b"[#" + _length(len(value)) + b"".join(map(_ubjson, value))
    if isinstance(value, str):
        return b"S" + _text(value)
    return b"l" + struct.pack(">i", value)


def _text(text: str) -> bytes:
    data = text.encode()
    return _length(len(data)) + data


def _length(count: int) -> bytes:
    return b"L" + struct.pack(">q", count)
