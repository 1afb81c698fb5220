"""What a prediction was computed with, as bytes whose digest every record carries."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from ledger.canonical import canonical_bytes

LOCK = Path(__file__).parent.parent / "requirements.lock"  # beside us in a checkout ...
PACKED_LOCK = Path(__file__).parent / "requirements.lock"  # ... within us once installed
NUMERICS = ("numpy", "scikit-learn", "xgboost")  # what arithmetic depends on


def lock_digest() -> str:
    """SHA-256 of the committed lock: names, versions and hashes of everything installed."""
    lock = LOCK if LOCK.exists() else PACKED_LOCK
    return "sha256:" + hashlib.sha256(lock.read_bytes()).hexdigest()


def environment_blob() -> bytes:
    """The environment in canonical JSON: lock digest, interpreter, machine, numeric versions."""
    return canonical_bytes(
        {
            "schema": "assay/environment/v1",
            "lock_digest": lock_digest(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "packages": {name: metadata.version(name) for name in NUMERICS},
        }
    )
