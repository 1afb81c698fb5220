"""The models this house may run: the hub's catalog, folded from the ledger, and loaded predictors.

The catalog is never stored: it is read again from `model.*` entries, so it cannot disagree with
the log. A blob that does not hash to the approved digest is refused, and the refusal is recorded.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import time
from typing import TYPE_CHECKING

import structlog

from ledger.record import Draft, parse_entry
from models.errors import ModelError
from models.hub.catalog import Catalog, LifecycleEvent
from models.hub.manifest import Manifest
from service.clock import utc_ms
from service.loading import ModelUnavailable, load_published
from service.switch import SWITCHES, Switch

if TYPE_CHECKING:
    from ledger.keys import SigningKey
    from ledger.log import Ledger, StoredEntry
    from models.hub.catalog import ModelRef
    from models.hub.store import BlobStore
    from models.runtime import Predictor
    from service.clock import Clock

LIFECYCLE = (
    "model.published",
    "model.validated",
    "model.approved",
    "model.promoted",
    "model.withdrawn",
)
REFRESH_S = 0.25  # how long another process's promotion or withdrawal may stay unseen


class Inventory:
    """Resolves a model's name to a loaded predictor, or refuses with the reason."""

    def __init__(
        self, ledger: Ledger, blobs: BlobStore, *, producer: SigningKey, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._producer = producer
        self._clock = clock
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # apart, so that loading a model delays no other's answer
        self._catalog = Catalog()
        self._switch = Switch()
        self._next_leaf = 0
        self._read_at = float("-inf")
        self._predictors: dict[str, Predictor] = {}
        self._unavailable: dict[str, ModelUnavailable] = {}
        self._manifests: dict[str, Manifest] = {}

    def catalog(self, *, fresh: bool = False) -> Catalog:
        """The catalog as of the log's head; at most `REFRESH_S` old unless `fresh`.

        What is returned never changes: news make a new catalog.
        """
        with self._lock:
            return self._current(fresh=fresh)

    def resolve(self, ref: str) -> ModelRef:
        """The approved model behind `name`, `name@alias` or a digest."""
        return self.catalog().resolve(ref)

    def choose(self, ref: str, *, fresh: bool = False) -> tuple[ModelRef, int]:
        """As `resolve`, with the size of the log that the catalog was read from.

        Raises Halted for a model that may not answer.
        """
        with self._lock:
            catalog, size = self._current(fresh=fresh), self._next_leaf
            switch = self._switch
        found = catalog.resolve(ref)
        switch.check(found.digest)
        return found, size

    def switch(self) -> Switch:
        """Which models are halted; as old as the catalog at most."""
        with self._lock:
            self._current(fresh=False)
            return self._switch

    def holds(self, ref: str) -> bool:
        """Whether the model behind a name is loaded. Raises as `choose` does."""
        return self.choose(ref)[0].digest in self._predictors

    def manifest(self, digest: str) -> Manifest:
        """The manifest of any published digest, withdrawn ones included."""
        found = self._manifests.get(digest)
        if found is None:
            found = self._manifests[digest] = Manifest.parse(self._blobs.get(digest))
        return found

    def predictor(self, digest: str) -> Predictor:
        """The predictor of a digest, loaded once. What cannot be loaded is recorded, then raised.

        Raises ModelUnavailable; the next call tries again, since files can be brought back.
        """
        found = self._predictors.get(digest)
        if found is not None:
            return found
        with self._loading:
            if digest not in self._predictors:
                try:
                    published = self.catalog().version(digest).published
                    loaded = load_published(self._ledger, self._blobs, published)
                except ModelError as error:
                    unavailable = ModelUnavailable(digest, error)
                    self._unavailable[digest] = unavailable
                    self._record_refusal(digest, error)
                    raise unavailable from error
                self._predictors[digest] = loaded
                self._unavailable.pop(digest, None)
            return self._predictors[digest]

    def warm(self) -> int:
        """Load every model an alias points to, so that no request waits for it; says how many.

        One that cannot be loaded keeps no other from answering: see `unavailable`.
        """
        digests = {d for model in self.catalog(fresh=True).models() for d in model.aliases.values()}
        for digest in sorted(digests):
            try:
                self.predictor(digest)
            except ModelUnavailable as error:
                structlog.get_logger("models").error("model unavailable", cause=error.detail)
        return len(digests & self._predictors.keys())

    def unavailable(self) -> dict[str, ModelUnavailable]:
        """By digest: models that could not be loaded when they were last wanted."""
        return dict(self._unavailable)

    def _current(self, *, fresh: bool) -> Catalog:
        if fresh or time.monotonic() - self._read_at > REFRESH_S:
            self._fold()
        return self._catalog

    def _fold(self) -> None:
        asked_at = time.monotonic()  # before reading: a catalog is as old as what it was made of
        size = self._ledger.size
        if size > self._next_leaf:
            found = [
                stored
                for kind in LIFECYCLE
                for stored in self._ledger.entries(type=kind, first=self._next_leaf)
                if stored.index < size
            ]
            catalog = copy.deepcopy(self._catalog) if found else self._catalog
            for stored in sorted(found, key=lambda entry: entry.index):
                catalog.apply(event_of(stored))
            switches = [
                stored
                for kind in SWITCHES
                for stored in self._ledger.entries(type=kind, first=self._next_leaf)
                if stored.index < size
            ]
            self._switch = self._switch.after(sorted(switches, key=lambda entry: entry.index))
            self._catalog, self._next_leaf = catalog, size
        self._read_at = asked_at

    def _record_refusal(self, digest: str, error: ModelError) -> None:
        """Once a day for each cause, over all processes: asking again must not fill the log.

        Recorded before the caller is told; when that fails, that is what the caller is told.
        """
        now, cause = utc_ms(self._clock()), type(error).__name__
        once = hashlib.sha256(f"refusal\0{digest}\0{cause}\0{now[:10]}".encode()).hexdigest()
        draft = Draft(
            type="refusal",
            actor_id="house:producer",
            data={"cause": cause, "model_digest": digest, "detail": str(error)[:1000]},
            event_time=now,
            idempotency_key=once,
            request_digest=once,
            ref=digest,
        )
        self._ledger.append(draft, self._producer)


def event_of(stored: StoredEntry) -> LifecycleEvent:
    """A lifecycle entry as the catalog folds it."""
    body = parse_entry(stored.entry).body
    return LifecycleEvent(
        leaf=stored.index,
        type=body["type"],
        time=body["event_time"],
        actor=body["actor_id"],
        data=body["data"],
    )
