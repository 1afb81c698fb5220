"""The envelope of an entry: its body's exact bytes under its producer's signature.

Two forms, both canonical JSON whose keys sort as written (docs/formats/entry.md):

    {"body":{...},"sig":"<88 characters>"}
    {"batch":{"index":2,"path":"<base64>","size":9},"body":{...},"sig":"<88 characters>"}

Alone, the signature is over `assay/entry/v1`, a zero byte and the body. In a batch it is over
`assay/batch/v1`, a zero byte, the number of bodies (32 bits, big-endian) and the RFC 9162 root over
them; a leaf of that tree is what would have been signed alone, and `path` leads from it to the
root. So one signature, at about 75 microseconds, serves a whole commit, and each entry can still be
checked by itself, with nothing else of its batch.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from ledger.grammar import decode_base64
from ledger.public_keys import SIGNATURE_BYTES
from ledger.refusals import InclusionError, RecordError
from ledger.tile_paths import ENTRY_MAX
from ledger.tree import HASH_BYTES, leaf_hash, root_through

ENTRY_TAG: Final = b"assay/entry/v1\0"
BATCH_TAG: Final = b"assay/batch/v1\0"
BATCH_MAX: Final = 1024  # bodies under one signature: at most ten hashes of path in each entry
HEAD: Final = b'{"body":'
MIDDLE: Final = b',"sig":"'
TAIL: Final = b'"}'
_SIGNATURE_CHARS: Final = 88  # base64 of 64 bytes
BODY_END: Final = -(len(MIDDLE) + _SIGNATURE_CHARS + len(TAIL))
_BATCHED: Final = re.compile(
    rb'\{"batch":\{"index":(0|[1-9][0-9]{0,3}),"path":"([A-Za-z0-9+/]{1,428}={0,2})",'
    rb'"size":([1-9][0-9]{0,3})\},"body":'
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An entry taken apart: the body's bytes, the signature, and the message it must be over."""

    body: bytes
    signature_text: str
    message: bytes

    @property
    def signature(self) -> bytes:
        """The 64 bytes of the signature."""
        return base64.b64decode(self.signature_text)


def signed_message(body: bytes) -> bytes:
    """What the signature of an entry that is signed alone is over."""
    return ENTRY_TAG + body


def batch_message(size: int, root: bytes) -> bytes:
    """What the signature of a batch is over."""
    return BATCH_TAG + size.to_bytes(4, "big") + root


def open_envelope(entry: bytes) -> Envelope:
    """Take an entry apart. Its signature is not checked, its body not read. Raises RecordError."""
    if len(entry) > ENTRY_MAX:
        raise RecordError("entry", f"{len(entry)} bytes; at most {ENTRY_MAX}")
    start, batch = _start(entry)
    body = _body(entry, start)
    try:
        signature_text = entry[BODY_END + len(MIDDLE) : -len(TAIL)].decode("ascii")
    except UnicodeDecodeError as error:
        raise RecordError("sig", "is not ASCII") from error
    signature = decode_base64(signature_text)
    if signature is None or len(signature) != SIGNATURE_BYTES:
        raise RecordError("sig", f"expected base64 of {SIGNATURE_BYTES} bytes")
    message = signed_message(body)
    return Envelope(body, signature_text, _root_signed(message, *batch) if batch else message)


def body_of(entry: bytes) -> bytes:
    """The body's exact bytes. Raises RecordError when the layout is another."""
    return _body(entry, _start(entry)[0])


def _start(entry: bytes) -> tuple[int, tuple[int, bytes, int] | None]:
    """Where the body begins, and place, path and size of a batch."""
    if entry.startswith(HEAD):
        return len(HEAD), None
    found = _BATCHED.match(entry)
    if found is None:
        return len(entry), None
    return found.end(), (int(found[1]), found[2], int(found[3]))


def _body(entry: bytes, start: int) -> bytes:
    body = entry[start:BODY_END]
    layout = entry[BODY_END : BODY_END + len(MIDDLE)], entry[-len(TAIL) :]
    if not body or layout != (MIDDLE, TAIL):
        raise RecordError(
            "entry", 'is not laid out {"body":...,"sig":"..."}, nor as one of a batch'
        )
    return body


def _root_signed(message: bytes, index: int, path: bytes, size: int) -> bytes:
    decoded = decode_base64(path.decode())
    if decoded is None or len(decoded) % HASH_BYTES or not 1 < size <= BATCH_MAX:
        raise RecordError("batch", f"expected a path of hashes among 2 to {BATCH_MAX} bodies")
    nodes = [decoded[at : at + HASH_BYTES] for at in range(0, len(decoded), HASH_BYTES)]
    try:
        return batch_message(size, root_through(leaf_hash(message), index, size=size, path=nodes))
    except InclusionError as error:
        raise RecordError("batch", str(error)) from error
