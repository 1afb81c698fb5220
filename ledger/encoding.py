"""Canonical bytes of a checked draft, fast: what `record.encode_body` gives, by another encoder.

`canonical.py` looks at every value for what has no canonical form. A body that passed the grammar
holds nothing of the kind: text under ASCII keys, integers within 2^53, lists, null. Of such values
msgspec's sorted JSON is RFC 8785's, in a tenth of the time; tests hold the two together on whatever
Hypothesis thinks of. Not for reading: a verifier never comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ledger.canonical import canonical_bytes
from ledger.record import body_of_draft, check_draft, check_length

if TYPE_CHECKING:
    from ledger.record import Draft

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def encode_checked(draft: Draft, *, origin: str, producer: str) -> bytes:
    """Hold a draft against the grammar; its canonical body under number 0. Raises RecordError."""
    check_draft(draft)
    body = body_of_draft(draft, origin=origin, producer=producer, seq=0)
    try:
        encoded = _ENCODER.encode(body)
    except (TypeError, ValueError):  # what it cannot write, the other refuses in words
        encoded = canonical_bytes(body)
    check_length(encoded)
    return encoded
