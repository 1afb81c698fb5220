"""What a batch may look like on the wire, read bounded: Arrow IPC streams, and JSON by columns.

Arrow (`application/vnd.apache.arrow.stream`) is read message by message off the request, so a body
past a limit is left where it is. Refused, each in words that name the column: types that are no
plain numbers, dictionaries, compressed bodies (a kilobyte could stand for a gigabyte), a column
given twice, batches whose buffers do not hold what their header claims. A null is a missing value.

pyarrow's quirks, kept here: it trusts a stream until it is asked to validate it, so nothing is read
out of a batch before `validate(full=True)`; it decompresses before anyone can look, so compression
is found in the message's flatbuffer first; a length in a header is allocated as it stands, so no
single read may exceed what is left of the limit.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pyarrow as pa

from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from models.runtime.encoding import Column

ARROW: Final = "application/vnd.apache.arrow.stream"
_RECORD_BATCH: Final = 3  # MessageHeader of Message.fbs
_COMPRESSION: Final = 3  # the field of RecordBatch that names a codec
NAMES_SHOWN: Final = 80


class Body:
    """A request's body, read in pieces, counted and hashed as it comes."""

    def __init__(self, stream: IO[bytes], *, most: int, digest_of: bytes | None) -> None:
        """`digest_of` is hashed before the body; without it nothing is hashed."""
        self._stream = stream
        self._most = most
        self._left = most
        self._hash = None if digest_of is None else hashlib.sha256(digest_of)
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises ServiceError 413 when more are asked for than may come."""
        wanted = self._left + 1 if size is None or size < 0 else size
        if wanted > self._left + (size is None or size < 0):
            self._too_large()
        found = []
        while wanted:
            piece = self._stream.read(wanted)
            if not piece:
                break
            found.append(piece)
            wanted -= len(piece)
        data = b"".join(found)
        if len(data) > self._left:
            self._too_large()
        self._left -= len(data)
        if self._hash is not None:
            self._hash.update(data)
        return data

    def digest(self) -> str | None:
        """SHA-256 of what was given first and all that was read, in hex."""
        return None if self._hash is None else self._hash.hexdigest()

    def _too_large(self) -> NoReturn:
        raise ServiceError(
            413, "body-too-large", f"a batch has at most {self._most} bytes; send it in parts"
        )

    # What pyarrow asks of a file beside `read`.

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """Let go of it; whoever made the stream closes that."""
        self.closed = True


def read_arrow(body: Body, *, rows_max: int) -> dict[str, Column]:
    """The columns of an Arrow IPC stream, all its batches together. Raises ServiceError."""
    try:
        return _read_arrow(body, rows_max)
    except (pa.ArrowException, OSError, EOFError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise ServiceError(
            400, "malformed-arrow", f"the body is no Arrow stream: {reason}"
        ) from error


def _read_arrow(body: Body, rows_max: int) -> dict[str, Column]:
    messages = pa.ipc.MessageReader.open_stream(pa.PythonFile(body, "r"))
    first = _next(messages)
    if first is None or first.type != "schema":
        raise FieldRefused("body", "an Arrow stream begins with its schema")
    schema = pa.ipc.read_schema(first)
    _check_schema(schema)
    rows, batches = 0, []
    while (message := _next(messages)) is not None:
        if message.type != "record batch":
            raise FieldRefused("body", f"holds a {message.type}; send plain record batches")
        if _is_compressed(message.metadata.to_pybytes()):
            raise FieldRefused("body", "is compressed; send it without compression")
        batch = pa.ipc.read_record_batch(message, schema)
        rows += batch.num_rows
        if rows > rows_max:
            raise FieldRefused("rows", f"more than {rows_max} rows")
        batch.validate(full=True)
        batches.append([column_of(column) for column in batch.columns])
    if not rows:
        raise FieldRefused("rows", "at least one row is needed")
    return {
        name: _joined([batch[place] for batch in batches])
        for place, name in enumerate(schema.names)
    }


def _next(messages: pa.ipc.MessageReader) -> Any:  # noqa: ANN401 - pyarrow ships no types
    try:
        return messages.read_next_message()
    except StopIteration:
        return None


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds plain numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _check_schema(schema: pa.Schema) -> None:
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise FieldRefused(f"columns.{name[:NAMES_SHOWN]}", "is given twice")
    for field in schema:
        if not is_number(field.type):
            reason = f"expected whole or floating-point numbers, not {str(field.type)[:40]}"
            raise FieldRefused(f"columns.{field.name[:NAMES_SHOWN]}", reason)


def column_of(column: pa.Array) -> Column:
    """A column of plain numbers; a null is a missing value."""
    missing = None
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        column = column.fill_null(0)
    values = column.to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False), missing


def _joined(pieces: list[Column]) -> Column:
    if len(pieces) == 1:
        return pieces[0]
    values = np.concatenate([values for values, _ in pieces])
    if all(missing is None for _, missing in pieces):
        return values, None
    masks = [np.zeros(len(v), np.bool_) if m is None else m for v, m in pieces]
    return values, np.concatenate(masks)


def _is_compressed(message: bytes) -> bool:
    """Whether a record batch's flatbuffer names a codec (Message.fbs; FlatBuffers internals)."""
    try:
        table = struct.unpack_from("<I", message, 0)[0]
        kind, header = _field(message, table, 1), _field(message, table, 2)
        if not kind or message[kind] != _RECORD_BATCH or not header:
            return True  # not what pyarrow said it is: nothing of it is believed
        batch = header + struct.unpack_from("<I", message, header)[0]
        return bool(_field(message, batch, _COMPRESSION))
    except (struct.error, IndexError):
        return True


def _field(data: bytes, table: int, number: int) -> int:
    """Where a table's field lies; 0 when it is not there."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    at = 4 + 2 * number
    if vtable < 0 or at + 2 > struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, vtable + at)[0]
    return table + offset if offset else 0


# --- JSON ------------------------------------------------------------------------------------


def read_json(body: Body, loads: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - any JSON
    """The body as JSON, by a parser that takes no name twice. Raises ServiceError."""
    try:
        return loads(body.read())
    except (ValueError, RecursionError) as error:
        raise ServiceError(400, "malformed-json", f"the body is not JSON: {error}") from error


def columns_of(given: Mapping[str, list[Any]], *, rows_max: int) -> dict[str, Column]:
    """Lists of numbers and nulls as columns of one length. Raises FieldRefused."""
    found: dict[str, Column] = {}
    rows = None
    for name, values in given.items():
        field = f"columns.{name[:NAMES_SHOWN]}"
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            raise FieldRefused(field, f"{len(values)} values where the first column has {rows}")
        if rows > rows_max:
            raise FieldRefused("rows", f"more than {rows_max} rows")
        if not set(map(type, values)) <= {int, float, type(None)}:
            row = next(i for i, v in enumerate(values) if type(v) not in {int, float, type(None)})
            raise FieldRefused(f"rows.{row}.{name[:NAMES_SHOWN]}", "expected a number or null")
        try:
            array = np.asarray(values, np.float64)
        except OverflowError:
            raise FieldRefused(field, "a number is too large") from None
        missing = None
        if None in values:
            missing = np.asarray([value is None for value in values])
            array[missing] = 0
        found[name] = array, missing
    if not rows:
        raise FieldRefused("rows", "at least one row is needed")
    return found
