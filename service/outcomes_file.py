"""Outcomes in a file, CSV or Parquet: read a few hundred rows at a time, each with its line.

Columns are those of `POST /v1/outcomes`: `prediction_id`, `value`, `observed_at`, and perhaps
`revises` and `reason`; an unknown one is refused, so a misspelt name never passes for an absent
one. Everything is text: `1` and `1.0` are two values. CSV is RFC 4180 in UTF-8, with a header, with
or without a byte-order mark. A Parquet column may be text, whole numbers, or exact decimals; a
binary float is refused, because the text of one is somebody's choice. An empty cell is none.

pyarrow's Parquet reader is wrapped here: it maps files by name or takes a file object, and raises
`ArrowException`, `OSError` or `ValueError` for a damaged one. Pages are checked against their CRC
where the writer stored one.
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from service.api.schemas import Outcome
from service.errors import ServiceError, from_validation
from service.outcomes import Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REQUIRED: Final = ("prediction_id", "value", "observed_at")
COLUMNS: Final = (*REQUIRED, "revises", "reason")
CELL_MAX: Final = 4096  # characters; a reason has at most 500
READ_ROWS: Final = 500  # at a time: what one query looks up
PARQUET_MAX: Final = 1 << 30  # bytes once decompressed, as the file states them
MAGIC: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a file: its place, and the outcome in it or what is wrong with it."""

    number: int  # as an editor counts, the header being line 1; in Parquet the row, from 1
    prediction_id: str
    observed: Observed | None
    field: str = ""
    reason: str = ""


class FileRefused(ServiceError):
    """The file as a whole cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(422, "file-refused", f"the file is refused: {reason}", (("file", reason),))


def is_parquet(file: IO[bytes]) -> bool:
    """By its first bytes; the file is left at its start."""
    found = file.read(len(MAGIC)) == MAGIC
    file.seek(0)
    return found


def read_lines(file: IO[bytes]) -> Iterator[Line]:
    """Every row of a file, from its start. Raises FileRefused."""
    file.seek(0)
    rows = _parquet(file) if is_parquet(file) else _csv(file)
    for number, row in rows:
        yield _line(number, row)


def count_rows(path: Path) -> int | None:
    """How many rows a file will have, for a progress bar: exact for Parquet, lines for CSV."""
    with path.open("rb") as file:
        if is_parquet(file):
            with _damage():
                import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

                return int(pq.ParquetFile(file).metadata.num_rows)
        return max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")))


def _line(number: int, row: Mapping[str, Any]) -> Line:
    name = str(row.get("prediction_id") or "")[:64]
    given = {key: value for key, value in row.items() if value is not None}
    revises = given.get("revises")
    if isinstance(revises, str) and revises.isascii() and revises.isdigit() and len(revises) < 16:  # noqa: PLR2004 - 2^53 has 16 digits
        given["revises"] = int(revises)
    try:
        found = Outcome.model_validate(given)
    except ValidationError as error:
        field, reason = from_validation(error).fields[0]
        return Line(number, name, None, field, reason)
    return Line(number, found.prediction_id, Observed(**found.model_dump()))


def _csv(file: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = _decoded(file)
    try:
        reader = csv.reader(lines, strict=True)
        header = next(reader, None)
        _check_columns(header or [])
        names = header or []
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                told = f"line {reader.line_num} has {len(cells)} cells, the header {len(names)}"
                raise FileRefused(told)
            if max(map(len, cells)) > CELL_MAX:
                raise FileRefused(f"line {reader.line_num} has a cell over {CELL_MAX} characters")
            yield reader.line_num, {n: c or None for n, c in zip(names, cells, strict=True)}
    except csv.Error as error:
        raise FileRefused(f"line {reader.line_num} is no CSV: {error}") from error


def _decoded(file: IO[bytes]) -> Iterator[str]:
    for number, raw in enumerate(iter(lambda: file.readline(8 * CELL_MAX), b""), 1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise FileRefused(f"line {number} is not UTF-8") from error
        if "\0" in text:
            raise FileRefused(f"line {number} holds a zero byte")
        yield text


def _parquet(file: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    with _damage():
        opened = pq.ParquetFile(file, page_checksum_verification=True)
        groups = range(opened.metadata.num_row_groups)
        if sum(opened.metadata.row_group(g).total_byte_size for g in groups) > PARQUET_MAX:
            raise FileRefused(f"it decompresses to more than {PARQUET_MAX} bytes; cut it in two")
        schema = opened.schema_arrow
        _check_columns(schema.names)
        for column in schema:
            kind = column.type
            exact = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            exact = exact or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
            exact = exact or pa.types.is_null(kind)
            if not exact:
                told = "text, whole numbers or exact decimals are read"
                raise FileRefused(f"column {column.name} is {kind}; {told}")
        number = 0
        for batch in opened.iter_batches(batch_size=READ_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, {name: _text(name, value) for name, value in row.items()}


def _text(name: str, value: object) -> object:
    if value is None or value == "" or (name == "revises" and isinstance(value, int)):
        return value or (value if value == 0 else None)
    return str(value) if isinstance(value, str | int) else f"{value:f}"


@contextmanager
def _damage() -> Iterator[None]:
    """Anything a damaged file can make the reader raise, as one refusal."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        if isinstance(error, ServiceError):
            raise
        raise FileRefused("it is no Parquet file, or damaged") from error


def _check_columns(names: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name[:64] for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        told = f"missing {', '.join(missing)}" if missing else ""
        told = told or (f"unknown {', '.join(unknown)}" if unknown else "a column stands twice")
        raise FileRefused(f"columns are {', '.join(COLUMNS)}: {told}")
