"""A user's model file into the house: read, made exact, compared, named, signed, recorded.

Everything that can be refused is refused before anything is stored, so a refusal leaves nothing
behind. What is stored lies under its digest; the entry that makes it a model comes last.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.keys import Role
from models.errors import ManifestRefused
from models.hub.canonical import digest_of
from models.hub.card import CARD_MAX, parse_card
from models.hub.intake.draft import Terms, draft
from models.hub.intake.forms import FILE_MAX
from models.hub.intake.table import TABLE_MAX, read_table
from models.hub.names import check_name
from models.hub.publish import Package
from models.hub.publish import publish as store_package
from models.hub.signing import sign_files
from service import lifecycle
from service.errors import FieldRefused, ServiceError
from service.model_keys import house_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.hub.card import Card
    from models.hub.manifest import Manifest
    from service.assembly import Assembly

LOCK_MAX: Final = 16 << 20  # bytes of an environment's lock file
STEPS: Final = 4  # what `submit` tells its progress about


@dataclass(frozen=True, slots=True)
class Submission:
    """What a publisher gives: files, and the choices that no file holds."""

    model: Path
    card: Path
    table: Path
    actor: str
    target: str | None = None
    features: tuple[str, ...] = ()
    name: str | None = None
    version: str | None = None
    kind: str = "credit"
    threshold: float = 0.5
    owner: str | None = None
    vendor: str | None = None
    environment: Path | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of it."""

    name: str
    version: str
    digest: str
    leaf: int
    form: str
    kind: str
    facts: Mapping[str, str]
    signer: str


def submit(
    house: Assembly, given: Submission, progress: Callable[[str], None] = lambda _: None
) -> Submitted:
    """Publish a model file. It may not run until somebody else approved it. Raises ModelError."""
    progress("reading the card and the training table")
    card = parse_card(_read(given.card, CARD_MAX, "--card"))
    table = read_table(
        _read(given.table, TABLE_MAX, "--data"),
        target=given.target,
        columns=given.features or None,
    )
    name, version = _named(house, given, card)
    progress("reading the model, comparing its exact form with it")
    lock = None if given.environment is None else _read(given.environment, LOCK_MAX, "--lock")
    terms = Terms(
        name=name,
        version=version,
        kind=given.kind,
        owner=given.owner or given.actor,
        threshold=given.threshold,
        vendor=given.vendor,
    )
    made = draft(
        _read(given.model, FILE_MAX, "PATH"),
        given.model.name,
        table=table,
        card=card,
        terms=terms,
        environment_digest=house.environment_digest if lock is None else digest_of(lock),
    )
    blobs = made.blobs if lock is None else {**made.blobs, digest_of(lock): lock}
    package = Package(made.manifest, blobs)
    _not_published(house, package.manifest.digest)
    progress("signing")
    signature, holder = sign_package(house, package)
    progress("recording")
    key = house.signers[Role.PUBLISHER]
    stored = store_package(
        house.blobs, package, key_id=key.key_id, sign=key.sign, signature=signature
    )
    done = lifecycle.publish(
        house,
        digest=stored.digest,
        provenance_digest=stored.provenance_digest,
        actor_id=given.actor,
    )
    source = package.manifest.source
    return Submitted(
        name=name,
        version=version,
        digest=stored.digest,
        leaf=done.index,
        form=source.form if source else "",
        kind=source.kind if source else "",
        facts=next(iter(package.manifest.rounding.values())),
        signer=holder,
    )


def sign_package(house: Assembly, package: Package) -> tuple[bytes, str]:
    """The OpenSSF signature of a package's files by the house's key, and who holds that."""
    pem, signer = house_key(house)
    manifest = package.manifest
    files = {manifest.digest: manifest.to_bytes()}
    for digest in signed_blobs(house, manifest, package.blobs):
        known = package.blobs.get(digest)
        files[digest] = house.blobs.get(digest) if known is None else known
    return sign_files(files, pem), signer.holder


def signed_blobs(
    house: Assembly, manifest: Manifest, at_hand: Mapping[str, bytes] | None = None
) -> list[str]:
    """The blobs that a signature is over: all, but an environment that nobody here has."""
    return [
        digest
        for digest in manifest.blobs
        if digest != manifest.environment_digest
        or digest in (at_hand or {})
        or house.blobs.has(digest)
    ]


def _not_published(house: Assembly, digest: str) -> None:
    for model in house.inventory.catalog(fresh=True).models():
        for version in house.inventory.catalog().versions(model.name):
            if version.digest == digest:
                raise ServiceError(409, "published-already", f"{digest} was published before")


def _named(house: Assembly, given: Submission, card: Card) -> tuple[str, str]:
    """The model's name, not too like another, and its version."""
    catalog = house.inventory.catalog(fresh=True)
    name = given.name or _slug(card.title or "")
    if not name:
        raise ManifestRefused("name", "the card has no title to take it from; give it with --name")
    check_name(name, [model.name for model in catalog.models()])
    taken = [house.inventory.manifest(v.digest).version for v in catalog.versions(name)]
    version = given.version or _next(taken)
    if version in taken:
        raise FieldRefused("version", f"{name} {version} is published; the next is {_next(taken)}")
    return name, version


def _next(taken: list[str]) -> str:
    if not taken:
        return "1.0.0"
    major, minor, _ = max(tuple(int(part) for part in text.split(".")) for text in taken)
    return f"{major}.{minor + 1}.0"


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-0123456789")[:64].rstrip("-")


def _read(path: Path, limit: int, option: str) -> bytes:
    """A file, whole and bounded. Raises FieldRefused, naming the option."""
    try:
        if path.is_dir():
            raise FieldRefused(option, f"{path} is a directory; give one file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise FieldRefused(option, f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise FieldRefused(option, f"{path} is longer than {limit} bytes")
    return data


def facts_of(submitted: Submitted) -> list[tuple[str, Any]]:
    """What a publisher is told, in order."""
    facts = submitted.facts
    moved, changed = facts["largest_change_of_probability"], facts["decisions_changed"]
    compared = f"{facts['rows_compared']} rows compared with the file, run by {facts['library']}"
    return [
        ("digest", submitted.digest),
        ("read as", f"{submitted.form}: {submitted.kind}"),
        ("exact form", f"{compared}: probabilities moved by at most {moved}"),
        ("decisions", f"{changed} of those rows decided otherwise"),
        ("signed by", submitted.signer),
        ("recorded at", f"leaf {submitted.leaf}"),
    ]
