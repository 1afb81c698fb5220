"""Public Ed25519 keys: their ids, roles, and the rules for whose signatures count (RFC 8032).

Ed25519 verifiers disagree on edge cases, and a log read for years must get one answer from all of
them. Three rules beyond RFC 8032 leave no disagreement known to us: a public key with a
non-canonical encoding is refused, one of small order is refused, and so is a signature whose R has
small order (anybody can make those for some messages). The library already refuses S >= L.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.refusals import KeyRefused, SignatureRefused

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_TAG = b"assay/key/v1\0"
POSSESSION_TAG = b"assay/key-possession/v1\0"

_P = 2**255 - 19
_SIGN_BIT = 1 << 255
# y of the eight points of small order (RFC 8032, 5.1: p, curve; order 8 twice, 4, 2, 1).
_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_Y = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
# Each with either sign bit, and the non-canonical forms of 0 and 1.
_SMALL_ORDER = frozenset(
    (y | sign).to_bytes(KEY_BYTES, "little")
    for y in (*_SMALL_Y, _P, _P + 1)
    for sign in (0, _SIGN_BIT)
)


class Role(StrEnum):
    """What a key is for. One key, one role."""

    OPERATOR = "operator"
    LOG = "log"
    PRODUCER = "producer"
    OUTCOME_SOURCE = "outcome_source"
    PUBLISHER = "publisher"
    APPROVER = "approver"
    REPORTER = "reporter"
    WITNESS = "witness"
    GATEWAY = "gateway"
    TOKEN_ISSUER = "token_issuer"  # noqa: S105 - a role's name
    RELAY = "relay"


def key_id(public_key: bytes) -> str:
    """The name of a public key in entries: 32 hex digits."""
    return sha256(KEY_ID_TAG + public_key).hexdigest()[:32]


class PublicKey:
    """A public key that passed the rules; checks signatures without looking at the rules again."""

    __slots__ = ("_key", "key_id", "public")

    def __init__(self, public: bytes) -> None:
        self.public = public
        self.key_id = key_id(public)
        if len(public) != KEY_BYTES:
            raise KeyRefused(self.key_id, f"{len(public)} bytes long, not {KEY_BYTES}")
        if public in _SMALL_ORDER:
            raise KeyRefused(self.key_id, "a point of small order")
        if int.from_bytes(public, "little") % _SIGN_BIT >= _P:
            raise KeyRefused(self.key_id, "encoding is not canonical")
        self._key = Ed25519PublicKey.from_public_bytes(public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check one signature; raises SignatureRefused."""
        if signature[:KEY_BYTES] in _SMALL_ORDER:
            raise SignatureRefused(self.key_id, "its R has small order")
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise SignatureRefused(self.key_id, "does not verify over these bytes") from None
