"""What happens to a number before the model: scaling and imputation, moved into the model itself.

For trees the move is exact. Scaling never turns the order of two numbers around, so `f(x) <= t`
holds for all float32 x up to some largest one, and bisection over the float32 numbers finds it with
the library's own arithmetic. For a weighted sum the weights are divided once, which rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ArtifactRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.hub.intake.shapes import LinearModel, Tree, TreeModel

    Map = Callable[[float], float]

_LARGEST: Final = 0x7F7FFFFF  # pattern of the largest finite float32


@dataclass(frozen=True, slots=True)
class Steps:
    """One map per feature, and what stands for a missing value before it (None: nothing does)."""

    maps: tuple[Map, ...]
    scale: tuple[float, ...]  # of the affine map: x -> (x - offset) * scale
    offset: tuple[float, ...]
    fill: tuple[float | None, ...]
    described: tuple[str, ...]

    def into_trees(self, model: TreeModel) -> TreeModel:
        """The same trees over unscaled inputs. A split goes left where its input `< threshold`."""
        return replace(model, trees=tuple(self._tree(tree) for tree in model.trees))

    def into_linear(self, model: LinearModel) -> LinearModel:
        """The same sum over unscaled inputs, rounded to float64."""
        weights = [w * s for w, s in zip(model.weights, self.scale, strict=True)]
        shift = math.fsum(-w * o for w, o in zip(weights, self.offset, strict=True))
        return replace(model, weights=tuple(weights), intercept=model.intercept + shift)

    def _tree(self, tree: Tree) -> Tree:
        threshold, default = list(tree.threshold), list(tree.default_left)
        for node, left in enumerate(tree.left):
            if left == -1:
                continue
            feature, old = tree.feature[node], tree.threshold[node]
            moved, fill = self.maps[feature], self.fill[feature]
            threshold[node] = first_not_below(moved, old)
            if fill is not None:
                default[node] = moved(fill) < old
        return replace(tree, threshold=threshold, default_left=default)


def steps_of(
    scale: Sequence[float],
    offset: Sequence[float],
    maps: Sequence[Map],
    *,
    fill: Sequence[float | None],
    described: Sequence[str],
) -> Steps:
    """Steps, once their numbers are known to be fit. Raises ArtifactRefused."""
    for number, (s, o) in enumerate(zip(scale, offset, strict=True)):
        if not (math.isfinite(s) and math.isfinite(o) and s > 0):
            raise ArtifactRefused("scaling", f"feature {number}: scale {s}, offset {o}")
    for number, value in enumerate(fill):
        if value is not None and not math.isfinite(value):
            raise ArtifactRefused("imputation", f"feature {number}: fills in {value}")
    return Steps(tuple(maps), tuple(scale), tuple(offset), tuple(fill), tuple(described))


def first_not_below(moved: Map, threshold: float) -> float:
    """The smallest float32 x with `moved(x) >= threshold`; `moved` never falls."""
    low, high = -_LARGEST, _LARGEST  # ordinals: negative ones count down from zero
    if moved(_number(high)) < threshold:
        return _number(high)  # every input is below it
    while low < high:
        middle = (low + high) // 2
        if moved(_number(middle)) >= threshold:
            high = middle
        else:
            low = middle + 1
    return _number(low)


def _number(ordinal: int) -> float:
    """The float32 of an ordinal: float32 numbers in order, zero at 0."""
    size = float(np.array(abs(ordinal), np.uint32).view(np.float32))
    return size if ordinal >= 0 else -size
