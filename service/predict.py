"""The one use case: run the model, commit to what went in and came out, append, answer.

Nothing leaves this function that is not durably in the ledger: the receipt is part of the answer,
and an append that fails raises before any score is returned.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ledger.committing import commit_row
from ledger.condition import Unless
from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.randomness import random_bytes
from ledger.record import Draft, row_bytes
from ledger.seal import RowTree
from models.errors import InputRefused, ModelError
from models.runtime.predictor import recorded
from service.errors import FieldRefused, ServiceError
from service.switch import SHADOW, Halted
from service.verification.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.log import Appended
    from ledger.receipt import Receipt
    from ledger.record import SealedOpening
    from models.hub.catalog import ModelRef
    from models.runtime import Output, Predictor, Reason
    from service.assembly import Assembly
    from service.auth import Identity


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for predictions, already checked for form."""

    model: str
    rows: Sequence[Mapping[str, object]]
    caller: Identity
    idempotency_key: str | None = None
    request_digest: str | None = None
    caller_reference: str | None = None
    subject: str | None = None
    as_of: str | None = None
    deadline: float | None = None  # of time.monotonic(): what waits longer is not recorded


@dataclass(frozen=True, slots=True)
class Row:
    """One executed row: encoded inputs, integer outputs, decision and reasons."""

    inputs: Mapping[str, str]
    output: Output
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is recorded. `rows` are those run for it; None when it was recorded before."""

    appended: Appended
    draft: Draft | None = None
    rows: Sequence[Row] | None = None

    @property
    def index(self) -> int:
        """The leaf it is recorded at."""
        return self.appended.index

    @property
    def receipt(self) -> Receipt:
        """The receipt it was recorded with."""
        return self.appended.receipt


def scoped_key(caller: Identity, key: str) -> str:
    """An idempotency key as recorded: digested with the caller's key id, so callers never meet."""
    return hashlib.sha256(f"{caller.key_id}\0{key}".encode()).hexdigest()


def predict(assembly: Assembly, ask: Ask) -> Answer:
    """Answer one request. Raises, with nothing answered, when anything is refused or not stored.

    A retry is found inside the append, before anything is written; one whose model may not answer
    any more still gets its first receipt.
    """
    try:
        return _predict(assembly, ask)
    except (ModelError, ServiceError) as error:
        if ask.idempotency_key:
            known = assembly.ledger.duplicate_of(ask.idempotency_key, ask.request_digest)
            if known is not None:
                return Answer(known)
        if isinstance(error, Halted) and error.halt.state == SHADOW:
            from service.shadow import keep  # noqa: PLC0415 - it needs this module

            raise keep(assembly, ask, error) from error
        raise


def _predict(assembly: Assembly, ask: Ask) -> Answer:
    decided = decide(assembly, ask)
    while True:
        try:
            appended = assembly.ledger.append(
                decided.draft,
                assembly.signers[Role.PRODUCER],
                unless=decided.unless,
                deadline=ask.deadline,
            )
        except Overtaken:
            decided = decided.again(assembly)
        else:
            return decided.answer(appended)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that is made, and recorded nowhere yet."""

    ref: ModelRef
    rows: Sequence[Row]
    draft: Draft
    unless: Unless

    def again(self, assembly: Assembly) -> Decided:
        """The same after Overtaken, by a withdrawal or halt: of this version, refused now, or not.

        Raises Withdrawn or Halted.
        """
        _, since = assembly.inventory.choose(self.ref.digest, fresh=True)
        return replace(self, unless=replace(self.unless, since=since))

    def answer(self, appended: Appended) -> Answer:
        """What it is once it is recorded."""
        if appended.repeated:
            return Answer(appended)
        return Answer(appended, self.draft, self.rows)


def decide(assembly: Assembly, ask: Ask) -> Decided:
    """Run the model and commit to what went in and came out. Appends nothing."""
    ref, since = assembly.inventory.choose(ask.model)
    rows = execute(assembly.inventory.predictor(ref.digest), ask.rows)
    news = frozenset({("model.withdrawn", ref.name), ("model.halted", ref.name)})
    return Decided(ref, rows, record(assembly, ask, ref, rows), Unless(since, news))


def execute(predictor: Predictor, rows: Sequence[Mapping[str, object]]) -> list[Row]:
    """Encode and run; a refused value is named with its row."""
    vectors = [_encode(predictor, row, index, len(rows)) for index, row in enumerate(rows)]
    matrix = np.asarray(vectors, dtype=np.float32)
    answers = predictor.answer(matrix)
    patterns = matrix.astype(">f4").tobytes()
    width = 4 * len(predictor.feature_names)
    return [
        Row(_hex_inputs(predictor, patterns[i * width : (i + 1) * width]), output, why)
        for i, (output, why) in enumerate(answers)
    ]


def record(assembly: Assembly, ask: Ask, ref: ModelRef, rows: Sequence[Row]) -> Draft:
    """The prediction entry: commitments in the log, openings encrypted beside it."""
    subject = ask.subject or "sub_" + random_bytes(16).hex()
    objects: list[dict[str, object]] = []
    openings: list[SealedOpening] = []
    reference: str | None = None
    for index, row in enumerate(rows):
        made = commit_row(
            index,
            row.inputs,
            recorded(row.output, row.reasons),
            row.output.decision,
            random_bytes,
            caller_reference=None if index else ask.caller_reference,
        )
        reference = reference or made.caller_reference
        objects.append(made.row)
        openings.append(assembly.vault.seal(subject, index, made.opening))
    data: dict[str, object] = {
        "model_digest": ref.digest,
        "model_name": ref.name,
        "policy_digest": DEFAULT_POLICY.digest,
        "environment_digest": assembly.environment_digest,
        "verification_mode": "signed",
        "as_of": ask.as_of,
        "caller_reference": reference,
        "row_count": len(rows),
    }
    leaves = [row_bytes(item) for item in objects] if len(rows) > 1 else []
    if len(rows) == 1:
        data["row"] = objects[0]
    else:
        data["rows_root"] = RowTree(leaves).root.hex()
    return Draft(
        type="prediction",
        actor_id=ask.caller.actor_id,
        data=data,
        event_time=assembly.now(),
        idempotency_key=ask.idempotency_key,
        request_digest=ask.request_digest,
        ref=ref.digest,
        rows=tuple(leaves),
        openings=tuple(openings),
    )


def _encode(
    predictor: Predictor, row: Mapping[str, object], index: int, count: int
) -> Sequence[float]:
    try:
        return predictor.encode(row)
    except InputRefused as error:
        place = "features" if count == 1 else f"rows.{index}"
        raise FieldRefused(f"{place}.{error.field}", error.reason) from error


def _hex_inputs(predictor: Predictor, pattern: bytes) -> dict[str, str]:
    text = pattern.hex()
    return {name: text[8 * i : 8 * i + 8] for i, name in enumerate(predictor.feature_names)}
