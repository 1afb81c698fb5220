"""What a supported model is inside, whatever library wrote it: trees, or one weighted sum.

Numbers here are as the library holds them; `exact` rounds them. Every index is checked on the way
in, so nothing that is read later can point outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ArtifactRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Probability = Callable[[NDArray[np.float32]], NDArray[np.float64]]

LOG_ODDS: Final = "log-odds"
PROBABILITY: Final = "probability"
TREES_MAX: Final = 5000
NODES_MAX: Final = 500_000


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. A row goes left where `x < threshold`; `left` is -1 at a leaf.

    Thresholds are float64 here, and `exact` makes them float32 without moving any float32 input.
    """

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    default_left: list[bool]
    value: list[float]  # of leaves, float64

    def check(self, width: int, number: int) -> None:
        """Every node is reached once, and names a feature there is. Raises ArtifactRefused."""
        waiting, fresh = [0], set(range(1, len(self.left)))
        while waiting:
            node = waiting.pop()
            if self.left[node] == -1:
                if not math.isfinite(self.value[node]):
                    raise ArtifactRefused("trees", f"tree {number}: a leaf is not finite")
                continue
            children = {self.left[node], self.right[node]}
            if len(children) != 2 or not children <= fresh:  # noqa: PLR2004 - left and right
                raise ArtifactRefused("trees", f"tree {number}: a child is missing or shared")
            if not 0 <= self.feature[node] < width:
                raise ArtifactRefused("trees", f"tree {number}: splits on a feature not there")
            if not math.isfinite(self.threshold[node]):
                raise ArtifactRefused("trees", f"tree {number}: a threshold is not finite")
            fresh -= children
            waiting += children
        if fresh:
            raise ArtifactRefused("trees", f"tree {number}: {len(fresh)} nodes cannot be reached")


@dataclass(frozen=True, slots=True)
class TreeModel:
    """`base` and one leaf of each tree, added up."""

    trees: tuple[Tree, ...]
    base: float
    unit: str  # LOG_ODDS or PROBABILITY
    width: int

    def check(self) -> None:
        """Refuse too many trees, and any malformed one."""
        if not 0 < len(self.trees) <= TREES_MAX:
            raise ArtifactRefused("trees", f"{len(self.trees)} trees; 1 to {TREES_MAX}")
        if sum(len(tree.left) for tree in self.trees) > NODES_MAX:
            raise ArtifactRefused("trees", f"more than {NODES_MAX} nodes")
        for number, tree in enumerate(self.trees):
            if not tree.left:
                raise ArtifactRefused("trees", f"tree {number}: no nodes")
            tree.check(self.width, number)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """`intercept` and each feature times its weight, added up: log-odds."""

    weights: tuple[float, ...]
    intercept: float
    unit: str
    width: int

    def check(self) -> None:
        """Refuse numbers that are not finite."""
        if len(self.weights) != self.width:
            raise ArtifactRefused("linear", f"{len(self.weights)} weights, {self.width} features")
        if not all(map(math.isfinite, (*self.weights, self.intercept))):
            raise ArtifactRefused("linear", "a weight is not finite")


@dataclass(frozen=True, slots=True)
class Given:
    """A file that was read: its shape, and the library's own answer to compare with."""

    form: str
    library: str  # name and version that answers for it here
    kind: str  # the class or operator, as the library calls it
    shape: TreeModel | LinearModel
    names: tuple[str, ...] | None  # of features, where the file has them
    steps: tuple[str, ...]  # what happens to an input before the model
    probability: Probability
    hyper: dict[str, str] = field(default_factory=dict)


def float32(value: float) -> float:
    """The nearest float32, as a Python float."""
    return float(np.float32(value))


def strictly(threshold: float) -> float:
    """The number t with `x <= threshold` exactly where `x < t`, for every float64 x."""
    return math.nextafter(threshold, math.inf)


def ceil32(value: float) -> float:
    """The smallest float32 that is not below a float64."""
    near = np.float32(value)
    return float(near if float(near) >= value else np.nextafter(near, np.float32(np.inf)))


def integers(values: Any) -> list[int]:  # noqa: ANN401 - a library's array
    """An array's whole numbers."""
    found: list[int] = np.asarray(values).astype(np.int64).tolist()
    return found


def floats(values: Any) -> list[float]:  # noqa: ANN401 - a library's array
    """An array's numbers as float64."""
    found: list[float] = np.asarray(values, np.float64).ravel().tolist()
    return found


def binary(classes: Sequence[Any]) -> None:
    """Refuse anything but two classes called 0 and 1 (or false and true)."""
    found = [str(c) for c in classes]
    if found not in (["0", "1"], ["0.0", "1.0"], ["False", "True"]):
        shown = ", ".join(found[:5])
        raise ArtifactRefused(
            "classifier", f"classes are {shown}; expected 0 and 1 (train on 0/1 labels)"
        )
