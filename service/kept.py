"""What monitoring read before, kept: closed spans of the log as columns, so no day is read twice.

A span is 65,536 entries. Once the log is past it, what monitoring reads of it (predictions with
their inputs, outcomes) is kept in one file under `kept/` in the house, encrypted under the house's
key like the openings it was read from. A report reads kept spans and the rest of the log, and gives
the same bytes as one that reads all of the log; every file can be deleted at any time.

**Erasure.** A file that holds a row erased later is overwritten and deleted, by the erasure itself
and by whoever reads next, and made again without the row. A copy in a backup stays until the backup
goes, as it does for the database.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ledger.columnar import COLUMNS, PART_ROWS, Columns
from ledger.errors import LedgerError
from ledger.record import parse_row, row_bytes, unsigned_body
from monitoring.columns import Outcomes, Predictions, Texts
from monitoring.source import Outcome, Prediction
from service.batch_rows import unpack
from service.judged import judged_columns, judged_row
from service.views import NOT_INTEGERS, float_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ledger.commitment import Opening
    from monitoring.columns import Ints
    from service.assembly import Assembly

SPAN: Final = 1 << 16  # entries of a file: a day of 30,000 decisions with their outcomes
FOLDER: Final = "kept"
_INTS: Final = ("of_leaf", "of_row", "leaf", "revises")
_TEXTS: Final = ("value", "observed_at", "arrived_at")


@dataclass(slots=True)
class Span:
    """What monitoring reads of some entries."""

    predictions: dict[str, Predictions] = field(default_factory=dict)  # by model digest
    leaves: dict[str, Ints] = field(default_factory=dict)  # of every prediction, erased ones too
    outcomes: Outcomes = field(default_factory=lambda: Outcomes.of([]))


def spans(assembly: Assembly, last: int, *, afresh: bool) -> Iterator[Span]:
    """Everything up to and including leaf `last`, kept spans from their files unless `afresh`."""
    whole = (last + 1) // SPAN
    erased = {} if afresh else _erasures(assembly)
    for number in range(whole):
        first = number * SPAN
        if afresh:
            yield read(assembly, first, first + SPAN)
        else:
            yield _kept(assembly, number, erased.get(number, -1))
    if whole * SPAN <= last:
        yield read(assembly, whole * SPAN, last + 1)


def forget(assembly: Assembly, leaves: Iterable[int]) -> None:
    """Overwrite and delete the files that hold any of these entries."""
    for number in sorted({leaf // SPAN for leaf in leaves}):
        _destroy(_path(assembly, number))


def read(assembly: Assembly, first: int, end: int) -> Span:
    """Read entries [first, end) from the log and the vault."""
    openings = groupby(assembly.vault.open_range(first, end), key=lambda pair: pair[0])
    waiting = next(openings, None)
    parts: dict[str, list[Predictions]] = {}
    single: dict[str, list[Prediction]] = {}
    outcomes: list[Outcome] = []
    leaves: dict[str, list[int]] = {}
    for stored in assembly.ledger.entries(first=first, limit=end - first):
        while waiting is not None and waiting[0] < stored.index:
            waiting = next(openings, None)
        body = unsigned_body(stored.entry)
        if body["type"] not in {"prediction", "outcome"}:
            continue
        here: list[Opening] = []
        if waiting is not None and waiting[0] == stored.index:
            here = [opening for _, opening in waiting[1]]
        data = body["data"]
        if body["type"] == "outcome":
            outcomes += [_outcome(stored.index, body, opening) for opening in here]
            continue
        digest = data["model_digest"]
        leaves.setdefault(digest, []).append(stored.index)
        if COLUMNS in data:
            parts.setdefault(digest, []).append(Predictions.of(single.pop(digest, []), digest))
            parts[digest] += _batch(assembly, stored.index, body)
        else:
            single.setdefault(digest, []).extend(_rows(assembly, stored.index, body, here))
    for digest, rows in single.items():
        parts.setdefault(digest, []).append(Predictions.of(rows, digest))
    joined = {digest: Predictions.joined(found, digest) for digest, found in parts.items()}
    every = {digest: np.asarray(found, np.int64) for digest, found in leaves.items()}
    return Span(joined, every, Outcomes.of(outcomes))


def _rows(
    assembly: Assembly, leaf: int, body: Mapping[str, Any], here: Sequence[Opening]
) -> Iterator[Prediction]:
    data = body["data"]
    leaves = assembly.ledger.rows(leaf) if data["row_count"] > 1 else [row_bytes(data["row"])]
    for opening in here:
        index = opening.row_index
        yield Prediction(
            prediction_id=f"{leaf}.{index}",
            leaf_index=leaf,
            row_index=index,
            model_digest=data["model_digest"],
            as_of=data["as_of"],
            predicted_at=body["event_time"],
            outputs=judged_row(
                {
                    name: int(given.value)
                    for name, given in opening.outputs.items()
                    if name not in NOT_INTEGERS
                }
            ),
            decision=parse_row(leaves[index])["decision"],
            features={name: number(given.value) for name, given in opening.inputs.items()},
        )


def _batch(assembly: Assembly, leaf: int, body: Mapping[str, Any]) -> Iterator[Predictions]:
    """The parts of a batch that are not erased, without a Python object per row."""
    data = body["data"]
    columns = Columns.of(data)
    for part, records in assembly.vault.open_parts(leaf):
        table = unpack(columns, records)
        n = len(table.inputs)
        zeros, always = np.zeros(n, np.int64), np.ones(n, bool)
        outputs = {name: table.outputs[:, at] for at, name in enumerate(columns.outputs)}
        judged = judged_columns(outputs)
        as_of = data["as_of"]
        yield Predictions(
            model_digest=data["model_digest"],
            leaf=np.full(n, leaf, np.int64),
            row=np.arange(n, dtype=np.int64) + part * PART_ROWS,
            as_of=Texts([as_of], zeros) if as_of is not None else Texts([], zeros - 1),
            predicted_at=Texts([body["event_time"]], zeros),
            decision=Texts(list(columns.decisions), table.decisions.astype(np.int64)),
            outputs=judged,
            outputs_given=dict.fromkeys(judged, always),
            features={name: table.inputs[:, at] for at, name in enumerate(columns.inputs)},
        )


def _outcome(leaf: int, body: Mapping[str, Any], opening: Opening) -> Outcome:
    data = body["data"]
    return Outcome(
        prediction_id=f"{data['prediction_leaf']}.{data['row_index']}",
        leaf_index=leaf,
        value=opening.outputs["value"].value,
        observed_at=data["observed_at"],
        arrived_at=body["event_time"],
        revises=data["revises"],
    )


def number(pattern: str) -> float | None:
    """A float32 from its hex digits; None for one that is missing."""
    value = float_of(pattern)
    return None if value != value else value  # noqa: PLR0124 - NaN means missing


# --- files -----------------------------------------------------------------------------------


def _kept(assembly: Assembly, at: int, erased_at: int) -> Span:
    """A span from its file; made again when there is none, or a row of it was erased since."""
    path = _path(assembly, at)
    try:
        made_at, span = _parse(assembly.vault.unlock(path.name, path.read_bytes()))
        if made_at > erased_at:
            return span
    except (OSError, LedgerError, ValueError, KeyError):
        pass  # none, or of another key or form: the log has everything
    _destroy(path)
    size = assembly.ledger.size
    span = read(assembly, at * SPAN, (at + 1) * SPAN)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(assembly.vault.lock(path.name, _bytes(size, span)))
    beside.chmod(0o600)
    beside.replace(path)
    return span


def _erasures(assembly: Assembly) -> dict[int, int]:
    """The newest erasure that touched each span."""
    found: dict[int, int] = {}
    for stored in assembly.ledger.entries(type="erasure"):
        for name in unsigned_body(stored.entry)["data"]["rows"]:
            found[int(name.partition(".")[0]) // SPAN] = stored.index
    return found


def _path(assembly: Assembly, at: int) -> Path:
    return assembly.settings.data_dir / FOLDER / f"span-{at:08d}.v1"


def _destroy(path: Path) -> None:
    try:
        with path.open("r+b") as held:
            held.write(b"\0" * path.stat().st_size)
            held.flush()
            os.fsync(held.fileno())
        path.unlink()
    except FileNotFoundError:
        return


def _bytes(size: int, span: Span) -> bytes:
    arrays: dict[str, Any] = {}
    told: dict[str, Any] = {"made_at": size, "models": []}
    for place, (digest, rows) in enumerate(span.predictions.items()):
        told["models"].append(
            {
                "digest": digest,
                "outputs": list(rows.outputs),
                "features": list(rows.features),
                "texts": [rows.as_of.table, rows.predicted_at.table, rows.decision.table],
            }
        )
        arrays |= {f"{place}.leaf": rows.leaf, f"{place}.row": rows.row}
        for name in ("as_of", "predicted_at", "decision"):
            arrays[f"{place}.{name}"] = getattr(rows, name).codes
        for at, name in enumerate(rows.outputs):
            arrays[f"{place}.o{at}"] = rows.outputs[name]
            arrays[f"{place}.g{at}"] = rows.outputs_given[name]
        for at, values in enumerate(rows.features.values()):
            arrays[f"{place}.f{at}"] = values.astype(np.float32)  # that is what was recorded
    told["leaves"] = list(span.leaves)
    arrays |= {f"l.{at}": found for at, found in enumerate(span.leaves.values())}
    arrays |= {f"x.{name}": getattr(span.outcomes, name) for name in _INTS}
    arrays |= {f"x.{name}": getattr(span.outcomes, name).codes for name in _TEXTS}
    told["outcome_texts"] = [getattr(span.outcomes, name).table for name in _TEXTS]
    arrays["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def _parse(data: bytes) -> tuple[int, Span]:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        told = json.loads(arrays["told"].tobytes())
        predictions = {
            model["digest"]: _parse_model(arrays, place, model)
            for place, model in enumerate(told["models"])
        }
        value, observed_at, arrived_at = (
            Texts(table, arrays[f"x.{name}"])
            for name, table in zip(_TEXTS, told["outcome_texts"], strict=True)
        )
        of_leaf, of_row, leaf, revises = (arrays[f"x.{name}"] for name in _INTS)
        outcomes = Outcomes(of_leaf, of_row, leaf, value, observed_at, arrived_at, revises)
        leaves = {digest: arrays[f"l.{at}"] for at, digest in enumerate(told["leaves"])}
    return int(told["made_at"]), Span(predictions, leaves, outcomes)


def _parse_model(arrays: Mapping[str, Any], place: int, told: Mapping[str, Any]) -> Predictions:
    names = ("as_of", "predicted_at", "decision")
    as_of, predicted_at, decision = (
        Texts(table, arrays[f"{place}.{name}"])
        for name, table in zip(names, told["texts"], strict=True)
    )
    return Predictions(
        told["digest"],
        arrays[f"{place}.leaf"],
        arrays[f"{place}.row"],
        as_of,
        predicted_at,
        decision,
        {name: arrays[f"{place}.o{at}"] for at, name in enumerate(told["outputs"])},
        {name: arrays[f"{place}.g{at}"] for at, name in enumerate(told["outputs"])},
        {name: arrays[f"{place}.f{at}"] for at, name in enumerate(told["features"])},
    )
