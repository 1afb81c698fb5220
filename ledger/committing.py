"""A row committed to, fast: what `make_opening`, `row_object` and `Opening.to_bytes` give together.

The same bytes in a third of the time, for the path that every prediction takes: names are encoded
once, objects are not made to be taken apart again, and msgspec writes the opening. Tests hold it to
the slow functions, which a verifier reads. The row is checked when its draft is (`check_draft`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from ledger.commitment import CALLER_REFERENCE, FIELD_TAG, OPENING_SCHEMA, ROW_SCHEMA, SALT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class CommittedRow:
    """A row as recorded, its opening's canonical bytes, and the caller's reference in hex."""

    row: dict[str, object]
    opening: bytes
    caller_reference: str | None


def commit_row(
    index: int,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    decision: str,
    random: Callable[[int], bytes],
    *,
    caller_reference: str | None = None,
) -> CommittedRow:
    """Commit to every field under fresh salts from `random(byte_count)`.

    Raises UnicodeEncodeError for text with a lone surrogate, which has no bytes.
    """
    opened = dict(outputs)
    if caller_reference is not None:
        opened[CALLER_REFERENCE] = caller_reference
    salts = random(SALT_BYTES * (len(inputs) + len(opened)))
    inputs_committed, inputs_opened = _commit(inputs, salts)
    outputs_committed, outputs_opened = _commit(opened, salts[SALT_BYTES * len(inputs) :])
    reference = outputs_committed.pop(CALLER_REFERENCE, None)
    opening = {
        "inputs": inputs_opened,
        "outputs": outputs_opened,
        "row_index": index,
        "schema": OPENING_SCHEMA,
    }
    row: dict[str, object] = {
        "schema": ROW_SCHEMA,
        "row_index": index,
        "inputs": inputs_committed,
        "outputs": outputs_committed,
        "decision": decision,
    }
    return CommittedRow(row, _ENCODER.encode(opening), reference)


def _commit(
    fields: Mapping[str, str], salts: bytes
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    committed, opened = {}, {}
    at = 0
    for name, value in fields.items():
        salt = salts[at : at + SALT_BYTES]
        at += SALT_BYTES
        committed[name] = sha256(FIELD_TAG + salt + _named(name) + value.encode()).hexdigest()
        opened[name] = {"salt": salt.hex(), "value": value}
    return committed, opened


@lru_cache(maxsize=4096)
def _named(name: str) -> bytes:
    named = name.encode()
    return len(named).to_bytes(4, "big") + named
