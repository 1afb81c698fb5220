"""Format linear-q16/v1: weights and an intercept in float32, as an ONNX LinearRegressor.

The product of two float32 numbers is exact in float64, and `math.fsum` adds without error and
rounds once at the end, so the order of the features and the machine's vector units do not matter.
The sum is then rounded to the nearest multiple of 2^-16, ties to even. No BLAS. Many rows are added
column by column, and the few whose plain sum lies too near a tie are added exactly.

The artifact is ONNX (ModelProto, opset ai.onnx.ml 1), so ONNX Runtime can read it. Here it is read
by taking the numbers out and writing the file again: bytes that differ from that are refused. So
nothing but one LinearRegressor of one target can be in it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ArtifactRefused
from models.runtime.onnx_file import number, one_node, packed_floats, part, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORM: Final = "ONNX linear"
FORMAT: Final = "linear-q16/v1"
WEIGHTS_MAX: Final = 256
BOUND: Final = float(1 << 24)  # of |output|, so that 2^16 times it is far below 2^53
SCALE: Final = float(1 << 16)
EPSILON: Final = 2.0**-52
_MARKER: Final = b"\x0a\x0ccoefficients"  # AttributeProto.name of the weights


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear model; the weights are float32 values held as Python floats."""

    weights: tuple[float, ...]
    intercept: float

    @classmethod
    def parse(cls, data: bytes, largest: Sequence[float]) -> Linear:
        """Read an artifact for rows whose features are at most `largest` in size, in order.

        Raises ArtifactRefused.
        """
        weights, intercept = decode_onnx(data)
        if len(weights) != len(largest):
            raise ArtifactRefused(FORM, f"{len(weights)} weights for {len(largest)} features")
        if not all(map(math.isfinite, (*weights, intercept))):
            raise ArtifactRefused(FORM, "a weight is not finite")
        bound = abs(intercept) + sum(abs(w) * x for w, x in zip(weights, largest, strict=True))
        if not bound < BOUND:
            raise ArtifactRefused(FORM, f"the output may reach {bound:.3g}; below {BOUND:.3g}")
        return cls(weights=weights, intercept=intercept)

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """The output of each row, in units of 2^-16, one row after the other."""
        rows = matrix.tolist()  # float32 to float64 is exact
        return np.asarray([self.row(values) for values in rows], np.int64)

    def run_columns(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """The same integers for many rows: plain sums, and `row` where those cannot tell.

        A float64 sum of n products is off by at most n * 2^-53 of the sum of their sizes, `fsum` by
        half a unit in the last place. Unless a tie lies that near, both round to one integer.
        """
        total = np.full(len(matrix), self.intercept)
        size = np.abs(total)
        for weight, column in zip(self.weights, matrix.T, strict=True):
            product = column.astype(np.float64) * weight
            total += product
            size += np.abs(product, out=product)
        scaled = total * SCALE
        nearest = np.rint(scaled)
        error = (len(self.weights) + 2) * EPSILON * SCALE * size  # twice the bound
        doubt = np.flatnonzero(0.5 - np.abs(scaled - nearest) <= error)
        found = nearest.astype(np.int64)
        if len(doubt):
            found[doubt] = self.run(matrix[doubt])
        return found

    def row(self, values: Sequence[float]) -> int:
        """The output of one row of float32 values, in units of 2^-16."""
        products = [w * x for w, x in zip(self.weights, values, strict=True)]
        products.append(self.intercept)
        return round(math.fsum(products) * SCALE)


def encode_onnx(weights: Sequence[float], intercept: float) -> bytes:
    """The one ONNX file of these float32 numbers (onnx.proto, IR version 8)."""
    attributes = (
        text(1, "coefficients") + packed_floats(7, weights) + number(20, 6),
        text(1, "intercepts") + packed_floats(7, [intercept]) + number(20, 6),
        text(1, "targets") + number(3, 1) + number(20, 2),
        text(1, "post_transform") + text(4, "NONE") + number(20, 3),
    )
    node = (
        text(1, "features")
        + text(2, "margin")
        + text(3, "linear")
        + text(4, "LinearRegressor")
        + b"".join(part(5, attribute) for attribute in attributes)
        + text(7, "ai.onnx.ml")
    )
    return one_node(node, FORMAT, ("features", len(weights)), ("margin", 1))


def decode_onnx(data: bytes) -> tuple[tuple[float, ...], float]:
    """The numbers of a file that `encode_onnx` would write again, byte for byte."""
    template = encode_onnx([0.0] * WEIGHTS_MAX, 0.0)
    if len(data) > len(template) + 64:
        raise ArtifactRefused(FORM, f"{len(data)} bytes; at most {len(template) + 64}")
    at = data.find(_MARKER)
    try:
        if at < 0:
            raise ArtifactRefused(FORM, "no coefficients")
        weights, rest = _floats(data, at + len(_MARKER))
        intercepts, _ = _floats(data, data.index(b"intercepts", rest) + len(b"intercepts"))
    except (ValueError, IndexError, struct.error) as error:
        raise ArtifactRefused(FORM, "not one LinearRegressor") from error
    if not 0 < len(weights) <= WEIGHTS_MAX or len(intercepts) != 1:
        raise ArtifactRefused(FORM, f"expected 1 to {WEIGHTS_MAX} weights and one intercept")
    if encode_onnx(weights, intercepts[0]) != data:
        raise ArtifactRefused(FORM, "holds more than one LinearRegressor, or is written otherwise")
    return weights, intercepts[0]


def _floats(data: bytes, at: int) -> tuple[tuple[float, ...], int]:
    """A packed AttributeProto.floats (field 7) at a place, and where it ends."""
    if data[at] != 7 << 3 | 2:
        raise ValueError(at)
    size, shift, at = 0, 0, at + 1
    while True:
        byte = data[at]
        size |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80 or shift > 28:  # noqa: PLR2004 - a varint of at most 5 bytes
            break
    if size % 4 or at + size > len(data):
        raise ValueError(size)
    return struct.unpack(f"<{size // 4}f", data[at : at + size]), at + size
