"""Read the Universal Binary JSON that xgboost writes (UBJSON draft 12). Bounded, and runs no code.

Typed arrays come back as numpy arrays, everything else as dict, list, str, int, float, bool or
None. Refused: more bytes, depth or items than the limits below, a container that claims more items
than bytes are left, a key twice, unknown markers, and anything after the end.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ArtifactRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES_MAX: Final = 16 << 20  # 150 trees of depth 4 take 240 kB
DEPTH_MAX: Final = 16  # xgboost nests 7 deep
ITEMS_MAX: Final = 100_000  # of all objects and untyped arrays together; 200 trees have 4,000

_NUMBERS: Final = {
    b"i": ">i1",
    b"U": ">u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
_CODES: Final = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_WORDS: Final = {b"T": True, b"F": False, b"Z": None}


def parse_ubjson(data: bytes) -> Any:  # noqa: ANN401 - a document has no one type
    """The one value in `data`. Raises ArtifactRefused, naming the byte."""
    if len(data) > BYTES_MAX:
        raise ArtifactRefused("UBJSON", f"{len(data)} bytes; at most {BYTES_MAX}")
    cursor = _Cursor(data)
    value = cursor.value(cursor.take(1), DEPTH_MAX)
    if cursor.at != len(data):
        raise cursor.refuse("bytes after the end")
    return value


class _Cursor:
    """A place in the bytes, and what is left of the budget of items."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._items = ITEMS_MAX
        self.at = 0

    def refuse(self, reason: str) -> ArtifactRefused:
        return ArtifactRefused("UBJSON", f"byte {self.at}: {reason}")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise self.refuse(f"{count} bytes are wanted, the data ends before")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def value(self, marker: bytes, depth: int) -> Any:  # noqa: ANN401
        """The value after its marker."""
        if marker in _CODES:
            code = ">" + _CODES[marker]
            return struct.unpack(code, self.take(struct.calcsize(code)))[0]
        if marker in _WORDS:
            return _WORDS[marker]
        if marker == b"S":
            return self._text()
        if marker in {b"{", b"["}:
            if depth == 0:
                raise self.refuse(f"nested deeper than {DEPTH_MAX}")
            return self._object(depth - 1) if marker == b"{" else self._array(depth - 1)
        raise self.refuse("unknown marker")

    def _text(self) -> str:
        try:
            return self.take(self._count(self.take(1))).decode()
        except UnicodeDecodeError as error:
            raise self.refuse("text is not UTF-8") from error

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (marker := self.take(1)) != b"}":
            self._spend()
            size = self._count(marker)
            try:
                key = self.take(size).decode()
            except UnicodeDecodeError as error:
                raise self.refuse("a key is not UTF-8") from error
            if key in found:
                raise self.refuse("a key is given twice")
            found[key] = self.value(self.take(1), depth)
        return found

    def _array(self, depth: int) -> list[Any] | NDArray[Any]:
        marker = self.take(1)
        if marker == b"$":
            return self._typed()
        if marker == b"#":
            return [self._item(self.take(1), depth) for _ in range(self._count(self.take(1)))]
        found = []
        while marker != b"]":
            found.append(self._item(marker, depth))
            marker = self.take(1)
        return found

    def _typed(self) -> NDArray[Any]:
        kind = self.take(1)
        if kind not in _NUMBERS or self.take(1) != b"#":
            raise self.refuse("a typed array is not of numbers with a count")
        dtype = np.dtype(_NUMBERS[kind])
        count = self._count(self.take(1))
        return np.frombuffer(self.take(count * dtype.itemsize), dtype=dtype)

    def _item(self, marker: bytes, depth: int) -> Any:  # noqa: ANN401
        self._spend()
        return self.value(marker, depth)

    def _count(self, marker: bytes) -> int:
        """A length: a non-negative integer no larger than the bytes that are left."""
        if marker not in _CODES or marker in {b"d", b"D"}:
            raise self.refuse("a length is not an integer")
        count = int(self.value(marker, 0))
        if not 0 <= count <= len(self._data) - self.at:
            raise self.refuse(f"a length of {count}, with {len(self._data) - self.at} bytes left")
        return count

    def _spend(self) -> None:
        self._items -= 1
        if self._items < 0:
            raise self.refuse(f"more than {ITEMS_MAX} items")
