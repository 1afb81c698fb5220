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
from typing import TYPE_CHECKING, Final

from ledger.errors import InclusionError, RecordError
from ledger.grammar import decode_base64
from ledger.keys import SIGNATURE_BYTES
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash, paths_for_batch, root_of, root_through
from ledger.tiles import ENTRY_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENTRY_TAG: Final = b"assay/entry/v1\0"
BATCH_TAG: Final = b"assay/batch/v1\0"
BATCH_MAX: Final = 1024  # bodies under one signature: at most ten hashes of path in each entry
PLAIN_MAX: Final = ENTRY_MAX - 768  # a longer body leaves no room for a path: it is signed alone
_HEAD: Final = b'{"body":'
_MIDDLE: Final = b',"sig":"'
_TAIL: Final = b'"}'
_SIGNATURE_CHARS: Final = 88  # base64 of 64 bytes
_BODY_END: Final = -(len(_MIDDLE) + _SIGNATURE_CHARS + len(_TAIL))
ENVELOPE: Final = len(_HEAD) - _BODY_END  # bytes around a body that is signed alone
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


def assemble(body: bytes, signature: bytes) -> bytes:
    """The entry of a body and its own 64-byte signature."""
    return _HEAD + body + _MIDDLE + base64.b64encode(signature) + _TAIL


def sign_bodies(bodies: Sequence[bytes], sign: Callable[[bytes], bytes]) -> list[bytes]:
    """The entries of one producer's bodies, in order, under as few signatures as there can be."""
    entries = [b""] * len(bodies)
    together = [place for place, body in enumerate(bodies) if len(body) <= PLAIN_MAX]
    alone = [place for place, body in enumerate(bodies) if len(body) > PLAIN_MAX]
    for start in range(0, len(together), BATCH_MAX):
        batch = together[start : start + BATCH_MAX]
        if len(batch) == 1:
            alone += batch
        else:
            signed = _sign_batch([bodies[place] for place in batch], sign)
            for place, entry in zip(batch, signed, strict=True):
                entries[place] = entry
    for place in alone:
        entries[place] = assemble(bodies[place], sign(signed_message(bodies[place])))
    return entries


def _sign_batch(bodies: Sequence[bytes], sign: Callable[[bytes], bytes]) -> list[bytes]:
    leaves = [leaf_hash(ENTRY_TAG + body) for body in bodies]
    signature = base64.b64encode(sign(batch_message(len(leaves), root_of(leaves))))
    end = b',"size":%d},"body":' % len(leaves)
    tail = _MIDDLE + signature + _TAIL
    return [
        b'{"batch":{"index":%d,"path":"%b"%b%b%b'
        % (index, base64.b64encode(b"".join(path)), end, body, tail)
        for index, (path, body) in enumerate(
            zip(paths_for_batch(Frontier(), leaves), bodies, strict=True)
        )
    ]


def open_envelope(entry: bytes) -> Envelope:
    """Take an entry apart. Its signature is not checked, its body not read. Raises RecordError."""
    if len(entry) > ENTRY_MAX:
        raise RecordError("entry", f"{len(entry)} bytes; at most {ENTRY_MAX}")
    start, batch = _start(entry)
    body = _body(entry, start)
    try:
        signature_text = entry[_BODY_END + len(_MIDDLE) : -len(_TAIL)].decode("ascii")
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
    if entry.startswith(_HEAD):
        return len(_HEAD), None
    found = _BATCHED.match(entry)
    if found is None:
        return len(entry), None
    return found.end(), (int(found[1]), found[2], int(found[3]))


def _body(entry: bytes, start: int) -> bytes:
    body = entry[start:_BODY_END]
    layout = entry[_BODY_END : _BODY_END + len(_MIDDLE)], entry[-len(_TAIL) :]
    if not body or layout != (_MIDDLE, _TAIL):
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
