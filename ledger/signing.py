"""The envelope of an entry, made: signed alone, or a commit's bodies under one signature.

Formats and reading are in `envelope.py`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from ledger.merkle import paths_for_batch
from ledger.tile_paths import ENTRY_MAX
from ledger.tree import Frontier, leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

from ledger.envelope import (
    BATCH_MAX,
    BODY_END,
    ENTRY_TAG,
    HEAD,
    MIDDLE,
    TAIL,
    batch_message,
    signed_message,
)

PLAIN_MAX: Final = ENTRY_MAX - 768  # a longer body leaves no room for a path: it is signed alone
ENVELOPE: Final = len(HEAD) - BODY_END  # bytes around a body that is signed alone


def assemble(body: bytes, signature: bytes) -> bytes:
    """The entry of a body and its own 64-byte signature."""
    return HEAD + body + MIDDLE + base64.b64encode(signature) + TAIL


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
    tail = MIDDLE + signature + TAIL
    return [
        b'{"batch":{"index":%d,"path":"%b"%b%b%b'
        % (index, base64.b64encode(b"".join(path)), end, body, tail)
        for index, (path, body) in enumerate(
            zip(paths_for_batch(Frontier(), leaves), bodies, strict=True)
        )
    ]
