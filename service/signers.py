"""The house's own private keys: one per role, one file each, mode 0600, made by `assay init`.

In this release they live on one machine, so a thief of the machine holds all of them; what that
means is said in docs/threat-model.md. Each key is introduced by a `key.added` entry signed by the
operator and by itself, so an auditor learns from the log alone who could sign what, from when.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.canonical import canonical_bytes
from ledger.keys import Role, SigningKey, load_key, save_key
from ledger.record import Draft
from service.errors import NotInitialised

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
POSSESSION = b"assay/key-possession/v1\0"


@dataclass(frozen=True, slots=True)
class Signers:
    """The private keys by role, the log's own and the key that wraps the openings' keys."""

    by_role: dict[Role, SigningKey]
    log: SigningKey
    openings: bytes
    sessions: bytes

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
        by_role={role: load_key(directory / f"{role}.key") for role in ROLES},
        log=load_key(directory / f"{Role.LOG}.key"),
        openings=_read_secret(directory / "openings.kek"),
        sessions=_read_secret(directory / "sessions.secret"),
    )


def introduction(key: SigningKey, role: Role, holder: str, *, event_time: str) -> Draft:
    """The `key.added` entry of a key, with its proof of possession."""
    data: dict[str, object] = {
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public).decode(),
        "role": str(role),
        "holder": holder,
    }
    possession = key.sign(POSSESSION + canonical_bytes(data))
    data["possession"] = base64.b64encode(possession).decode()
    return Draft(type="key.added", actor_id=holder, data=data, event_time=event_time, ref=str(role))


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
