"""Cosignatures: what a witness signs under a checkpoint (C2SP tlog-cosignature, v1, Ed25519).

A line `— <name> <base64 of key id, time and signature>` under the log's own. The witness says: as
of this second, the largest tree I saw of this log, grown without a change from all I saw before,
has this root. The signed message is `cosignature/v1`, a time line, and the note's whole text.

The key id of type 0x04 binds name and key; the message does not hold the name, so one key serves
one witness. Type 0x06 (ML-DSA-44) passes as a signature of an unknown key. Times are seconds since
1970; nothing here has a clock, so a time in the future is not refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import (
    check_name,
    format_signature,
    format_vkey,
    key_hash,
    note_message,
    parse_signature,
    parse_vkey,
    split_note,
)
from ledger.public_keys import SIGNATURE_BYTES
from ledger.refusals import NoteError, SignatureRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.keys import SigningKey
    from ledger.public_keys import PublicKey

COSIGNATURE: Final = 0x04
TIME_BYTES: Final = 8
LATEST: Final = 2**63 - 1  # a POSIX time past this is malformed


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The key a witness cosigns with, under its name."""

    name: str
    key: PublicKey

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """Read `name+hash+base64`; surrounding white space is dropped. Raises KeyRefused."""
        return cls(*parse_vkey(text, COSIGNATURE, "an Ed25519 witness key (type 4, 32 bytes)"))

    @property
    def hash(self) -> bytes:
        """The 4-byte key id of cosignature lines."""
        return key_hash(self.name, COSIGNATURE, self.key.public)

    def __str__(self) -> str:
        return format_vkey(self.name, COSIGNATURE, self.key.public)


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's private key under its name."""

    name: str
    key: SigningKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def vkey(self) -> str:
        """The verifier key: what a policy names the witness by."""
        return format_vkey(self.name, COSIGNATURE, self.key.public)

    def cosign(self, text: str, time: int) -> str:
        """One signature line over a checkpoint's text, as of a POSIX time in seconds."""
        signature = self.key.sign(cosigned_message(text, time))
        hashed = key_hash(self.name, COSIGNATURE, self.key.public)
        return format_signature(self.name, hashed, time.to_bytes(TIME_BYTES, "big") + signature)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was verified; `line` ends in a line feed."""

    witness: WitnessKey
    time: int
    line: str


def cosigned_message(text: str, time: int) -> bytes:
    """The bytes a witness signs. Raises NoteError for a text that no note can have."""
    return f"cosignature/v1\ntime {time}\n".encode() + note_message(text)


def verify_cosignatures(note: str, witnesses: Sequence[WitnessKey]) -> list[Cosignature]:
    """Every cosignature in a note by one of `witnesses`, in the note's order.

    Whether the log signed the note is not looked at. Raises NoteError when the note is malformed or
    one of `witnesses` cosigned it badly.
    """
    text, signatures = split_note(note)
    known = {(witness.name, witness.hash): witness for witness in witnesses}
    found = []
    for name, hashed, signature in signatures:
        witness = known.get((name, hashed))
        if witness is not None:
            line = format_signature(name, hashed, signature)
            found.append(_verify(text, witness, signature, line))
    return found


def read_cosignatures(text: str, lines: str, witness: WitnessKey) -> list[Cosignature]:
    """What a witness answered for a checkpoint's text: its cosignatures; other keys are ignored.

    Raises NoteError when a line is malformed or a cosignature does not verify.
    """
    found = []
    for line in lines.removesuffix("\n").split("\n"):
        name, hashed, signature = parse_signature(line)
        if (name, hashed) == (witness.name, witness.hash):
            found.append(_verify(text, witness, signature, line + "\n"))
    return found


def cosigned_time(line: str) -> int:
    """The time that one line with its line feed states; nothing is verified. Raises NoteError."""
    name, _, signature = parse_signature(line.removesuffix("\n"))
    if not line.endswith("\n") or len(signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise NoteError(f"cosignature of {name} is not one line of a time and a signature")
    return int.from_bytes(signature[:TIME_BYTES], "big")


def _verify(text: str, witness: WitnessKey, signature: bytes, line: str) -> Cosignature:
    if len(signature) != TIME_BYTES + SIGNATURE_BYTES:
        raise NoteError(f"cosignature of {witness.name} has {len(signature)} bytes")
    time = int.from_bytes(signature[:TIME_BYTES], "big")
    if not 0 < time <= LATEST:
        raise NoteError(f"cosignature of {witness.name} has the time {time}")
    try:
        witness.key.verify(cosigned_message(text, time), signature[TIME_BYTES:])
    except SignatureRefused as error:
        raise NoteError(f"cosignature of {witness.name} does not verify") from error
    return Cosignature(witness, time, line)
