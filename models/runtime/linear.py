"""Format linear-q16/v1: weights and an intercept in float32, as an ONNX LinearRegressor.

The product of two float32 numbers is exact in float64, and `math.fsum` adds without error and
rounds once at the end, so the order of the features and the machine's vector units do not matter.
The sum is then rounded to the nearest multiple of 2^-16, ties to even. No BLAS.

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORM: Final = "ONNX linear"
WEIGHTS_MAX: Final = 256
BOUND: Final = float(1 << 24)  # of |output|, so that 2^16 times it is far below 2^53
SCALE: Final = float(1 << 16)
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
        """The output of each row, in units of 2^-16."""
        rows = matrix.tolist()  # float32 to float64 is exact
        return np.asarray([self.row(values) for values in rows], np.int64)

    def row(self, values: Sequence[float]) -> int:
        """The output of one row of float32 values, in units of 2^-16."""
        products = [w * x for w, x in zip(self.weights, values, strict=True)]
        products.append(self.intercept)
        return round(math.fsum(products) * SCALE)


def encode_onnx(weights: Sequence[float], intercept: float) -> bytes:
    """The one ONNX file of these float32 numbers (onnx.proto, IR version 8)."""
    attributes = (
        _text(1, "coefficients") + _packed_floats(weights) + _number(20, 6),
        _text(1, "intercepts") + _packed_floats([intercept]) + _number(20, 6),
        _text(1, "targets") + _number(3, 1) + _number(20, 2),
        _text(1, "post_transform") + _text(4, "NONE") + _number(20, 3),
    )
    node = (
        _text(1, "features")
        + _text(2, "margin")
        + _text(3, "linear")
        + _text(4, "LinearRegressor")
        + b"".join(_part(5, attribute) for attribute in attributes)
        + _text(7, "ai.onnx.ml")
    )
    graph = (
        _part(1, node)
        + _text(2, "linear-q16/v1")
        + _part(11, _value("features", len(weights)))
        + _part(12, _value("margin", 1))
    )
    opsets = (_text(1, "") + _number(2, 13), _text(1, "ai.onnx.ml") + _number(2, 1))
    return (
        _number(1, 8)
        + _text(2, "assay")
        + _part(7, graph)
        + b"".join(_part(8, opset) for opset in opsets)
    )


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


def _packed_floats(values: Sequence[float]) -> bytes:
    return _part(7, struct.pack(f"<{len(values)}f", *values))


def _value(name: str, columns: int) -> bytes:
    """A ValueInfoProto: float tensor of shape [N, columns]."""
    shape = _part(1, _text(2, "N")) + _part(1, _number(1, columns))
    tensor = _number(1, 1) + _part(2, shape)
    return _text(1, name) + _part(2, _part(1, tensor))


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
