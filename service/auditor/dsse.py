"""A signed statement about a model, checked without the package that made it (DSSE, in-toto).

Envelope: `{"payload": base64, "payloadType": text, "signatures": [{"keyid", "sig"}]}`. What is
signed is the pre-authentication encoding, `DSSEv1 SP len SP type SP len SP payload` (DSSE v1.0.2,
protocol.md). The payload is an in-toto Statement v1, whose subject names the model's digest.

Base64 is read strictly: one envelope has one reading. A signature by a key nobody named is
ignored; a bad signature of a named key refuses the envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import LedgerError
from ledger.keys import verify_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
ENVELOPE_MAX: Final = 1 << 20  # bytes; a statement holds digests and a few sentences


class EnvelopeRefused(ValueError):
    """An envelope that is malformed, or not signed by a key that may sign it."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(f"expected {expected}, got {got}")


def open_envelope(data: bytes, keys: Mapping[str, bytes]) -> dict[str, Any]:
    """The statement inside, once a key of `keys` (public keys by key id) is shown to have signed.

    Raises EnvelopeRefused with what was expected and what was found.
    """
    envelope = _object(data, "the envelope", {"payload", "payloadType", "signatures"})
    kind = envelope["payloadType"]
    if kind != PAYLOAD_TYPE:
        raise EnvelopeRefused(f"payload type {PAYLOAD_TYPE}", repr(kind))
    payload = _decode(envelope["payload"], "the payload")
    _check_signatures(envelope["signatures"], pae(PAYLOAD_TYPE, payload), keys)
    statement = _object(payload, "the statement", None)
    if statement.get("_type") != STATEMENT_TYPE:
        raise EnvelopeRefused(f"statement type {STATEMENT_TYPE}", repr(statement.get("_type")))
    return statement


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what a signature of an envelope covers."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def subject_digests(statement: Mapping[str, Any]) -> set[str]:
    """`sha256:<64 hex>` of every subject of a statement; what cannot be read names nothing."""
    found: set[str] = set()
    subjects = statement.get("subject")
    for subject in subjects if isinstance(subjects, list) else []:
        digest = subject.get("digest") if isinstance(subject, dict) else None
        value = digest.get("sha256") if isinstance(digest, dict) else None
        if isinstance(value, str):
            found.add(f"sha256:{value}")
    return found


def _check_signatures(signatures: object, message: bytes, keys: Mapping[str, bytes]) -> None:
    if not isinstance(signatures, list) or not signatures:
        raise EnvelopeRefused("a list of signatures", repr(signatures))
    expected = "a signature by " + (" or ".join(sorted(keys)) or "a publisher's key")
    signed = False
    for item in signatures:
        if not isinstance(item, dict) or not isinstance(item.get("keyid"), str):
            raise EnvelopeRefused("a signature with a key id", repr(item))
        if item["keyid"] not in keys:
            continue
        try:
            signature = _decode(item.get("sig"), "a signature")
            verify_signature(keys[item["keyid"]], message, signature)
        except LedgerError as error:
            raise EnvelopeRefused(expected, str(error)) from error
        signed = True
    if not signed:
        named = ", ".join(sorted({str(item["keyid"]) for item in signatures}))
        raise EnvelopeRefused(expected, f"signatures by {named}")


def _decode(text: object, what: str) -> bytes:
    if not isinstance(text, str):
        raise EnvelopeRefused(f"{what} in base64", repr(text))
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeRefused(f"{what} in base64", str(error)) from error
    if base64.b64encode(data).decode() != text:
        raise EnvelopeRefused(f"{what} in base64 of one spelling", "spare bits or characters")
    return data


def _object(data: bytes, what: str, keys: set[str] | None) -> dict[str, Any]:
    if len(data) > ENVELOPE_MAX:
        raise EnvelopeRefused(f"{what} of at most {ENVELOPE_MAX} bytes", f"{len(data)} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EnvelopeRefused(f"{what} in JSON", str(error)) from error
    if not isinstance(value, dict) or (keys is not None and set(value) != keys):
        named = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise EnvelopeRefused(f"{what} with the keys {sorted(keys or ())}", str(named))
    return value
