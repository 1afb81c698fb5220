"""Private Ed25519 keys: made, kept in files, signing (RFC 8032).

The rules for whose signatures count are in `public_keys.py`. Which key may sign what is in
`record.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import KeyRefused

if TYPE_CHECKING:
    from pathlib import Path

from ledger.public_keys import (
    KEY_BYTES,
    KEY_ID_TAG,
    POSSESSION_TAG,
    SIGNATURE_BYTES,
    PublicKey,
    Role,
    key_id,
)

__all__ = [
    "KEY_BYTES",
    "KEY_FILE_MAX",
    "KEY_ID_TAG",
    "POSSESSION_TAG",
    "SIGNATURE_BYTES",
    "PublicKey",
    "Role",
    "SigningKey",
    "key_id",
    "load_key",
    "save_key",
    "verify_signature",
]
KEY_FILE_MAX = 4096  # bytes; a PEM of one Ed25519 key has 119


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature under the three rules. Raises KeyRefused or SignatureRefused."""
    PublicKey(public_key).verify(message, signature)


class SigningKey:
    """A private key. Its 32-byte seed never shows in `repr`."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key from the system's randomness."""
        return cls(os.urandom(KEY_BYTES))

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over a message."""
        return self._key.sign(message)

    def to_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 (RFC 8410)."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"


def save_key(path: Path, key: SigningKey) -> None:
    """Write a private key to a new file, mode 0600, on disk before this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.to_pem())
        file.flush()
        os.fsync(file.fileno())


def load_key(path: Path) -> SigningKey:
    """Read a private key file. Raises KeyRefused when missing, malformed or readable by others."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(KEY_FILE_MAX)
    except OSError as error:
        raise KeyRefused(str(path), f"cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise KeyRefused(str(path), f"can be read by others; repair: chmod 600 {path}")
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise KeyRefused(str(path), "is not a PEM private key") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyRefused(str(path), "is not an Ed25519 key")
    return SigningKey(loaded.private_bytes_raw())
