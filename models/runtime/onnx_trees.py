"""A tree ensemble as ONNX: one TreeEnsembleRegressor (ai.onnx.ml 1), leaves in units of 2^-16.

Made from the parsed artifact each time a model is loaded, never stored: 30 ms for 4,000 nodes, and
nothing in it can disagree with the artifact whose digest was approved. A split is BRANCH_LT, as
xgboost's: x < threshold goes left, a missing value where the split says. Leaves are written as
whole numbers of 2^-16, whose sums stay below 2^24 (`trees.py`): exact in float32 in any order.

Fields are those of onnx.proto (IR version 8) and of the operator TreeEnsembleRegressor-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.runtime.onnx_file import number, one_node, packed_floats, packed_numbers, part, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.runtime.trees import Trees

INPUT: Final = "x"
OUTPUT: Final = "y"
# AttributeProto.AttributeType
_INT, _FLOATS, _INTS, _STRINGS = 2, 6, 7, 8


def encode_trees(trees: Trees) -> bytes:
    """The ONNX file of an ensemble: float tensor [rows, width] in, [rows, 1] out."""
    first = np.repeat(trees.roots, np.diff(trees.roots, append=len(trees.left)))
    tree = np.repeat(np.arange(len(trees.roots)), np.diff(trees.roots, append=len(trees.left)))
    place = np.arange(len(trees.left)) - first
    leaf = np.isinf(trees.threshold)
    left = np.where(leaf, 0, trees.left - first)
    ends = np.flatnonzero(leaf)
    attributes = (
        _ints("nodes_treeids", tree),
        _ints("nodes_nodeids", place),
        _ints("nodes_featureids", trees.feature),
        _floats("nodes_values", np.where(leaf, np.float32(0), trees.threshold).tolist()),
        _strings("nodes_modes", ["LEAF" if end else "BRANCH_LT" for end in leaf.tolist()]),
        _ints("nodes_truenodeids", left),
        _ints("nodes_falsenodeids", np.where(leaf, 0, left + 1)),
        _ints("nodes_missing_value_tracks_true", ~leaf & ~trees.missing_right),
        _ints("target_treeids", tree[ends]),
        _ints("target_nodeids", place[ends]),
        _ints("target_ids", np.zeros(len(ends), np.int64)),
        _floats("target_weights", trees.leaf_q16[ends].tolist()),
        text(1, "n_targets") + number(3, 1) + number(20, _INT),
    )
    node = (
        text(1, INPUT)
        + text(2, OUTPUT)
        + text(4, "TreeEnsembleRegressor")
        + b"".join(part(5, attribute) for attribute in attributes)
        + text(7, "ai.onnx.ml")
    )
    return one_node(node, "tree-ensemble-q16/v1", (INPUT, trees.width), (OUTPUT, 1))


def _ints(name: str, values: NDArray[Any]) -> bytes:
    return text(1, name) + packed_numbers(8, values.astype(np.int64).tolist()) + number(20, _INTS)


def _floats(name: str, values: Sequence[float]) -> bytes:
    return text(1, name) + packed_floats(7, values) + number(20, _FLOATS)


def _strings(name: str, values: Iterable[str]) -> bytes:
    return text(1, name) + b"".join(text(9, item) for item in values) + number(20, _STRINGS)
