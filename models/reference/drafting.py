"""The parts that every reference manifest has: patterns, test vectors, samples, figures."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.hub.manifest import Vector
from models.hub.sample import sample_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.runtime.linear import Linear

LICENCE: Final = "Apache-2.0"
OWNER: Final = "Model development, reference desk"
VECTORS: Final = 8
SAMPLE_ROWS: Final = 1000


def patterns(row: NDArray[np.float32]) -> tuple[str, ...]:
    """A row as float32 bit patterns of 8 hex digits."""
    text = np.asarray(row, np.float32).astype(">f4").tobytes().hex()
    return tuple(text[at : at + 8] for at in range(0, len(text), 8))


def vectors(
    matrix: NDArray[np.float32], outputs: Mapping[str, NDArray[np.int64]]
) -> tuple[Vector, ...]:
    """Rows from the lowest to the highest first output, with outputs computed elsewhere.

    Elsewhere is xgboost for trees and exact fractions for linear models, not `models.runtime`.
    """
    order = np.argsort(next(iter(outputs.values())), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, VECTORS).astype(int)]
    return tuple(
        Vector(
            inputs=patterns(matrix[row]),
            outputs={name: int(values[row]) for name, values in outputs.items()},
        )
        for row in chosen
    )


def exact(model: Linear, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """What a linear model must answer, in exact fractions: the runtime adds another way."""
    weights, intercept = [Fraction(w) for w in model.weights], Fraction(model.intercept)
    totals = [
        intercept + sum(w * Fraction(x) for w, x in zip(weights, row, strict=True))
        for row in matrix.tolist()
    ]
    return np.asarray([round(Fraction(float(total)) * 65536) for total in totals], np.int64)


def sample(matrix: NDArray[np.float32], names: Sequence[str]) -> bytes:
    """The last rows as a feature sample: what live inputs will be compared with."""
    part = matrix[-SAMPLE_ROWS:]
    return sample_bytes({name: part[:, at].tolist() for at, name in enumerate(names)})


def auc(score: NDArray[Any], positive: NDArray[Any]) -> float:
    """Chance that a positive outranks a negative, ties counting half (Mann-Whitney)."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    wins = positive.astype(bool)
    count = int(wins.sum())
    return float((ranks[wins].sum() - count * (count + 1) / 2) / (count * (len(wins) - count)))
