"""A second signature of the log under its checkpoints: ML-DSA-44 (FIPS 204), optional.

Records are read for ten years; Ed25519 may not last as long. C2SP tlog-cosignature gives ML-DSA-44
the signature type 0x06 and a message of its own, TLS presentation (RFC 8446, section 3), integers
big-endian:

    "subtree/v1" LF 0x00 | name length, 1 byte | name | time, 8 | origin length, 1 | origin
    | start, 8: 0 | end, 8: the size | root, 32

The log signs as its own cosigner: name and origin are the same, and the time is 0, which makes no
statement on when. A line has 3,280 bytes. Whoever has no key for it ignores it, as any verifier of
signed notes must; who has one can demand it (`verify_second`). Keys are made, kept and replaced by
hand: no entry of the log speaks of them.

`cryptography` 50 offers it only where its OpenSSL does (3.5 or later); signing is hedged, so two
signatures over the same bytes differ.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.errors import KeyRefused, NoteError
from ledger.grammar import decode_base64
from ledger.note import check_name, format_signature, key_hash, parse_checkpoint, split_note

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.note import Checkpoint

ML_DSA_44: Final = 0x06
PUBLIC_BYTES: Final = 1312
SECOND_SIGNATURE_BYTES: Final = 2420
PEM_MAX: Final = 4096
_LABEL: Final = b"subtree/v1\n\0"
_TIME: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class SecondKey:
    """A public key for second signatures, under the log's name."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> SecondKey:
        """Read `name+hash+base64`. Raises KeyRefused."""
        vkey = text.strip()
        name, _, rest = vkey.partition("+")
        hashed, _, encoded = rest.partition("+")
        material = decode_base64(encoded) or b""
        check_name(name)
        if material[:1] != bytes([ML_DSA_44]) or len(material) != 1 + PUBLIC_BYTES:
            raise KeyRefused(vkey[:80], "is not an ML-DSA-44 key (type 6, 1312 bytes)")
        key = cls(name, material[1:])
        if key.hash.hex() != hashed:
            raise KeyRefused(vkey[:80], f"hash is {hashed}, name and key give {key.hash.hex()}")
        return key

    @property
    def hash(self) -> bytes:
        """The 4-byte key id of signature lines."""
        return key_hash(self.name, ML_DSA_44, self.public)

    def __str__(self) -> str:
        material = base64.b64encode(bytes([ML_DSA_44]) + self.public).decode()
        return f"{self.name}+{self.hash.hex()}+{material}"


class SecondSigner:
    """The private key of second signatures. It never shows in `repr`."""

    def __init__(self, name: str, key: MLDSA44PrivateKey) -> None:
        self._key = key
        self.key = SecondKey(name, key.public_key().public_bytes_raw())

    @classmethod
    def load(cls, path: Path, name: str) -> SecondSigner:
        """Read a private key's file. Raises KeyRefused, also when it can be read by others."""
        try:
            with path.open("rb") as file:
                mode, pem = os.fstat(file.fileno()).st_mode, file.read(PEM_MAX)
            key = serialization.load_pem_private_key(pem, password=None)
        except OSError as error:
            raise KeyRefused(str(path), f"cannot be read: {error.strerror}") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyRefused(str(path), f"is no key this build reads: {error}") from error
        if mode & 0o077:
            raise KeyRefused(str(path), f"can be read by others; repair: chmod 600 {path}")
        if not isinstance(key, MLDSA44PrivateKey):
            raise KeyRefused(str(path), "is not an ML-DSA-44 key")
        return cls(name, key)

    def line(self, checkpoint: Checkpoint) -> str:
        """The signature line over a checkpoint."""
        signature = _TIME + self._key.sign(message(checkpoint))
        return format_signature(self.key.name, self.key.hash, signature)

    def __repr__(self) -> str:
        return f"SecondSigner({self.key.hash.hex()})"


def make_second_key(path: Path) -> None:
    """Write a new private key to a new file, mode 0600, on disk before this returns.

    Raises KeyRefused where the build of `cryptography` has no ML-DSA.
    """
    try:
        key = MLDSA44PrivateKey.generate()
    except UnsupportedAlgorithm as error:
        raise KeyRefused(str(path), f"this build of cryptography has no ML-DSA: {error}") from error
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def message(checkpoint: Checkpoint) -> bytes:
    """What is signed (`cosigned_message`). Raises NoteError for a name that does not fit."""
    name = checkpoint.origin.encode()
    if len(name) > 255:  # noqa: PLR2004 - its length has one byte
        raise NoteError(f"origin of {len(name)} bytes; at most 255")
    named = bytes([len(name)]) + name
    ends = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    return _LABEL + named + _TIME + named + ends + checkpoint.root


def verify_second(note: str, key: SecondKey) -> Checkpoint:
    """The checkpoint of a note that carries the second signature. Raises NoteError, KeyRefused.

    The first signature is not looked at.
    """
    text, signatures = split_note(note)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != key.name:
        raise NoteError(f"origin is {checkpoint.origin}, the key is of {key.name}")
    found = [line for name, hashed, line in signatures if (name, hashed) == (key.name, key.hash)]
    if not found:
        raise NoteError(f"no ML-DSA-44 signature of {key.name}, key {key.hash.hex()}")
    try:
        public = MLDSA44PublicKey.from_public_bytes(key.public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRefused(key.hash.hex(), f"cannot be used here: {error}") from error
    for signature in found:
        if signature[: len(_TIME)] != _TIME:
            raise NoteError("the log's ML-DSA-44 signature states a time; this log states none")
        try:
            public.verify(signature[len(_TIME) :], message(checkpoint))
        except (InvalidSignature, ValueError) as error:
            told = f"ML-DSA-44 signature of {key.name} does not verify"
            raise NoteError(told) from error
    return checkpoint
