"""A hub's index, `hub.json`: the log's entries about models and keys, each with its proof.

Beside the index lie the blobs, so a hub is a directory, a bucket or any web server. This file reads
the index and folds the catalog out of it; whether the log signed what it says is checked by whoever
holds the log's verifier key (the house's `assay models pull` and `mirror` do, before they keep it).
A hub can hold entries back. It cannot add one, alter one, or make one vanish that was seen before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models.errors import PlaceRefused, UnknownModel
from models.hub.catalog import Catalog, LifecycleEvent
from models.hub.manifest import Manifest
from models.hub.places import read_whole
from models.hub.provenance import open_envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.hub.places import Place

FORMAT: Final = "assay/hub/v1"
NAME: Final = "hub.json"
INDEX_MAX: Final = 64 << 20  # bytes: some 30,000 lifecycle entries
ENTRIES_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class Proved:
    """An entry as text, its leaf and its inclusion path: 32-byte hashes in hex, lowest first."""

    leaf: int
    entry: str
    path: tuple[str, ...]

    @property
    def body(self) -> dict[str, Any]:
        """What it says; nothing is checked here."""
        found: dict[str, Any] = json.loads(self.entry)["body"]
        return found


@dataclass(frozen=True, slots=True)
class HubIndex:
    """The index as read. `checkpoint` is a signed note that every entry is under."""

    origin: str
    vkey: str
    checkpoint: str
    entries: tuple[Proved, ...]

    @classmethod
    def parse(cls, data: bytes, where: str) -> HubIndex:
        """Read an index. Raises PlaceRefused, naming the place it came from."""
        try:
            value = json.loads(data)
            if value["format"] != FORMAT:
                raise PlaceRefused(where, f"{NAME} has format {value['format']!r}, not {FORMAT}")
            if len(value["entries"]) > ENTRIES_MAX:
                raise PlaceRefused(where, f"{NAME} has more than {ENTRIES_MAX} entries")
            found = cls(
                origin=str(value["origin"]),
                vkey=str(value["vkey"]),
                checkpoint=str(value["checkpoint"]),
                entries=tuple(_proved(item) for item in value["entries"]),
            )
            for one in found.entries:
                _event(one)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise PlaceRefused(where, f"{NAME} cannot be read ({type(error).__name__})") from error
        return found

    @classmethod
    def read(cls, place: Place) -> HubIndex:
        """Read the index of a place. Raises PlaceRefused when there is none."""
        try:
            data = read_whole(place, NAME, INDEX_MAX)
        except FileNotFoundError as error:
            raise PlaceRefused(str(place), f"there is no {NAME}: not a hub") from error
        return cls.parse(data, str(place))

    def to_bytes(self) -> bytes:
        """The file."""
        value = {
            "format": FORMAT,
            "origin": self.origin,
            "vkey": self.vkey,
            "checkpoint": self.checkpoint,
            "entries": [
                {"leaf_index": one.leaf, "entry": one.entry, "path": list(one.path)}
                for one in self.entries
            ],
        }
        return (json.dumps(value, ensure_ascii=False) + "\n").encode()

    def events(self) -> list[LifecycleEvent]:
        """The lifecycle, in the log's order."""
        return [event for one in self.entries if (event := _event(one)).type.startswith("model.")]

    def catalog(self) -> Catalog:
        """What may run, as of the index."""
        catalog = Catalog()
        for event in self.events():
            if event.type in {"model.halted", "model.resumed"}:
                continue  # another matter than what was approved
            catalog.apply(event)
        return catalog


def blobs_of(index: HubIndex, digests: Sequence[str], fetch: Callable[[str], bytes]) -> list[str]:
    """Every blob that these models need, manifests first; `fetch` gives a manifest or envelope."""
    wanted: dict[str, None] = {}
    events = {e.data["model_digest"]: e for e in index.events() if e.type == "model.published"}
    for digest in digests:
        published = events.get(digest)
        if published is None:
            raise UnknownModel(digest)
        manifest = Manifest.parse(fetch(digest))
        wanted |= dict.fromkeys((digest, str(published.data["provenance_digest"])))
        wanted |= dict.fromkeys(manifest.blobs)
        wanted |= dict.fromkeys(_signatures(fetch(str(published.data["provenance_digest"]))))
    for event in index.events():
        report = event.data.get("report_digest")
        if event.data.get("model_digest") in digests and report:
            wanted[str(report)] = None
    return list(wanted)


def _signatures(envelope: bytes) -> list[str]:
    """The signature that a statement names; the statement itself is checked elsewhere."""
    digest = open_envelope(envelope, lambda *_: None).signature_digest
    return [digest] if digest else []


def _proved(item: Any) -> Proved:  # noqa: ANN401 - parsed JSON
    leaf = item["leaf_index"]
    if not isinstance(leaf, int) or leaf < 0:
        raise ValueError(leaf)
    return Proved(leaf, str(item["entry"]), tuple(str(node) for node in item["path"]))


def _event(one: Proved) -> LifecycleEvent:
    body = one.body
    return LifecycleEvent(
        leaf=one.leaf,
        type=str(body["type"]),
        time=str(body["event_time"]),
        actor=str(body["actor_id"]),
        data=dict(body["data"]),
    )
