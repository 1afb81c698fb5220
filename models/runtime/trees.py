"""Format tree-ensemble-q16/v1: xgboost trees whose leaves are multiples of 2^-16.

The artifact is xgboost's own UBJSON, so xgboost can run it too; here it is only data, walked in
numpy. A split sends x to the left when x < threshold, both float32; a missing value (NaN) goes
where the split says. The output is the sum of the leaves, counted in units of 2^-16.

Why every engine agrees: the sum over trees of the largest |leaf| is below 256, so each partial sum,
in any order, is an integer below 2^24 in those units, and float32 holds all of these exactly. What
would break that, or that was never tested, is refused: categorical splits, DART, several classes or
targets, random forests, a base score whose margin is not 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ArtifactRefused
from models.runtime.ubjson import parse_ubjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORM: Final = "tree ensemble"
GRID_BITS: Final = 16
BOUND_Q16: Final = 1 << 24  # 256 in units of 2^-16: float32 holds every integer below
TREES_MAX: Final = 5000
NODES_MAX: Final = 500_000
DEPTH_MAX: Final = 16
CHUNK: Final = 1 << 18  # tree walks at once: bounds memory at about 10 MB
# The base score at which each objective's margin is 0.
BASE_SCORES: Final = {"binary:logistic": 0.5, "reg:quantileerror": 0.0, "reg:squarederror": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """All nodes of all trees in flat arrays. A leaf is its own left child and never goes right.

    The right child of a split is stored straight after the left one.
    """

    width: int
    roots: NDArray[np.intp]
    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    left: NDArray[np.intp]
    missing_right: NDArray[np.bool_]
    leaf_q16: NDArray[np.int64]
    depth: int
    bound_q16: int

    @classmethod
    def parse(cls, data: bytes, names: Sequence[str]) -> Trees:
        """Read an artifact for rows of these features, in order. Raises ArtifactRefused."""
        return _build(_checked_learner(parse_ubjson(data), names), len(names))

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """The output of each row, in units of 2^-16."""
        count, trees = len(matrix), len(self.roots)
        step = max(1, CHUNK // trees)
        totals = np.empty(count, np.int64)
        for first in range(0, count, step):
            part = matrix[first : first + step]
            rows = np.repeat(np.arange(len(part)), trees)
            leaves = self.leaves(part, rows, np.tile(self.roots, len(part)))
            totals[first : first + step] = leaves.reshape(len(part), trees).sum(axis=1)
        return totals

    def leaves(
        self, matrix: NDArray[np.float32], rows: NDArray[np.intp], nodes: NDArray[np.intp]
    ) -> NDArray[np.int64]:
        """Walk row `rows[i]` down from root `nodes[i]`, all i at once; the leaves' values."""
        flat = np.ascontiguousarray(matrix).ravel()
        offset = rows * self.width
        missing = bool(np.isnan(flat).any())
        for _ in range(self.depth):
            values = flat.take(self.feature.take(nodes) + offset)
            right = values >= self.threshold.take(nodes)
            if missing:
                right |= np.isnan(values) & self.missing_right.take(nodes)
            nodes = self.left.take(nodes) + right
        return self.leaf_q16.take(nodes)

    def reading(self, columns: Sequence[int]) -> NDArray[np.intp]:
        """The trees that split on any of these features, by number."""
        splits = np.flatnonzero(np.isfinite(self.threshold) & np.isin(self.feature, columns))
        return np.unique(np.searchsorted(self.roots, splits, side="right") - 1)


def _checked_learner(
    document: Any,  # noqa: ANN401 - parsed bytes
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """The trees of a document that is of the one kind this format allows."""
    try:
        learner = document["learner"]
        booster, param = learner["gradient_booster"], learner["learner_model_param"]
        model = booster["model"]
        objective = str(learner["objective"]["name"])
        facts = {
            "booster": (str(booster["name"]), "gbtree"),
            "num_feature": (str(param["num_feature"]), str(len(names))),
            "feature_names": (list(learner["feature_names"]), list(names)),
            "num_class": (str(param["num_class"]), "0"),
            "num_target": (str(param["num_target"]), "1"),
            "num_parallel_tree": (str(model["gbtree_model_param"]["num_parallel_tree"]), "1"),
            "num_trees": (int(model["gbtree_model_param"]["num_trees"]), len(model["trees"])),
            "tree_info": (bool(np.any(np.asarray(model["tree_info"]))), False),
            "base_score": (_scalar(param["base_score"]), BASE_SCORES.get(objective)),
        }
        trees = model["trees"]
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArtifactRefused(FORM, "not a gradient-boosted tree document") from error
    for name, (got, wanted) in facts.items():
        if got != wanted:
            raise ArtifactRefused(FORM, f"{name} is {str(got)[:80]}, expected {str(wanted)[:80]}")
    if not isinstance(trees, list) or not 0 < len(trees) <= TREES_MAX:
        raise ArtifactRefused(FORM, f"expected 1 to {TREES_MAX} trees")
    return trees


def _scalar(text: object) -> float:
    """A base score; xgboost 3 writes it as a list of one."""
    value = json.loads(str(text))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value)


def _build(trees: list[dict[str, Any]], width: int) -> Trees:
    flat = _Flat(width)
    for number, tree in enumerate(trees):
        try:
            flat.add(_Columns.of(tree))
        except ArtifactRefused as error:
            raise ArtifactRefused(FORM, f"tree {number}: {error.reason}") from error
    if flat.bound >= BOUND_Q16:
        raise ArtifactRefused(FORM, f"leaves may add up to {flat.bound} units; below {BOUND_Q16}")
    return Trees(
        width=width,
        roots=np.asarray(flat.roots, np.intp),
        feature=np.asarray(flat.feature, np.intp),
        threshold=np.asarray(flat.threshold, np.float32),
        left=np.asarray(flat.left, np.intp),
        missing_right=np.asarray(flat.missing_right, np.bool_),
        leaf_q16=np.asarray(flat.leaf_q16, np.int64),
        depth=flat.depth,
        bound_q16=flat.bound,
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """One tree as xgboost writes it: a column per property, a row per node."""

    left: list[int]
    right: list[int]
    feature: list[int]
    value: list[float]  # a split's threshold or a leaf's value
    default_left: list[int]

    @classmethod
    def of(cls, tree: Any) -> _Columns:  # noqa: ANN401 - parsed bytes
        try:
            param = tree["tree_param"]
            nodes, deleted = int(param["num_nodes"]), int(param["num_deleted"])
            plain = (len(tree["categories"]), int(np.any(np.asarray(tree["split_type"]))))
            vector = str(param["size_leaf_vector"])
            columns = cls(
                left=_whole(tree["left_children"], nodes),
                right=_whole(tree["right_children"], nodes),
                feature=_whole(tree["split_indices"], nodes),
                value=np.asarray(tree["split_conditions"], np.float32).tolist(),
                default_left=_whole(tree["default_left"], nodes),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtifactRefused(FORM, "a column is missing or malformed") from error
        if deleted or plain != (0, 0) or vector not in {"0", "1"}:
            raise ArtifactRefused(FORM, "has deleted nodes, categories or leaf vectors")
        if len(columns.value) != nodes:
            raise ArtifactRefused(FORM, "columns differ in length")
        return columns


def _whole(column: object, count: int) -> list[int]:
    array = np.asarray(column)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ValueError(count)
    found: list[int] = array.tolist()
    return found


class _Flat:
    """Trees being appended, every node reached once from its root."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.roots: list[int] = []
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.left: list[int] = []
        self.missing_right: list[bool] = []
        self.leaf_q16: list[int] = []
        self.depth = 0
        self.bound = 0

    def add(self, tree: _Columns) -> None:
        """Copy one tree level by level, children side by side."""
        count = len(tree.left)
        if not count or len(self.left) + count > NODES_MAX:
            raise ArtifactRefused(FORM, f"no nodes, or more than {NODES_MAX} in all")
        first, largest, level, depth = len(self.left), 0, [0], 0
        fresh = set(range(1, count))  # nodes without a parent so far; the root needs none
        self.roots.append(first)
        at = first + 1  # where the next pair of children goes
        while level:
            below: list[int] = []
            for node in level:
                if tree.left[node] == -1:
                    largest = max(largest, abs(self._leaf(tree, node)))
                    continue
                children = [tree.left[node], tree.right[node]]
                if children[0] == children[1] or not fresh.issuperset(children):
                    raise ArtifactRefused(FORM, "a child is missing or has two parents")
                fresh.difference_update(children)
                self._split(tree, node, at)
                at += 2
                below += children
            level = below
            depth += bool(below)
            if depth > DEPTH_MAX:
                raise ArtifactRefused(FORM, f"deeper than {DEPTH_MAX}")
        if fresh:
            raise ArtifactRefused(FORM, f"{len(fresh)} nodes cannot be reached")
        self.depth = max(self.depth, depth)
        self.bound += largest

    def _split(self, tree: _Columns, node: int, children: int) -> None:
        feature, threshold = tree.feature[node], tree.value[node]
        if not 0 <= feature < self._width:
            raise ArtifactRefused(FORM, f"splits on feature {feature} of {self._width}")
        if not math.isfinite(threshold):
            raise ArtifactRefused(FORM, "a threshold is not finite")
        if tree.default_left[node] not in {0, 1}:
            raise ArtifactRefused(FORM, "a default direction is neither left nor right")
        self._node(feature, threshold, children, missing_right=not tree.default_left[node], leaf=0)

    def _leaf(self, tree: _Columns, node: int) -> int:
        scaled = tree.value[node] * (1 << GRID_BITS)
        if tree.right[node] != -1:
            raise ArtifactRefused(FORM, "a node has one child")
        if not math.isfinite(scaled) or scaled != int(scaled):
            raise ArtifactRefused(FORM, "a leaf is not a multiple of 2^-16")
        self._node(0, math.inf, len(self.left), missing_right=False, leaf=int(scaled))
        return int(scaled)

    def _node(
        self, feature: int, threshold: float, left: int, *, missing_right: bool, leaf: int
    ) -> None:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.left.append(left)
        self.missing_right.append(missing_right)
        self.leaf_q16.append(leaf)
