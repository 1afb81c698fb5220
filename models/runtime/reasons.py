"""Principal reasons of a credit score, from the executed model itself: no surrogate explains it.

Method reference-replacement/v1: for each group of features, the output is computed again with the
group's features set to the manifest's reference values (an ordinary repaid account). The
difference, an exact integer in units of 2^-16, is the group's contribution. The positive ones push
the score towards refusal; at most `most` are stated, largest first, ties by code (12 CFR
1002.9(b)(2)).

It states which inputs moved this score against that reference. It does not state a cause, and
contributions of interacting groups need not add up to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.hub.manifest import ReasonCodes
    from models.runtime.trees import Trees

CHUNK: Final = 256  # rows at once: bounds memory at about 30 MB for 150 trees


@dataclass(frozen=True, slots=True)
class Reason:
    """A group's contribution to the output, in units of 2^-16. Positive pushes it up."""

    code: str
    contribution_q16: int


class Reasons:
    """The groups of one model. Only the trees that read a group are walked again for it."""

    def __init__(
        self,
        spec: ReasonCodes,
        trees: Trees,
        *,
        names: Sequence[str],
        reference: Sequence[float],
    ) -> None:
        self._trees = trees
        self._most = spec.most
        self._codes = np.asarray([group.code for group in spec.groups])
        columns = [[names.index(name) for name in group.features] for group in spec.groups]
        self._mask = np.zeros((len(columns) + 1, len(names)), np.bool_)  # row 0: nothing replaced
        for index, group in enumerate(columns):
            self._mask[index + 1, group] = True
        self._reference = np.asarray(reference, np.float32)
        reading = [trees.reading(group) for group in columns]
        self._walks = np.concatenate([np.arange(len(trees.roots)), *reading])
        self._variant = np.repeat(
            np.arange(len(columns) + 1), [len(trees.roots), *map(len, reading)]
        )

    def explain(self, matrix: NDArray[np.float32]) -> list[tuple[Reason, ...]]:
        """The stated reasons of each row; empty when nothing pushed the score up."""
        found: list[tuple[Reason, ...]] = []
        for first in range(0, len(matrix), CHUNK):
            for row in self.contributions(matrix[first : first + CHUNK]):
                pairs = sorted(
                    ((-int(value), str(code)) for value, code in zip(row, self._codes, strict=True))
                )
                found.append(
                    tuple(Reason(code, -value) for value, code in pairs[: self._most] if value < 0)
                )
        return found

    def contributions(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """Every group's contribution to each row's output, groups in the manifest's order."""
        count, trees = len(matrix), len(self._trees.roots)
        variants = np.where(self._mask, self._reference, matrix[:, None, :])
        rows = (np.arange(count) * len(self._mask))[:, None] + self._variant
        nodes = np.broadcast_to(self._trees.roots[self._walks], rows.shape)
        leaves = self._trees.leaves(
            variants.reshape(-1, self._trees.width), rows.ravel(), nodes.ravel()
        ).reshape(count, -1)
        change = leaves[:, self._walks[trees:]] - leaves[:, trees:]
        totals = np.zeros((count, len(self._codes)), np.int64)
        for group in range(len(self._codes)):
            totals[:, group] = change[:, self._variant[trees:] == group + 1].sum(axis=1)
        return totals
