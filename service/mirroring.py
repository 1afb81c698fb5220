"""A hub copied and checked: the index against the log's key, every blob against the index.

`build_index` writes a house's own; `verify_index` holds anybody's against the verifier key that the
reader got by another way: the checkpoint's signature, each entry's inclusion, the signature and the
role of its signer. What this cannot show is that nothing was held back: an audit of the whole log
can. Entries that were seen before must still be there, so a model cannot disappear from a mirror
that somebody keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.errors import LedgerError
from ledger.keybook import ENDING, KeyBook
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import open_checkpoint
from ledger.record import parse_entry
from models.errors import ModelError, PlaceRefused, TamperedCopy, UnknownModel
from models.hub.copying import Fetcher, check_blob, path_of
from models.hub.index import NAME, HubIndex, Proved, blobs_of
from models.hub.manifest import Manifest
from models.hub.provenance import check_provenance
from service.inventory import LIFECYCLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ledger.note import Checkpoint
    from models.hub.places import Place
    from models.hub.store import BlobStore
    from service.assembly import Assembly

KEYS: Final = ("key.added", "key.rotated", "key.revoked")


@dataclass(slots=True)
class Copied:
    """What a copy did."""

    tree_size: int
    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def build_index(house: Assembly) -> HubIndex:
    """A house's index under its newest checkpoint."""
    note = house.ledger.checkpoint()
    size = open_checkpoint(note, house.ledger.keys()).size
    found = {
        stored.index: stored.entry
        for kind in (*KEYS, *LIFECYCLE)
        for stored in house.ledger.entries(type=kind)
        if stored.index < size
    }
    entries = tuple(
        Proved(leaf, found[leaf].decode(), tuple(n.hex() for n in house.ledger.prove(leaf, size)))
        for leaf in sorted(found)
    )
    return HubIndex(house.ledger.origin, house.ledger.vkey, note, entries)


def verify_index(index: HubIndex, vkey: str, where: str) -> tuple[Checkpoint, KeyBook]:
    """Hold an index against the log's verifier key. Raises TamperedCopy, naming place and entry."""
    try:
        checkpoint = open_checkpoint(index.checkpoint, vkey)
    except LedgerError as error:
        raise TamperedCopy(where, "the checkpoint", str(error)) from error
    book, last = KeyBook(), -1
    for one in index.entries:
        if one.leaf <= last:
            raise TamperedCopy(where, f"entry {one.leaf}", "entries out of order")
        last = one.leaf
        try:
            _verify(one, checkpoint, book)
        except (LedgerError, ValueError) as error:
            raise TamperedCopy(where, f"entry {one.leaf}", str(error)) from error
    return checkpoint, book


def verify_growth(old: HubIndex, new: HubIndex, where: str) -> None:
    """Refuse an index in which an entry that was seen before is missing or another."""
    there = {one.leaf: one.entry for one in new.entries}
    for one in old.entries:
        if there.get(one.leaf) != one.entry:
            what = "it is missing" if one.leaf not in there else "another entry"
            raise TamperedCopy(where, f"entry {one.leaf}, which was seen before", what)


def verify_statement(index: HubIndex, book: KeyBook, digest: str, store: BlobStore) -> None:
    """The signed statement about a model, by the key that published it. Raises ModelError."""
    event = next(
        one
        for one in index.entries
        if one.body["type"] == "model.published" and one.body["data"]["model_digest"] == digest
    )
    signer = event.body["producer"]

    def verify(key_id: str, message: bytes, signature: bytes) -> None:
        if key_id != signer:
            raise TamperedCopy("the statement", digest, f"signed by {key_id}, not by {signer}")
        book.public[key_id].verify(message, signature)

    envelope = store.get(str(event.body["data"]["provenance_digest"]))
    check_provenance(envelope, Manifest.parse(store.get(digest)), verify)


def copy_models(
    index: HubIndex,
    book: KeyBook,
    digests: Sequence[str],
    *,
    store: BlobStore,
    places: Sequence[Place],
    progress: Callable[[int], None] = lambda _: None,
) -> Copied:
    """Fetch models into a store and hold each against the log. Raises ModelError."""
    fetcher = Fetcher(store, list(places), progress)
    done = Copied(0)

    def fetch(digest: str) -> bytes:
        (done.fetched if fetcher.fetch(digest) else done.present).append(digest)
        return store.get(digest)

    for digest in blobs_of(index, digests, fetch):
        if digest not in done.fetched and digest not in done.present:
            fetch(digest)
    for digest in digests:
        verify_statement(index, book, digest, store)
    done.refused = [fault(error) for error in fetcher.refused]
    return done


def replicate(
    index: HubIndex, digests: Iterable[str], store: BlobStore, target: Place
) -> tuple[int, int]:
    """Write blobs and then the index to a place; says how many were written and were there."""
    written = there = 0
    for digest in digests:
        try:
            held = check_blob(target, digest)
        except ModelError:
            held = False  # altered there: written again
        if held:
            there += 1
            continue
        target.write(path_of(digest), store.get(digest))
        written += 1
    target.write(NAME, index.to_bytes())
    return written, there


def existing_index(target: Place) -> HubIndex | None:
    """What a place holds already; None when it is no hub yet."""
    return None if target.size(NAME) is None else HubIndex.read(target)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The newest index that holds, the places whose own index holds, and the others' faults."""

    index: HubIndex
    checkpoint: Checkpoint
    book: KeyBook
    places: list[Place]
    told: list[str]


def first_index(places: Sequence[Place], vkey: str, seen: HubIndex | None) -> Chosen:
    """Read every place and keep the newest index that holds. Raises PlaceRefused when none does."""
    told: list[str] = []
    good: list[Place] = []
    best: tuple[HubIndex, Checkpoint, KeyBook] | None = None
    for place in places:
        try:
            index = HubIndex.read(place)
            checkpoint, book = verify_index(index, vkey, str(place))
            if seen is not None:
                verify_growth(seen, index, str(place))
        except ModelError as error:
            told.append(fault(error))
            continue
        good.append(place)
        if best is None or checkpoint.size > best[1].size:
            best = index, checkpoint, book
    if best is None:
        raise PlaceRefused("no hub", "; ".join(told) or "no place was named")
    return Chosen(*best, good, told)


def fault(error: ModelError) -> str:
    """What is told of a place that was not used: one that lied is refused, by name."""
    return f"{'REFUSED' if isinstance(error, TamperedCopy) else 'not used'}: {error}".strip()


def published(index: HubIndex) -> list[str]:
    """Every digest ever published, withdrawn ones included."""
    return [str(e.data["model_digest"]) for e in index.events() if e.type == "model.published"]


def _verify(one: Proved, checkpoint: Checkpoint, book: KeyBook) -> None:
    data = one.entry.encode()
    verify_inclusion(
        leaf_hash(data),
        one.leaf,
        size=checkpoint.size,
        path=[bytes.fromhex(node) for node in one.path],
        root=checkpoint.root,
    )
    entry = parse_entry(data)
    if entry.type not in (*KEYS, *LIFECYCLE):
        raise UnknownEntry(entry.type)
    body = entry.body
    if entry.type in KEYS:
        book.check(one.leaf, body)
    misfit = book.misfit(one.leaf, body)
    if misfit is not None:
        raise WrongSigner(*misfit)
    book.public[body["producer"]].verify(entry.envelope.message, entry.envelope.signature)
    if entry.type in ENDING:
        book.end(one.leaf, body)


class UnknownEntry(ValueError):
    """An entry of a kind that no hub holds."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"an entry of type {kind}")


class WrongSigner(ValueError):
    """An entry signed by a key that may not."""

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(f"expected {wanted}, got {got}")


def newest_of(index: HubIndex, ref: str) -> str:
    """The digest that a reference means in an index. Raises UnknownModel."""
    try:
        return index.catalog().digest_of(ref)
    except UnknownModel:
        known = sorted({str(e.data["name"]) for e in index.events()})
        shown = ", ".join(known[:10]) or "nothing"
        raise UnknownModel(ref, f"not in this hub, which has {shown}") from None
