"""The two facts of a model's manifest that an audit compares with the log: its name and version.

The manifest's digest is the model's identity, so it is hashed here and not taken from a file name.
What else it says is read by whoever loads the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

SCHEMAS: Final = ("assay/model-manifest/v1", "assay/model-manifest/v2")


class ManifestRefused(ValueError):
    """Bytes that are not the manifest of the digest they are stored under."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(f"manifest: expected {expected}, got {got}")


@dataclass(frozen=True, slots=True)
class Named:
    """What a manifest calls its model."""

    name: str
    version: str


def named_in(data: bytes, digest: str) -> Named:
    """Name and version out of a manifest's bytes. Raises ManifestRefused."""
    found = "sha256:" + sha256(data).hexdigest()
    if found != digest:
        raise ManifestRefused(f"bytes of {digest}", f"bytes of {found}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestRefused("a manifest in JSON", str(error)) from error
    if not isinstance(value, dict) or value.get("schema") not in SCHEMAS:
        got = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise ManifestRefused(f"schema {' or '.join(SCHEMAS)}", repr(got))
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise ManifestRefused("a name and a version in text", f"{name!r} and {version!r}")
    return Named(name, version)
