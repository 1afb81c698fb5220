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
    from models.runtime.engines import Run

CHUNK: Final = 1024  # rows at once: bounds memory, and stays in the cache


@dataclass(frozen=True, slots=True)
class Reason:
    """A group's contribution to the output, in units of 2^-16. Positive pushes it up."""

    code: str
    contribution_q16: int


class Reasons:
    """The groups of one model."""

    def __init__(
        self, spec: ReasonCodes, *, names: Sequence[str], reference: Sequence[float]
    ) -> None:
        self._most = spec.most
        self._codes = tuple(group.code for group in spec.groups)
        self._mask = np.zeros((len(spec.groups) + 1, len(names)), np.bool_)  # row 0: as given
        for index, group in enumerate(spec.groups):
            self._mask[index + 1, [names.index(name) for name in group.features]] = True
        self._reference = np.asarray(reference, np.float32)

    def explain(
        self, matrix: NDArray[np.float32], run: Run
    ) -> tuple[NDArray[np.int64], list[tuple[Reason, ...]]]:
        """Output and stated reasons of each row; none when nothing pushed the score up."""
        outputs = np.empty(len(matrix), np.int64)
        found: list[tuple[Reason, ...]] = []
        for first in range(0, len(matrix), CHUNK):
            totals = self.totals(matrix[first : first + CHUNK], run)
            outputs[first : first + CHUNK] = totals[:, 0]
            found += map(self._state, totals.tolist())
        return outputs, found

    def totals(self, matrix: NDArray[np.float32], run: Run) -> NDArray[np.int64]:
        """The output of each row as given, then with each group replaced, in the spec's order."""
        variants = np.where(self._mask, self._reference, matrix[:, None, :])
        return run(variants.reshape(-1, matrix.shape[1])).reshape(len(matrix), -1)

    def _state(self, totals: list[int]) -> tuple[Reason, ...]:
        output = totals[0]
        pairs = [
            (replaced - output, code)
            for replaced, code in zip(totals[1:], self._codes, strict=True)
            if replaced < output
        ]
        pairs.sort()
        return tuple(Reason(code, -change) for change, code in pairs[: self._most])
