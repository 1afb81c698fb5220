"""The house's key for OpenSSF model signatures, and the signers whose signatures it counts.

The ledger's keys are Ed25519 and model-signing wants an EC key, so this one is apart: made when the
first model is signed, and named by a statement beside it that says whose it is and until when.
Statements of other houses are trusted one by one, by a person who got them by another way.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from models.errors import ManifestRefused
from models.hub.signing import SIGNER_MAX, Signer, new_key
from service.clock import utc_ms
from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from service.assembly import Assembly

KEY_LIFE: Final = timedelta(days=730)
HOUSE: Final = "house"


def house_key(assembly: Assembly) -> tuple[bytes, Signer]:
    """The private key in PEM and its statement; made now when there is none.

    Raises ServiceError when its time is over.
    """
    path = _private(assembly)
    if not path.exists():
        return renew(assembly, holder=assembly.ledger.origin)
    signer = next(s for name, s in trusted(assembly).items() if name == HOUSE)
    if assembly.now() > signer.not_after:
        raise ServiceError(
            409,
            "model-key-ended",
            f"the house's model signing key counted until {signer.not_after}; make the next one "
            f"with: assay models signer renew --data-dir {assembly.settings.data_dir}",
        )
    return path.read_bytes(), signer


def renew(assembly: Assembly, *, holder: str, life: timedelta = KEY_LIFE) -> tuple[bytes, Signer]:
    """Make a key in place of the one in use; what that one signed keeps its signer."""
    now = assembly.clock()
    pem, signer = new_key(holder, not_before=utc_ms(now), not_after=utc_ms(now + life))
    earlier = trusted(assembly).get(HOUSE)
    if earlier is not None:
        _write(_directory(assembly) / f"{HOUSE}-{earlier.hint[:16]}.json", earlier.to_bytes())
    _write(_private(assembly), pem, mode=0o600)
    _write(_directory(assembly) / f"{HOUSE}.json", signer.to_bytes())
    return pem, signer


def trust(assembly: Assembly, name: str, statement: bytes) -> Signer:
    """Count signatures of another house's key from now on."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name) or name.startswith(HOUSE):
        raise FieldRefused("name", f"use a-z, 0-9 and hyphens; {HOUSE} is our own")
    signer = Signer.parse(statement)
    signer.hint  # noqa: B018 - refuses a key that cannot be read
    _write(_directory(assembly) / f"{name}.json", signer.to_bytes())
    return signer


def trusted(assembly: Assembly) -> dict[str, Signer]:
    """Every signer that counts here, by the name it was given."""
    found = {}
    for path in sorted(_directory(assembly).glob("*.json")):
        if path.stat().st_size > SIGNER_MAX:
            raise ManifestRefused(f"signer {path.name}", f"more than {SIGNER_MAX} bytes")
        found[path.stem] = Signer.parse(path.read_bytes())
    return found


def ends_soon(signer: Signer, now: datetime) -> bool:
    """Whether a key's time ends within a month."""
    return utc_ms(now + timedelta(days=30)) > signer.not_after


def _private(assembly: Assembly) -> Path:
    return assembly.settings.keys_dir / "model-signing.pem"


def _directory(assembly: Assembly) -> Path:
    return assembly.settings.data_dir / "model-signers"


def _write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Whole or not at all: written beside its place, then renamed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
