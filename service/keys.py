"""Keys of a house over the years: further ones, successors, revocations, each an entry.

A key ends by leaf, not by time: it may sign up to the entry that replaces or revokes it. The log
refuses what an ended key signs (`ledger/ended.py`), so a process that holds one still answers 503
until it is started again; nothing is recorded in between.

Order of a rotation: the successor is written to disk, the old key signs the entry that names it,
then the files change places. A crash before the entry leaves a successor that nobody knows: it is
used by the next try. A crash after it is finished by whoever opens the house next (`settle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import KeyRefused, RecordError, SignatureRefused
from ledger.keybook import ADDED, ENDING, REVOKED, ROTATED, KeyBook
from ledger.keys import Role, SigningKey, load_key, save_key
from ledger.record import Draft, check_draft, parse_entry
from service import key_files, log_key
from service.errors import FieldRefused, Missing, ServiceError
from service.locks import held
from service.signers import ROLES, introduction, load, succession

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.log import Ledger
    from ledger.writing import Appended
    from service.assembly import Assembly
    from service.settings import Settings
    from service.signers import Signers

LOCK: Final = "keys.lock"


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, and with which operator's key: one in a file, or the house's own."""

    actor_id: str
    key_file: Path | None = None

    def operator(self, house: Assembly) -> SigningKey:
        """The key that signs."""
        return load_key(self.key_file) if self.key_file else house.signers[Role.OPERATOR]


def book_of(ledger: Ledger) -> KeyBook:
    """Every key that the log speaks of, as of its end."""
    found = [stored for kind in (ADDED, ROTATED, REVOKED) for stored in ledger.entries(type=kind)]
    book = KeyBook()
    for stored in sorted(found, key=lambda stored: stored.index):
        body = parse_entry(stored.entry).body
        try:
            book.check(stored.index, body)
        except (KeyRefused, SignatureRefused):
            continue  # an audit names it; it changes nothing here
        if body["type"] in ENDING:
            book.end(stored.index, body)
    return book


def settle(settings: Settings, keys: Signers, ledger: Ledger, *, ended: bool = False) -> Signers:
    """Finish what a crash interrupted; then refuse keys that may not sign, unless `ended`."""
    book = book_of(ledger)
    if any(_is_due(settings.keys_dir, role, book) for role in (*ROLES, Role.LOG)):
        with held(settings, LOCK):
            for role in (*ROLES, Role.LOG):
                if _is_due(settings.keys_dir, role, book):
                    key_files.swap(settings.keys_dir, role, beside=role is Role.LOG)
            keys = load(settings.keys_dir)
    log_key.settle(settings, book, ledger)
    for role in () if ended else ROLES:
        key = book.keys.get(keys[role].key_id)
        if key is None or key.until is not None:
            raise _unfit(settings, role, keys[role].key_id, None if key is None else key.until)
    return keys


def add(house: Assembly, role: Role, holder: str, act: Act) -> tuple[Path, int]:
    """Introduce a further key, made here; returns its file and the leaf."""
    key = SigningKey.generate()
    path = house.settings.keys_dir / f"{role}.{key.key_id}{key_files.KEY}"
    save_key(path, key)
    draft = introduction(key, role, holder, event_time=house.now(), actor_id=act.actor_id)
    try:
        return path, _append(house, draft, act.operator(house)).index
    except ServiceError:  # refused, so nothing names this key; after any other error something may
        path.unlink()
        raise


def add_own(house: Assembly, role: Role, holder: str, act: Act) -> tuple[Path, int]:
    """Introduce a key and put it in place of the house's own, which must have ended before."""
    directory = house.settings.keys_dir
    with held(house.settings, LOCK):
        old = key_files.load_current(directory, role)
        known = book_of(house.ledger).keys.get(old.key_id)
        if known is not None and known.until is None:
            told = f"the house's {role} key {old.key_id} is in use; replace it: assay keys rotate"
            raise ServiceError(409, "key-in-use", f"{told} {role}")
        key = key_files.load_next(directory, role) or _successor(directory, role, None)
        draft = introduction(key, role, holder, event_time=house.now(), actor_id=act.actor_id)
        appended = _append(house, draft, act.operator(house))
        key_files.swap(directory, role)
    return directory / f"{role}{key_files.KEY}", appended.index


def add_claim(house: Assembly, claim: dict[str, Any], act: Act) -> int:
    """Introduce a key that is held elsewhere, by what it says of itself."""
    ref = str(claim.get("role"))
    draft = Draft(type=ADDED, actor_id=act.actor_id, data=claim, event_time=house.now(), ref=ref)
    return _append(house, draft, act.operator(house)).index


def rotate(
    house: Assembly, role: Role, *, holder: str, uri: Path | None, destroy: bool, actor_id: str
) -> tuple[str, str, int]:
    """Put a new key in place of the house's own; returns both ids, old first, and the leaf."""
    directory = house.settings.keys_dir
    with held(house.settings, LOCK):
        old = key_files.load_current(directory, role)
        new = key_files.load_next(directory, role)
        if new is None:
            new = _successor(directory, role, uri)
        known = book_of(house.ledger).keys.get(old.key_id)
        draft = succession(
            new,
            role,
            holder or (known.holder if known else f"house:{role}"),
            replaces=old.key_id,
            event_time=house.now(),
            actor_id=actor_id,
        )
        appended = _append(house, draft, old)
        key_files.swap(directory, role, destroy=destroy)
    return old.key_id, new.key_id, appended.index


def revoke(house: Assembly, key_id: str, reason: str, act: Act) -> int:
    """End a key; returns the leaf after which it may sign nothing."""
    if key_id not in book_of(house.ledger).keys:
        raise Missing(f"no key {key_id} in this log", "assay keys list shows those that are")
    data = {"key_id": key_id, "reason": reason}
    draft = Draft(
        type=REVOKED, actor_id=act.actor_id, data=data, event_time=house.now(), ref=key_id
    )
    leaf = _append(house, draft, act.operator(house)).index
    log_key.settle(house.settings, book_of(house.ledger), house.ledger)
    return leaf


def rotate_log(house: Assembly, *, holder: str, uri: Path | None, act: Act) -> tuple[str, str, int]:
    """Put a new key in place of the log's own; returns both ids, old first, and the leaf.

    The old one signs the entry, and every checkpoint beside the new one until it is revoked.
    """
    directory = house.settings.keys_dir
    with held(house.settings, LOCK):
        old = key_files.load_current(directory, Role.LOG)
        known = book_of(house.ledger).keys.get(old.key_id)
        log_key.refuse_overlap(house.settings, book_of(house.ledger))
        new = key_files.load_next(directory, Role.LOG) or _successor(directory, Role.LOG, uri)
        house.ledger.signer.hold(new)
        named = holder or (known.holder if known else f"house:{Role.LOG}")
        who = {"event_time": house.now(), "actor_id": act.actor_id}
        if known is None:
            _append(house, introduction(old, Role.LOG, named, **who), act.operator(house))
        draft = succession(new, Role.LOG, named, replaces=old.key_id, **who)
        appended = _append(house, draft, old)
        key_files.swap(directory, Role.LOG, beside=True)
    log_key.settle(house.settings, book_of(house.ledger), house.ledger)
    return old.key_id, new.key_id, appended.index


def _append(house: Assembly, draft: Draft, key: SigningKey) -> Appended:
    """Record an entry about keys, held against an auditor's rules before."""
    if draft.type == ADDED and draft.data.get("role") == Role.LOG:
        log_key.refuse_stranger(house.settings, str(draft.data.get("key_id")))
    try:
        check_draft(draft)
        book = book_of(house.ledger)
        body = {"type": draft.type, "producer": key.key_id, "data": draft.data}
        leaf = house.ledger.size
        book.check(leaf, body)
    except RecordError as error:
        raise FieldRefused(error.field, error.reason) from error
    except (KeyRefused, SignatureRefused) as error:
        raise ServiceError(409, "key-refused", f"{error}; nothing was recorded") from error
    misfit = book.misfit(leaf, body)
    if misfit is not None:
        told = f"the entry must be signed by {misfit[0]}, not by {misfit[1]}; nothing was recorded"
        raise ServiceError(409, "key-refused", told)
    return house.ledger.append(draft, key)


def _successor(directory: Path, role: Role, uri: Path | None) -> SigningKey:
    if uri is None:
        key = SigningKey.generate()
        key_files.write_next(directory, role, key)
        return key
    from ledger.kms import load_uri  # noqa: PLC0415 - only where one is named

    elsewhere = load_uri(uri)
    key_files.write_next(directory, role, elsewhere, uri=elsewhere.uri)
    return elsewhere


def _is_due(directory: Path, role: Role, book: KeyBook) -> bool:
    """Whether a successor waits that the log knows already."""
    coming = key_files.load_next(directory, role)
    return coming is not None and coming.key_id in book.keys


def _unfit(settings: Settings, role: Role, key_id: str, until: int | None) -> ServiceError:
    told = "is not in this log" if until is None else f"was ended by entry {until}"
    return ServiceError(
        409,
        "key-ended",
        f"the house's {role} key {key_id} {told}, so it may sign nothing. If its successor is on "
        f"another host, copy {settings.keys_dir} from there; else: assay keys add --own "
        f"--role {role} --holder house:{role} --data-dir {settings.data_dir}",
    )
