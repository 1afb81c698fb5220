"""Private keys that stay elsewhere, in a vault or a KMS. The one importer of securesystemslib.

A `.uri` file holds two lines: the signer's URI as securesystemslib reads it, and the public key in
base64. It holds no secret. What to know about the package:

- only Ed25519 serves here. Of its schemes `hv:` (HashiCorp Vault transit) and `file2:` (a PEM file)
  sign with it in 1.6; those of AWS, Azure, Google and PKCS #11 do not, and are refused by the first
  signature;
- a signer takes its credentials from the environment, as its own service documents them;
- errors are whatever the service's client raises, hence the broad `except`: it is the border.

The public key is the file's word, so a signature is made and checked when a key is opened, and
every later one is checked before it leaves: no wrong signature gets into a log.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.errors import KeyRefused, LedgerUnavailable, SignatureRefused
from ledger.grammar import decode_base64
from ledger.keys import PublicKey, SigningKey

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".uri"
URI_FILE_MAX: Final = 4096  # bytes of two lines; a URI has a few hundred
PROBE: Final = b"assay/key-probe/v1\0"


class UriKey(SigningKey):
    """A private key behind a signer URI; used like one that is here."""

    __slots__ = ("_checked", "_signer", "uri")

    def __init__(self, uri: str, public: bytes) -> None:
        """Open a key and have it sign once. Raises KeyRefused."""
        # The parent's own __init__ is not called: it wants the seed, which is not here.
        self.uri = uri
        self._checked = PublicKey(public)
        self.public, self.key_id = public, self._checked.key_id
        self._signer = _open(uri, public)
        try:
            self.sign(PROBE)
        except (LedgerUnavailable, SignatureRefused) as error:
            raise KeyRefused(uri, f"cannot be used: {error}") from error

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature. Raises LedgerUnavailable; SignatureRefused when it is wrong."""
        try:
            signature = bytes.fromhex(self._signer.sign(message).signature)
        except Exception as error:  # of any client library
            raise LedgerUnavailable("signing", f"{self.uri}: {error}") from error
        self._checked.verify(message, signature)
        return signature

    def to_pem(self) -> bytes:
        """Refuse: the private key is not here. Raises KeyRefused."""
        raise KeyRefused(self.uri, "is not here, so it cannot be written to a file")

    def __repr__(self) -> str:
        return f"UriKey({self.key_id})"


def load_uri(path: Path) -> UriKey:
    """Open the key that a `.uri` file names. Raises KeyRefused."""
    try:
        with path.open("rb") as file:
            lines = file.read(URI_FILE_MAX).decode().split()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(str(path), f"cannot be read: {error}") from error
    public = decode_base64(lines[-1]) if lines else None
    if public is None or len(lines) != 2:  # noqa: PLR2004 - a URI and a key
        raise KeyRefused(str(path), "is not a signer URI and a public key in base64, a line each")
    return UriKey(lines[0], public)


def uri_file(uri: str, public: bytes) -> str:
    """What a `.uri` file holds."""
    return f"{uri}\n{base64.b64encode(public).decode()}\n"


def _open(uri: str, public: bytes) -> Any:  # noqa: ANN401 - the package is an extra
    try:
        from securesystemslib import signer  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise KeyRefused(
            uri, "needs the package securesystemslib: pip install assay[kms]"
        ) from error
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        package: Any = signer  # it exports its names without saying so
        return package.Signer.from_priv_key_uri(uri, package.SSlibKey.from_crypto(key))
    except Exception as error:
        raise KeyRefused(uri, f"cannot be opened: {error}") from error
