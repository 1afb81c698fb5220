"""Two engines for every model, and which of them answers: the faster one for so many rows.

| model | few rows | many rows |
|---|---|---|
| trees | ONNX Runtime, one thread | bits (`bit_trees`), else ONNX Runtime again |
| linear | exact sums row by row | sums by column, exact where in doubt |

Both give the same integers by construction (`trees.py`, `linear.py`), and loading holds both to
the manifest's vectors, which a third library computed at publishing. `other` is the engine that
does not serve so many rows: a replay uses it, so that what is compared was computed twice by
different code. Trees too wide for bits are walked (`Trees.run`) for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.runtime.bit_trees import BitTrees
from models.runtime.linear import Linear
from models.runtime.onnx_session import Session
from models.runtime.onnx_trees import encode_trees

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from models.runtime.trees import Trees

    Run = Callable[[NDArray[np.float32]], NDArray[np.int64]]

FEW_TREE_ROWS: Final = 48  # fewer: ONNX Runtime is faster (tests/benchmarks/batch_rates.py)
FEW_LINEAR_ROWS: Final = 24


@dataclass(frozen=True, slots=True, eq=False)
class Engines:
    """One output of a model in both its engines."""

    few: Run
    many: Run
    check: Run  # what replays `few`, and `many` where that is the same engine
    below: int  # rows that `few` answers

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """The output of each row, in units of 2^-16."""
        return self.few(matrix) if len(matrix) < self.below else self.many(matrix)

    def other(self, matrix: NDArray[np.float32], *, served: int) -> NDArray[np.int64]:
        """The same, from the engine that does not serve requests of `served` rows."""
        if served < self.below or self.many is self.few:
            return self.check(matrix)
        return self.few(matrix)


def engines_of(model: Trees | Linear) -> Engines:
    """Both engines of a parsed artifact."""
    if isinstance(model, Linear):
        return Engines(model.run, model.run_columns, model.run_columns, FEW_LINEAR_ROWS)
    few = Session(encode_trees(model)).run
    bits = BitTrees.of(model)
    if bits is None:
        return Engines(few, few, model.run, FEW_TREE_ROWS)
    return Engines(few, bits.run, bits.run, FEW_TREE_ROWS)
