"""The request by which a log asks a witness for a cosignature (C2SP tlog-witness, add-checkpoint).

    old <size the witness cosigned last>
    <consistency proof, one base64 hash a line, at most 63>
    <empty line>
    <the checkpoint as a signed note>

Every line ends in a line feed. Made by the publisher, read by the witness; what refuses it is
in `witness.py`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import LedgerError, NoteError
from ledger.grammar import decode_base64
from ledger.merkle import HASH_BYTES
from ledger.note import SIZE_MAX, parse_checkpoint, split_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.note import Checkpoint

REQUEST_MAX: Final = 1 << 17  # bytes; 63 hashes have 3 KiB, 16 ML-DSA-44 signatures 52 KiB
PROOF_MAX: Final = 63  # hashes; the standard's own bound

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


class RequestMalformed(LedgerError):
    """A request that is not laid out as the protocol wants it, or says old is more than new."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"request: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request, read; no signature and no proof was looked at."""

    old_size: int
    path: tuple[bytes, ...]
    note: str
    text: str
    checkpoint: Checkpoint


def format_request(old_size: int, path: Sequence[bytes], note: str) -> bytes:
    """The body of a request."""
    lines = [f"old {old_size}", *(base64.b64encode(node).decode() for node in path)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def parse_request(body: bytes) -> AddCheckpoint:
    """Read a request's body. Raises RequestMalformed."""
    if len(body) > REQUEST_MAX:
        raise RequestMalformed(f"longer than {REQUEST_MAX} bytes")
    try:
        head, blank, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise RequestMalformed("not UTF-8") from error
    first, *rest = head.split("\n")
    old = _OLD.fullmatch(first)
    if not blank or old is None or int(old[1]) > SIZE_MAX:
        raise RequestMalformed("no `old <size>`, proof and empty line before the checkpoint")
    path = [decode_base64(line) for line in rest]
    if len(path) > PROOF_MAX:
        raise RequestMalformed(f"{len(path)} proof lines; at most {PROOF_MAX}")
    nodes = tuple(node for node in path if node is not None and len(node) == HASH_BYTES)
    if len(nodes) != len(path):
        raise RequestMalformed("a proof line is not base64 of 32 bytes")
    try:
        text, _ = split_note(note)
        checkpoint = parse_extended(text)
    except NoteError as error:
        raise RequestMalformed(str(error)) from error
    return AddCheckpoint(int(old[1]), nodes, note, text, checkpoint)


def parse_extended(text: str) -> Checkpoint:
    """A checkpoint of any log: lines after the third are the log's own affair. Raises NoteError."""
    lines = text.split("\n")
    if "" in lines[:-1]:
        raise NoteError("an empty line in a checkpoint")
    return parse_checkpoint("\n".join(lines[:3]) + "\n")
