"""What monitoring reads, out of the ledger: predictions, outcomes and limits of one model.

Implements `monitoring.source.PredictionSource`. It never looks at a signature, a root or a verdict:
a record whose evidence is broken is evaluated like any other (house rule: correct never reads
honest). A row whose opening was erased is skipped and counted by the caller as unreadable.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ledger.columnar import COLUMNS
from ledger.record import parse_row, row_bytes, unsigned_body
from models.errors import ModelError
from models.hub.catalog import Catalog
from monitoring.source import Closing, Limit, ModelFacts, Outcome, Prediction
from service.batch_views import opened_rows
from service.inventory import LIFECYCLE, event_of
from service.views import NOT_INTEGERS, float_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.assembly import Assembly

LIMIT_TYPES: Final = ("limits", "policy")


class LedgerSource:
    """Predictions, outcomes and limits up to and including leaf `as_of_leaf`.

    `afresh` leaves recorded progress of detectors unread: all of it is computed again.
    """

    def __init__(self, assembly: Assembly, as_of_leaf: int, *, afresh: bool = False) -> None:
        self._assembly = assembly
        self._last = as_of_leaf
        self._afresh = afresh

    def predictions(self, model_digest: str) -> Iterator[Prediction]:
        """Every readable row predicted by the model, in ledger order."""
        ledger, vault = self._assembly.ledger, self._assembly.vault
        for stored in ledger.entries(type="prediction", ref=model_digest):
            if stored.index > self._last:
                return
            body = unsigned_body(stored.entry)
            data = body["data"]
            if COLUMNS in data:
                for index, outputs, decision, features in opened_rows(
                    self._assembly, stored.index, data
                ):
                    yield Prediction(
                        prediction_id=f"{stored.index}.{index}",
                        leaf_index=stored.index,
                        row_index=index,
                        model_digest=model_digest,
                        as_of=data["as_of"],
                        predicted_at=body["event_time"],
                        outputs=outputs,
                        decision=decision,
                        features=features,
                    )
                continue
            many = data["row_count"] > 1
            leaves = ledger.rows(stored.index) if many else [row_bytes(data["row"])]
            openings = {opening.row_index: opening for opening in vault.open(stored.index)}
            for index, leaf in enumerate(leaves):
                opening = openings.get(index)
                if opening is None:
                    continue
                yield Prediction(
                    prediction_id=f"{stored.index}.{index}",
                    leaf_index=stored.index,
                    row_index=index,
                    model_digest=model_digest,
                    as_of=data["as_of"],
                    predicted_at=body["event_time"],
                    outputs={
                        name: int(field.value)
                        for name, field in opening.outputs.items()
                        if name not in NOT_INTEGERS
                    },
                    decision=parse_row(leaf)["decision"],
                    features={n: _number(f.value) for n, f in opening.inputs.items()},
                )

    def outcomes(self, model_digest: str) -> Iterator[Outcome]:
        """Every outcome of the model's predictions, revisions included, in ledger order."""
        ledger, vault = self._assembly.ledger, self._assembly.vault
        mine = {e.index for e in ledger.entries(type="prediction", ref=model_digest)}
        for stored in ledger.entries(type="outcome"):
            if stored.index > self._last:
                return
            body = unsigned_body(stored.entry)
            data = body["data"]
            if data["prediction_leaf"] not in mine:
                continue
            for opening in vault.open(stored.index):
                yield Outcome(
                    prediction_id=f"{data['prediction_leaf']}.{data['row_index']}",
                    leaf_index=stored.index,
                    value=opening.outputs["value"].value,
                    observed_at=data["observed_at"],
                    arrived_at=body["event_time"],
                    revises=data["revises"],
                )

    def limits(self, model_digest: str) -> Iterator[Limit]:
        """The limits and policies signed for the model, in ledger order."""
        ledger = self._assembly.ledger
        signed = [e for kind in LIMIT_TYPES for e in ledger.entries(type=kind, ref=model_digest)]
        for stored in sorted(signed, key=lambda entry: entry.index):
            if stored.index > self._last:
                return
            data = unsigned_body(stored.entry)["data"]
            yield Limit(
                leaf_index=stored.index,
                metric=data["metric"],
                limit=data["limit"],
                side=data["side"],
                tolerance=data["tolerance"],
                window=data["window"],
                minimum_labels=data["minimum_labels"],
                detector=data["detector"],
            )

    def readings(self) -> Iterator[int]:
        """Leaves up to which the correctness reports recorded so far evaluated."""
        for data in self._reports():
            yield data["checkpoint_size"] - 1

    def closings(self, model_digest: str) -> Iterator[Closing]:
        """Who closed which alarm is in the log; here only where, and of which limit."""
        ledger = self._assembly.ledger
        mine = {limit.leaf_index for limit in self.limits(model_digest)}
        for stored in ledger.entries(type="alarm.closed"):
            if stored.index > self._last:
                return
            alarm = unsigned_body(stored.entry)["data"]["alarm_leaf"]
            limit_leaf = unsigned_body(ledger.entry(alarm).entry)["data"]["policy_leaf"]
            if limit_leaf in mine:
                yield Closing(stored.index, limit_leaf)

    def progress(self, model_digest: str) -> dict[int, dict[str, Any]]:
        """Detectors' progress from the newest report of the range; empty when its bytes are gone.

        Everything is then read again from the first leaf, to the same bits.
        """
        newest = deque(self._reports(), maxlen=1)
        if self._afresh or not newest:
            return {}
        try:
            report = json.loads(self._assembly.blobs.get(newest[0]["report_digest"]))
        except ModelError:
            return {}
        return {
            estimate["limit_leaf"]: estimate["evidence"]["progress"]
            for model in report["evaluated_models"]
            if model["model_digest"] == model_digest
            for estimate in model["estimates"]
            if "progress" in (estimate.get("evidence") or {})
        }

    def _reports(self) -> Iterator[dict[str, Any]]:
        for stored in self._assembly.ledger.entries(type="report", ref="correctness"):
            if stored.index > self._last:
                return
            yield unsigned_body(stored.entry)["data"]


def model_facts(assembly: Assembly, as_of_leaf: int) -> list[ModelFacts]:
    """Every model behind an alias as of a leaf, with what evaluation needs to know of it."""
    events = [
        event_of(stored)
        for kind in LIFECYCLE
        for stored in assembly.ledger.entries(type=kind)
        if stored.index <= as_of_leaf
    ]
    catalog = Catalog()
    for event in sorted(events, key=lambda found: found.leaf):
        catalog.apply(event)
    facts = []
    for model in catalog.models():
        for digest in sorted(set(model.aliases.values())):
            manifest = assembly.inventory.manifest(digest)
            facts.append(
                ModelFacts(
                    model_digest=digest,
                    model_name=model.name,
                    kind=manifest.kind,
                    threshold_q16=manifest.decision.threshold_q16 if manifest.decision else None,
                )
            )
    return facts


def _number(pattern: str) -> float | None:
    value = float_of(pattern)
    return None if value != value else value  # noqa: PLR0124 - NaN means missing
