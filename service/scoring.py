"""Score a book: a Parquet file of any length, chunk by chunk, each one batch of the ledger.

Nothing is recorded before every row has been read and could be encoded. What is decided is fixed
in `job.json` beside the output: the file's digest, the model by digest, the chunks. Each chunk is
recorded under an idempotency key made of these, and its answer is put on disk before the next one
is asked for. So a run that was killed goes on where it ended: a chunk recorded and not yet written
is answered from the log, and no row is decided twice, even if the output was deleted.

Beside the output OUT: OUT.job/ while it runs, OUT.receipts/ with one receipt per chunk. The output
holds, in the file's order, every column that is no input of the model, and prediction_id, decision,
each output, and the row's salt (docs/formats/batch.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import InputRefused
from service.batch import BatchAsk, score
from service.batch_body import column_of, is_number
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from models.runtime import Predictor
    from models.runtime.encoding import Column
    from service.assembly import Assembly
    from service.auth import Identity
    from service.batch import BatchAnswer

    Progress = Callable[[str, int, int], None]  # what is done, rows so far, rows in all

PIECE: Final = 1 << 20  # bytes of the file hashed at a time
OURS: Final = ("prediction_id", "decision", "salt")  # beside the model's outputs


class BookRefused(ServiceError):
    """A book cannot be scored as it is."""

    def __init__(self, book: Path, reason: str) -> None:
        super().__init__(422, "book-refused", f"{book}: {reason}")


@dataclass(frozen=True, slots=True)
class Job:
    """What a run decides. Two runs with the same job decide the same, once."""

    book_digest: str
    model_digest: str
    as_of: str | None
    rows: int
    chunk_rows: int
    subject: str

    def key(self, chunk: int) -> str:
        """The idempotency key of a chunk. The subject is a pseudonym, and not part of it."""
        parts = (self.book_digest, self.model_digest, self.as_of, self.chunk_rows, chunk)
        return hashlib.sha256(json.dumps(["assay score", *parts]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of it."""

    rows: int
    chunks: int
    resumed: int  # chunks that an earlier run had written
    decisions: Mapping[str, int]
    leaves: tuple[int, int]
    receipts: Path


@dataclass(frozen=True, slots=True)
class Book:
    """A Parquet file as a model reads it."""

    path: Path
    file: pq.ParquetFile
    inputs: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, predictor: Predictor) -> Book:
        """Refuses what is no Parquet file, or lacks the model's inputs as numbers."""
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            told = str(error).partition("\n")[0][:200]
            raise BookRefused(path, f"cannot be read as Parquet: {told}") from error
        schema, inputs = file.schema_arrow, predictor.feature_names
        missing = [name for name in inputs if name not in schema.names]
        if missing:
            raise BookRefused(path, f"lacks the model's inputs {', '.join(missing)}")
        for name in schema.names:
            if schema.names.count(name) > 1:
                raise BookRefused(path, f"has two columns {name}")
        for name in inputs:
            kind = schema.field(name).type
            if not is_number(kind):
                raise BookRefused(path, f"column {name} is {kind}, not numbers")
        others = tuple(name for name in schema.names if name not in inputs)
        taken = [name for name in others if name in {*OURS, *predictor.output_names}]
        if taken:
            raise BookRefused(path, f"has a column {taken[0]}, which the output needs; rename it")
        if not file.metadata.num_rows:
            raise BookRefused(path, "has no rows")
        return cls(path, file, inputs, others)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.file.metadata.num_rows)

    def chunks(self, rows: int, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """The file in chunks of exactly so many rows, the last one shorter."""
        held: list[pa.RecordBatch] = []
        count = 0
        for batch in self.file.iter_batches(batch_size=rows, columns=list(columns)):
            held.append(batch)
            count += batch.num_rows
            while count >= rows:
                table = pa.Table.from_batches(held)
                yield table.slice(0, rows).combine_chunks().to_batches()[0]
                held = table.slice(rows).to_batches()
                count -= rows
        if count:
            yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def score_book(
    house: Assembly,
    path: Path,
    output: Path,
    *,
    model: str,
    caller: Identity,
    as_of: str | None = None,
    subject: str | None = None,
    chunk_rows: int = 8192,
    progress: Progress = lambda *_: None,
) -> Scored:
    """Score a file into another. Raises BookRefused, ServiceError or ModelError."""
    work, receipts = (output.with_name(output.name + end) for end in (".job", ".receipts"))
    job = _known_job(work)
    ref = house.inventory.resolve(model)
    digest = ref.digest if job is None else job.model_digest
    predictor = house.inventory.predictor(digest)
    with closing(Book.open(path, predictor)) as book:
        wanted = Job(
            book_digest=_digest(path, progress),
            model_digest=digest,
            as_of=as_of,
            rows=book.rows,
            chunk_rows=chunk_rows,
            subject=subject or (job.subject if job else "sub_" + os.urandom(16).hex()),
        )
        if job is None:
            _check_all(book, predictor, chunk_rows, progress)
            _begin(work, wanted, output)
        elif job != wanted:
            differing = [k for k, v in asdict(job).items() if v != asdict(wanted)[k]]
            raise BookRefused(
                path,
                f"{work} belongs to an unfinished run with another {', '.join(differing)}. Finish "
                f"it as it was begun, or write elsewhere with --out; to give it up: rm -r {work}",
            )
        receipts.mkdir(parents=True, exist_ok=True)
        run = _Run(house, book, wanted, caller, work, receipts, predictor)
        return run.run(output, progress)


@dataclass(slots=True)
class _Run:
    house: Assembly
    book: Book
    job: Job
    caller: Identity
    work: Path
    receipts: Path
    predictor: Predictor
    resumed: int = 0

    def run(self, output: Path, progress: Progress) -> Scored:
        done = 0
        parts = []
        for number, batch in enumerate(
            self.book.chunks(self.job.chunk_rows, (*self.book.inputs, *self.book.others))
        ):
            part = self.work / f"{number:06d}.parquet"
            if part.exists():
                self.resumed += 1
            else:
                self._chunk(number, batch, part)
            parts.append(part)
            done += batch.num_rows
            progress("scoring", done, self.job.rows)
        decisions, leaves = _join(parts, output, progress, self.job.rows)
        shutil.rmtree(self.work)
        return Scored(
            rows=done,
            chunks=len(parts),
            resumed=self.resumed,
            decisions=decisions,
            leaves=leaves,
            receipts=self.receipts,
        )

    def _chunk(self, number: int, batch: pa.RecordBatch, part: Path) -> None:
        given = _columns(batch, self.book.inputs)
        answer = score(
            self.house,
            BatchAsk(
                model=self.job.model_digest,
                columns=given,
                caller=self.caller,
                idempotency_key=self.job.key(number),
                request_digest=self.job.key(number),
                subject=self.job.subject,
                as_of=self.job.as_of,
            ),
        )
        index = answer.appended.index
        receipt = json.dumps(answer.appended.receipt.to_json(), sort_keys=True) + "\n"
        _write(self.receipts / f"{index}.json", lambda p: p.write_text(receipt, encoding="utf-8"))
        table = _answered(batch, self.book.others, answer)
        _write(part, lambda place: pq.write_table(table, place))


def _known_job(work: Path) -> Job | None:
    """The job of a run that was not finished; None when there is none."""
    try:
        return Job(**json.loads((work / "job.json").read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise BookRefused(
            work, f"job.json cannot be read; give the run up: rm -r {work}"
        ) from error


def _begin(work: Path, job: Job, output: Path) -> None:
    if output.exists():
        raise BookRefused(output, "is there already; move it away or name another with --out")
    work.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(job), indent=2) + "\n"
    _write(work / "job.json", lambda place: place.write_text(text, encoding="utf-8"))


def _check_all(book: Book, predictor: Predictor, chunk_rows: int, progress: Progress) -> None:
    """Every row can be encoded: found out before anything is recorded."""
    done = 0
    for batch in book.chunks(chunk_rows, book.inputs):
        try:
            predictor.encode_columns(_columns(batch, book.inputs))
        except InputRefused as error:
            row = "" if error.row is None else f"row {done + error.row}, "
            told = f"{row}column {error.field}: {error.reason}; nothing was recorded"
            raise BookRefused(book.path, told) from error
        done += batch.num_rows
        progress("checking", done, book.rows)


def _columns(batch: pa.RecordBatch, names: tuple[str, ...]) -> dict[str, Column]:
    return {name: column_of(batch.column(batch.schema.get_field_index(name))) for name in names}


def _answered(batch: pa.RecordBatch, others: tuple[str, ...], answer: BatchAnswer) -> pa.Table:
    """The chunk's own columns, and the answer beside them."""
    table, columns, leaf = answer.table, answer.columns, answer.appended.index
    salts = table.salts.tobytes()
    found: dict[str, Any] = {
        name: batch.column(batch.schema.get_field_index(name)) for name in others
    }
    found["prediction_id"] = pa.array([f"{leaf}.{row}" for row in range(len(table))])
    found["decision"] = pa.array([columns.decisions[n] for n in table.decisions.tolist()])
    for place, name in enumerate(columns.outputs):
        found[name] = pa.array(table.outputs[:, place].copy())
    found["salt"] = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(table), [None, pa.py_buffer(salts)]
    )
    return pa.table(found)


def _join(
    parts: list[Path], output: Path, progress: Progress, rows: int
) -> tuple[dict[str, int], tuple[int, int]]:
    """Put the parts together; decisions counted, first and last leaf."""
    counts: dict[str, int] = {}
    leaves: list[int] = []

    def write(place: Path) -> None:
        done = 0
        with pq.ParquetWriter(place, pq.read_schema(parts[0])) as writer:
            for part in parts:
                table = pq.read_table(part)
                writer.write_table(table)
                for item in table.column("decision").value_counts().to_pylist():
                    counts[item["values"]] = counts.get(item["values"], 0) + item["counts"]
                leaves.append(int(table.column("prediction_id")[0].as_py().partition(".")[0]))
                done += table.num_rows
                progress("writing", done, rows)

    _write(output, write)
    return counts, (min(leaves), max(leaves))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """A file, whole or not at all, on disk when this returns."""
    draft = path.with_name(path.name + ".part")
    write(draft)
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.replace(path)
    place = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _digest(path: Path, progress: Progress) -> str:
    hashed, size, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashed.update(piece)
            done += len(piece)
            progress("reading", done, size)
    return "sha256:" + hashed.hexdigest()
