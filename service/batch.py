"""The use case of many rows: run the model on all, commit to each, append one entry, answer.

As `predict.py` for few: nothing leaves that is not durably in the ledger. One entry and one
signature stand for all rows; each has a leaf in a tree of its own under the entry's `rows_root`,
so every row's receipt can be had later. Reasons are not recorded here: they follow from a row's
recorded inputs and the recorded model, and reading the row states them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.columnar import COLUMNS, Columns, SealedPart
from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.record import Draft, unsigned_body
from models.errors import InputRefused
from service.batch_rows import Table, hash_parts, new_salts, pack, unpack
from service.errors import FieldRefused, Missing
from service.verification.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.log import Appended
    from models.hub.catalog import ModelRef
    from models.runtime import Predictor
    from models.runtime.encoding import Column
    from service.assembly import Assembly
    from service.auth import Identity


@dataclass(frozen=True, slots=True)
class BatchAsk:
    """A request for many rows, given by columns of one length, already checked for form."""

    model: str
    columns: Mapping[str, Column]
    caller: Identity
    idempotency_key: str | None = None
    request_digest: str | None = None
    subject: str | None = None
    as_of: str | None = None
    deadline: float | None = None  # of time.monotonic(): what waits longer is not recorded


@dataclass(frozen=True, slots=True, eq=False)
class BatchAnswer:
    """A recorded batch: where it is, and its rows."""

    appended: Appended
    columns: Columns
    table: Table


def score(assembly: Assembly, ask: BatchAsk) -> BatchAnswer:
    """Answer one batch. Raises, with nothing answered, when anything is refused or not stored."""
    if ask.idempotency_key:
        known = assembly.ledger.duplicate_of(ask.idempotency_key, ask.request_digest)
        if known is not None:
            return read_batch(assembly, known)
    ref, since = assembly.inventory.choose(ask.model)
    columns, table = execute(assembly.inventory.predictor(ref.digest), ask.columns)
    draft = record(assembly, ask, ref, columns, table)
    news = frozenset({("model.withdrawn", ref.name), ("model.halted", ref.name)})
    while True:
        try:
            appended = assembly.ledger.append(
                draft,
                assembly.signers[Role.PRODUCER],
                unless=Unless(since, news),
                deadline=ask.deadline,
            )
        except Overtaken:  # by a withdrawal or halt: of this version, refused now, or of another
            _, since = assembly.inventory.choose(ref.digest, fresh=True)
            continue
        if appended.repeated:  # a twin was faster: its rows are the answer, under its salts
            return read_batch(assembly, appended)
        return BatchAnswer(appended, columns, table)


def execute(predictor: Predictor, given: Mapping[str, Column]) -> tuple[Columns, Table]:
    """Encode and run; a refused value is named with its row."""
    try:
        inputs = predictor.encode_columns(given)
    except InputRefused as error:
        place = "columns" if error.row is None else f"rows.{error.row}"
        raise FieldRefused(f"{place}.{error.field}", error.reason) from error
    outputs, decisions = predictor.run_columns(inputs)
    columns = Columns(predictor.feature_names, predictor.output_names, predictor.decisions)
    return columns, Table(new_salts(len(inputs)), decisions, inputs, outputs)


def record(
    assembly: Assembly, ask: BatchAsk, ref: ModelRef, columns: Columns, table: Table
) -> Draft:
    """The prediction entry: a root in the log, records encrypted beside it."""
    subject = ask.subject or "sub_" + os.urandom(16).hex()
    parts = []
    hashed, root = hash_parts(pack(table), len(columns.inputs))
    for number, (data, hashes) in enumerate(hashed):
        sealed, wrapped = assembly.vault.seal_part(subject, number, data)
        parts.append(SealedPart(hashes, subject, sealed, wrapped))
    return Draft(
        type="prediction",
        actor_id=ask.caller.actor_id,
        data={
            "model_digest": ref.digest,
            "model_name": ref.name,
            "policy_digest": DEFAULT_POLICY.digest,
            "environment_digest": assembly.environment_digest,
            "verification_mode": "signed",
            "as_of": ask.as_of,
            "caller_reference": None,
            "row_count": len(table),
            "rows_root": root.hex(),
            COLUMNS: columns.to_json(),
        },
        event_time=assembly.now(),
        idempotency_key=ask.idempotency_key,
        request_digest=ask.request_digest,
        ref=ref.digest,
        parts=tuple(parts),
    )


def read_batch(assembly: Assembly, appended: Appended) -> BatchAnswer:
    """A recorded batch again, as it was answered. Raises Missing when its rows were erased."""
    data = unsigned_body(assembly.ledger.entry(appended.index).entry)["data"]
    if COLUMNS not in data:
        raise Missing(f"prediction {appended.index} is no batch")
    columns = Columns.of(data)
    records = b"".join(part for _, part in assembly.vault.open_parts(appended.index))
    if len(records) != data["row_count"] * columns.width:
        raise Missing(f"rows of prediction {appended.index} were erased")
    return BatchAnswer(appended, columns, unpack(columns, records))
