"""The house's own private keys: one per role, one file each, mode 0600, made by `assay init`.

Unless some are elsewhere (`ledger/kms.py`) a thief of the machine holds all of them; what that
means is said in docs/threat-model.md. Each key is introduced by an entry signed by the operator, or
by the key that it replaces, and by itself, so an auditor learns from the log alone who could sign
what, from which entry to which. How one follows another is in `keys.py`.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.canonical import canonical_bytes
from ledger.keybook import ADDED, ROTATED
from ledger.keys import POSSESSION_TAG, Role, SigningKey, save_key
from ledger.record import Draft
from service.errors import NotInitialised
from service.key_files import load_current, load_former, load_next

if TYPE_CHECKING:
    from pathlib import Path

# The operator first: leaf 0 introduces it, signed by itself.
ROLES = (
    Role.OPERATOR,
    Role.PRODUCER,
    Role.OUTCOME_SOURCE,
    Role.PUBLISHER,
    Role.APPROVER,
    Role.REPORTER,
)


@dataclass(frozen=True, slots=True)
class Signers:
    """The private keys by role, the log's own and the key that wraps the openings' keys.

    `more_log`: keys of the log that sign beside the one in use, or will.
    """

    by_role: dict[Role, SigningKey]
    log: SigningKey
    openings: bytes
    sessions: bytes
    more_log: tuple[SigningKey, ...] = ()

    def __getitem__(self, role: Role) -> SigningKey:
        return self.by_role[role]


def create(directory: Path) -> Signers:
    """Make every key; refuses a directory that holds any."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=False)
    for role in (*ROLES, Role.LOG):
        save_key(directory / f"{role}.key", SigningKey.generate())
    for name in ("openings.kek", "sessions.secret"):
        _write_secret(directory / name, os.urandom(32))
    return load(directory)


def load(directory: Path) -> Signers:
    """Read every key; refuses a missing one, or one that others can read."""
    if not directory.is_dir():
        raise NotInitialised(str(directory.parent))
    return Signers(
        by_role={role: load_current(directory, role) for role in ROLES},
        log=load_current(directory, Role.LOG),
        more_log=tuple(
            key
            for key in (load_next(directory, Role.LOG), load_former(directory, Role.LOG))
            if key is not None
        ),
        openings=_read_secret(directory / "openings.kek"),
        sessions=_read_secret(directory / "sessions.secret"),
    )


def introduction(
    key: SigningKey, role: Role, holder: str, *, event_time: str, actor_id: str = ""
) -> Draft:
    """The `key.added` entry of a key, with its proof of possession."""
    data = claim_of(key, role, holder)
    return _entry(ADDED, data, actor_id or holder, event_time)


def succession(
    key: SigningKey, role: Role, holder: str, *, replaces: str, event_time: str, actor_id: str
) -> Draft:
    """The `key.rotated` entry of a key that follows another, to be signed by that other one."""
    data = claim_of(key, role, holder, replaces=replaces)
    return _entry(ROTATED, data, actor_id, event_time)


def claim_of(key: SigningKey, role: Role, holder: str, **more: str) -> dict[str, object]:
    """What a key says of itself, and its signature over that: it is held by who says so."""
    claim: dict[str, object] = {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public).decode(),
        "role": str(role),
        "holder": holder,
        **more,
    }
    possession = key.sign(POSSESSION_TAG + canonical_bytes(claim))
    return {**claim, "possession": base64.b64encode(possession).decode()}


def _entry(kind: str, data: dict[str, object], actor_id: str, event_time: str) -> Draft:
    ref = str(data["role"])
    return Draft(type=kind, actor_id=actor_id, data=data, event_time=event_time, ref=ref)


def _write_secret(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _read_secret(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        message = f"{path} can be read by others; repair: chmod 600 {path}"
        raise PermissionError(message)
    return path.read_bytes()
