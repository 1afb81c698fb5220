"""ONNX files, written: the shapes of a protocol buffer, and a model of one node (onnx.proto).

A field is its number and wire type as a varint, then a varint, or a length and bytes. Nothing is
read here: `linear.py` takes the numbers out of a file and compares with what is written again.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BYTES = 2  # wire type of everything with a length


def text(field: int, value: str) -> bytes:
    """A string."""
    return part(field, value.encode())


def part(field: int, data: bytes) -> bytes:
    """Bytes, or a message inside another."""
    return varint(field << 3 | _BYTES) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    """A non-negative integer."""
    return varint(field << 3) + varint(value)


def packed_floats(field: int, values: Sequence[float]) -> bytes:
    """Float32 numbers one after the other."""
    return part(field, struct.pack(f"<{len(values)}f", *values))


def packed_numbers(field: int, values: Iterable[int]) -> bytes:
    """Non-negative integers one after the other."""
    return part(field, b"".join(map(varint, values)))


def one_node(node: bytes, name: str, given: tuple[str, int], found: tuple[str, int]) -> bytes:
    """A ModelProto (IR version 8) of one node; its input and output by name and columns."""
    graph = part(1, node) + text(2, name) + part(11, _tensor(*given)) + part(12, _tensor(*found))
    opsets = (text(1, "") + number(2, 13), text(1, "ai.onnx.ml") + number(2, 1))
    return (
        number(1, 8)
        + text(2, "assay")
        + part(7, graph)
        + b"".join(part(8, opset) for opset in opsets)
    )


def _tensor(name: str, columns: int) -> bytes:
    """A ValueInfoProto: float tensor of shape [N, columns]."""
    shape = part(1, text(2, "N")) + part(1, number(1, columns))
    tensor = number(1, 1) + part(2, shape)
    return text(1, name) + part(2, part(1, tensor))


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    if value < 0x80:  # noqa: PLR2004 - nearly all of them
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = [bytes([value]) for value in range(0x80)]
