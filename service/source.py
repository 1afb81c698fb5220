"""What monitoring reads, out of the ledger: predictions, outcomes and limits of one model.

Implements `monitoring.source.PredictionSource`. It never looks at a signature, a root or a verdict:
a record whose evidence is broken is evaluated like any other (house rule: correct never reads
honest). A row whose opening was erased is skipped and counted by the caller as unreadable.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ledger.record import unsigned_body
from models.errors import ModelError
from models.hub.catalog import Catalog
from monitoring.columns import Outcomes, Predictions
from monitoring.source import Closing, Limit, ModelFacts
from service.inventory import LIFECYCLE, event_of
from service.kept import spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from service.assembly import Assembly
    from service.kept import Span

LIMIT_TYPES: Final = ("limits", "policy")
SHADOWS: Final = ("challenger", "shadow")  # aliases whose version answers for the record alone
TRIALS_MAX: Final = 10**9  # signals tried before one: a recipe that claims more says nothing


class LedgerSource:
    """Predictions, outcomes and limits up to and including leaf `as_of_leaf`.

    `afresh` leaves recorded progress of detectors and kept spans unread: everything comes from the
    log and the vault.
    """

    def __init__(self, assembly: Assembly, as_of_leaf: int, *, afresh: bool = False) -> None:
        self._assembly = assembly
        self._last = as_of_leaf
        self._afresh = afresh

    def predictions(self, model_digest: str) -> Predictions:
        """Every readable row predicted by the model, in ledger order."""
        found = [s.predictions[model_digest] for s in self._spans if model_digest in s.predictions]
        return Predictions.joined(found, model_digest)

    def outcomes(self, model_digest: str) -> Outcomes:
        """Every outcome of the model's predictions, revisions included, in ledger order."""
        every = Outcomes.joined([span.outcomes for span in self._spans])
        leaves = [s.leaves[model_digest] for s in self._spans if model_digest in s.leaves]
        mine = every.take(np.isin(every.of_leaf, np.concatenate(leaves)) if leaves else slice(0))
        shadows = self._shadows(model_digest)
        if not shadows:
            return mine
        # An outcome names the answer that somebody got; it is the shadow's outcome too.
        theirs = every.take(np.isin(every.of_leaf, np.asarray(list(shadows), np.int64)))
        moved = np.asarray([shadows[leaf] for leaf in theirs.of_leaf.tolist()], np.int64)
        both = Outcomes.joined([mine, replace(theirs, of_leaf=moved)])
        return both.take(np.argsort(both.leaf, kind="stable"))

    def _shadows(self, model_digest: str) -> dict[int, int]:
        """The model's shadow answers by the answer that they repeat (`shadow.py`)."""
        promoted = self._assembly.ledger.entries(type="model.promoted")
        told = (unsigned_body(stored.entry)["data"] for stored in promoted)
        if not any(d["model_digest"] == model_digest and d["alias"] in SHADOWS for d in told):
            return {}
        found = {}
        for stored in self._assembly.ledger.entries(type="prediction", ref=model_digest):
            if stored.index > self._last:
                break
            for parent in unsigned_body(stored.entry)["parents"]:
                found[int(parent)] = stored.index
        return found

    @cached_property
    def _spans(self) -> list[Span]:
        return list(spans(self._assembly, self._last, afresh=self._afresh))

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


def catalog_at(assembly: Assembly, as_of_leaf: int) -> Catalog:
    """The catalog as of a leaf."""
    events = [
        event_of(stored)
        for kind in LIFECYCLE
        for stored in assembly.ledger.entries(type=kind)
        if stored.index <= as_of_leaf
    ]
    catalog = Catalog()
    for event in sorted(events, key=lambda found: found.leaf):
        catalog.apply(event)
    return catalog


def model_facts(assembly: Assembly, as_of_leaf: int) -> list[ModelFacts]:
    """Every model behind an alias as of a leaf, with what evaluation needs to know of it."""
    facts = []
    for model in catalog_at(assembly, as_of_leaf).models():
        for digest in sorted(set(model.aliases.values())):
            manifest = assembly.inventory.manifest(digest)
            facts.append(
                ModelFacts(
                    model_digest=digest,
                    model_name=model.name,
                    kind=manifest.kind,
                    threshold_q16=manifest.decision.threshold_q16 if manifest.decision else None,
                    trials=_trials(manifest.training.recipe),
                )
            )
    return facts


def _trials(recipe: Mapping[str, str]) -> int | None:
    """How many signals were tried, when the recipe says it as a whole number."""
    told = recipe.get("trials", "")
    return int(told) if told.isascii() and told.isdigit() and 0 < int(told) < TRIALS_MAX else None
