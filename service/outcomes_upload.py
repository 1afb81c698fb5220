"""A file of outcomes, recorded: every row checked first, then recorded in commits of a thousand.

1. **Check.** Every row is read and held against the log. One that cannot be recorded is an error
   with its line; with any error nothing at all is recorded.
2. **Record.** What is new is appended, `UPLOAD_ROWS` a commit; a file of so many rows or fewer is
   one commit, all or nothing. What the log holds word for word already is skipped, so an upload
   that was interrupted anywhere, by a full disk or by kill -9, is finished by sending it again.

Between the two somebody else may record an outcome of one of these rows. Its commit is then refused
by the condition it carries, checked again, and if the row is now a contradiction the upload stops
there and says so: rows of earlier commits stay, as they would have been recorded alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from ledger.errors import Overtaken
from service.errors import FIELDS_SHOWN, ServiceError
from service.outcomes import append_outcomes, check_outcome, outcome_draft
from service.outcomes_file import READ_ROWS, FileRefused, Line, read_lines
from service.outcomes_known import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.record import Draft
    from service.assembly import Assembly
    from service.outcomes import Observed

UPLOAD_ROWS: Final = 1000  # of one commit, as many as of one request
ROWS_MAX: Final = 5_000_000  # of one file; their ids are held in memory, about 100 bytes each
ERRORS_KEPT: Final = 10_000  # of one file; whoever has more has one mistake in all of them


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one row. It never repeats a value."""

    line: int
    prediction_id: str
    field: str
    message: str


@dataclass(slots=True)
class Checked:
    """A whole file held against the log; nothing recorded yet."""

    rows: int = 0
    new: int = 0
    repeated: int = 0
    error_count: int = 0
    errors: list[RowError] = field(default_factory=list)

    def fail(self, line: Line, name: str, message: str) -> None:
        """Count an error, and keep it if there is room."""
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(RowError(line.number, line.prediction_id, name, message))


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of a file."""

    rows: int
    recorded: int
    repeated: int
    first_leaf: int | None
    last_leaf: int | None


class UploadRefused(ServiceError):
    """Rows of the file cannot be recorded. `recorded` rows were, before the log moved on."""

    def __init__(self, checked: Checked, recorded: int = 0) -> None:
        first = checked.errors[0]
        done = f"{recorded} rows of earlier commits stay" if recorded else "nothing is recorded"
        super().__init__(
            422,
            "upload-refused",
            f"{checked.error_count} of {checked.rows} rows cannot be recorded, so {done}; first: "
            f"line {first.line}, {first.field}: {first.message}",
            tuple((f"line {e.line}.{e.field}", e.message) for e in checked.errors[:FIELDS_SHOWN]),
            members={"error_count": checked.error_count, "recorded": recorded},
        )
        self.checked = checked


def check_file(
    assembly: Assembly, file: IO[bytes], progress: Callable[[int], None] | None = None
) -> Checked:
    """Hold every row of a file against the log. Raises FileRefused."""
    found = Checked()
    seen: dict[str, int] = {}
    for lines in _pieces(read_lines(file), READ_ROWS):
        if found.rows + len(lines) > ROWS_MAX:
            raise FileRefused(f"more than {ROWS_MAX} rows; cut it in two")
        found.rows += len(lines)
        _judge(assembly, lines, found, seen)
        if progress is not None:
            progress(len(lines))
    return found


def upload(
    assembly: Assembly,
    file: IO[bytes],
    *,
    actor_id: str,
    checking: Callable[[int], None] | None = None,
    recording: Callable[[int], None] | None = None,
) -> Uploaded:
    """Check a whole file, then record it. Raises UploadRefused or FileRefused."""
    checked = check_file(assembly, file, checking)
    if checked.error_count:
        raise UploadRefused(checked)
    recorded, leaves = 0, []
    for lines in _pieces(read_lines(file), UPLOAD_ROWS):
        done = _record(assembly, lines, actor_id, recorded=recorded)
        leaves += [done[0], done[-1]] if done else []
        recorded += len(done)
        if recording is not None:
            recording(len(lines))
    return Uploaded(
        rows=checked.rows,
        recorded=recorded,
        repeated=checked.rows - recorded,
        first_leaf=min(leaves, default=None),
        last_leaf=max(leaves, default=None),
    )


def _judge(
    assembly: Assembly, lines: Sequence[Line], found: Checked, seen: dict[str, int]
) -> list[tuple[Observed, str]]:
    """Count what each row is; the new ones with their kind."""
    new = []
    known = Known(assembly, [line.prediction_id for line in lines if line.observed])
    for line in lines:
        item = line.observed
        if item is None:
            found.fail(line, line.field, line.reason)
            continue
        first = seen.setdefault(item.prediction_id, line.number)
        if first != line.number:
            found.fail(line, "prediction_id", f"named before, in line {first}")
            continue
        if known.is_repeated(item):
            found.repeated += 1
            continue
        try:
            kind = check_outcome(assembly, known, item)
        except ServiceError as error:
            name, reason = error.fields[0] if error.fields else ("prediction_id", error.detail)
            told = f"has an outcome; {reason}" if error.code == "outcome-exists" else reason
            found.fail(line, name, told)
            continue
        found.new += 1
        new.append((item, kind))
    return new


def _record(
    assembly: Assembly, lines: Sequence[Line], actor_id: str, *, recorded: int
) -> list[int]:
    """One commit of what is new among some lines; the leaves."""
    while True:
        since = assembly.ledger.size
        checked = Checked(rows=len(lines))
        new = _judge(assembly, lines, checked, {})
        if checked.error_count:
            raise UploadRefused(checked, recorded)
        drafts: list[Draft] = [
            outcome_draft(assembly, item, kind=kind, actor_id=actor_id) for item, kind in new
        ]
        try:
            return [done.index for done in append_outcomes(assembly, drafts, since=since)]
        except Overtaken:
            continue  # somebody recorded one of these rows: look again


def _pieces(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    piece: list[Line] = []
    for line in lines:
        piece.append(line)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
