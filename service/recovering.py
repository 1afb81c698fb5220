"""A house whose database was rolled back or lost: its anchor, and the way back from an export.

Such a house does not assemble. Here only keys, database and anchor are opened; `ledger/recover.py`
says what is checked before anything is inserted.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.anchor import Anchor
from ledger.errors import AnchorLost
from ledger.fsck import fsck
from ledger.layout import DirectorySource, is_blob
from ledger.log import Ledger
from ledger.note import NoteSigner, VerifierKey, open_checkpoint
from ledger.recover import Conventions, Recovery
from ledger.store import holds_log, open_engine
from ledger.vault import Vault
from models.hub.store import BlobStore
from service import schema, signers
from service.assembly import origin_of
from service.errors import NotInitialised, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy import Engine

    from ledger.anchor import Anchored
    from service.settings import Settings

# Type of entry: the field of its data that it is looked up by.
_REF = {
    "key.added": "role",
    "key.rotated": "role",
    "key.revoked": "key_id",
    "model.published": "name",
    "model.validated": "name",
    "model.approved": "name",
    "model.promoted": "name",
    "model.withdrawn": "name",
    "prediction": "model_digest",
    "refusal": "model_digest",
    "limits": "model_digest",
    "policy": "model_digest",
    "alarm": "about",
    "alarm.acknowledged": "alarm_leaf",
    "alarm.commented": "alarm_leaf",
    "alarm.closed": "alarm_leaf",
    "alarm.delivered": "alarm_leaf",
    "model.halted": "name",
    "model.resumed": "name",
    "drift": "model_digest",
    "report": "report_kind",
    "seal": "period",
    "hold.placed": "hold_id",
    "hold.lifted": "hold_id",
    "timestamp": "leaf",
}


@dataclass(frozen=True, slots=True)
class Recovered:
    """The log's size before and after; whether an anchor stands at the latter."""

    before: int
    size: int
    anchored: bool


def read_anchor(settings: Settings) -> Anchored:
    """Where the anchor stands. Raises AnchorLost, AnchorRefused or LedgerUnavailable."""
    return _anchor(settings, _signer(settings)).read()


def create_anchor(settings: Settings, *, against: Path | None, reason: str | None) -> Anchored:
    """Make an anchor at the log's newest checkpoint, for a house that has none.

    Somebody must know that the log is whole: a checkpoint kept elsewhere with which it begins, or
    whoever gives a reason, which the anchor keeps.
    """
    signer = _signer(settings)
    anchor = _anchor(settings, signer)
    anchor.refuse_existing()
    if against is None and not reason:
        raise ServiceError(
            422,
            "anchor-unfounded",
            "give a checkpoint that was kept elsewhere (--against FILE), or say how you know that "
            "no entry is missing (--reason TEXT)",
        )
    with _database(settings) as engine:
        schema.check(engine)
        ledger = _open(settings, engine)
        if against is not None:
            held = open_checkpoint(against.read_text("utf-8"), ledger.keys())
            if not ledger.begins_with(held.size, held.root):
                raise ServiceError(
                    409,
                    "ledger-rolled-back",
                    f"the log of {ledger.size} entries does not begin with the {held.size} of "
                    f"{against}: it was rolled back, or is another's. Recover first: "
                    f"assay ledger recover EXPORT_DIR --data-dir {settings.data_dir}",
                )
            reason = reason or f"the log begins with a checkpoint of {held.size} entries"
        return anchor.create(ledger.checkpoint(), reason=reason or "")


def recover(
    settings: Settings, export: Path, progress: Callable[[int, int], None] | None = None
) -> Recovered:
    """Continue the database from an export, check all of it, move the anchor.

    Raises RecoveryRefused, and has changed nothing in the log then.
    """
    signer = _signer(settings)
    anchor = _anchor(settings, signer)
    try:
        anchored = anchor.read()
    except AnchorLost:
        anchored = None
    recovery = Recovery(
        export, VerifierKey.parse(signer.vkey), anchored=anchored, progress=progress
    )
    keys = signers.load(settings.keys_dir)
    with _database(settings) as engine:
        if not holds_log(engine):
            schema.migrate(engine)
            Ledger.create(
                engine,
                origin=signer.name,
                log_key=keys.log,
                data_dir=settings.data_dir,
                first_note=recovery.first_note,
            )
        schema.check(engine)
        vault = Vault(keys.openings, engine)
        _store_blobs(settings, export)  # before the entries that name them
        before = recovery.into(engine, settings.data_dir, vault, Conventions(ref_of, _subject))
        found = fsck(_open(settings, engine), engine, vault=vault)
        if found:
            told = f"recovered, and {len(found)} things differ; the first is {found[0]}"
            raise ServiceError(500, "ledger-inconsistent", f"{told}. assay ledger fsck names all")
        if anchored is not None:
            _open(settings, engine, anchor=settings.anchor_path)
    return Recovered(before, recovery.size, anchored=anchored is not None)


def _signer(settings: Settings) -> NoteSigner:
    if not settings.keys_dir.is_dir():
        raise NotInitialised(str(settings.data_dir))
    return NoteSigner(origin_of(settings), signers.load(settings.keys_dir).log)


def _anchor(settings: Settings, signer: NoteSigner) -> Anchor:
    keys = signers.load(settings.keys_dir)
    known = [signer, *(NoteSigner(signer.name, key) for key in keys.more_log)]
    return Anchor(settings.anchor_path, lambda: [VerifierKey.parse(key.vkey) for key in known])


def _open(settings: Settings, engine: Engine, anchor: Path | None = None) -> Ledger:
    keys = signers.load(settings.keys_dir)
    return Ledger.open(
        engine,
        origin=origin_of(settings),
        log_key=keys.log,
        more_log_keys=keys.more_log,
        data_dir=settings.data_dir,
        anchor=anchor,
    )


@contextmanager
def _database(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings.url)
    try:
        yield engine
    finally:
        engine.dispose()


def _store_blobs(settings: Settings, export: Path) -> None:
    blobs, source = BlobStore(settings.blobs_dir), DirectorySource(export)
    for path in source.list():
        if is_blob(path):
            blobs.put(source.read(path))


def ref_of(body: Mapping[str, Any]) -> str | None:
    """What an entry is looked up by, as whoever appended it gave it."""
    data = body["data"]
    if body["type"] == "outcome":
        return f"{data['prediction_leaf']}.{data['row_index']}"
    field = _REF.get(body["type"])
    found = None if field is None else data[field]
    return None if found is None else str(found)


def _subject(
    leaf: int, body: Mapping[str, Any], subject_of: Callable[[int, int], str | None]
) -> str:
    """Whose an entry's openings are. Pseudonyms are in no export, so each request gets a new one.

    An outcome's is that of its prediction, so that erasing one erases the other.
    """
    if body["type"] == "outcome":
        data = body["data"]
        place = data["prediction_leaf"], data["row_index"]
        return subject_of(*place) or f"outcome_{place[0]}.{place[1]}"
    return f"recovered_{leaf}"
