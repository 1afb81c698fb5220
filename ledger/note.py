"""Signed notes and checkpoints, made (C2SP signed-note, tlog-checkpoint); read: `checkpoint.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.errors import NoteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.keys import SigningKey

from ledger.checkpoint import (
    ED25519,
    KEY_HASH_BYTES,
    NOTE_MAX,
    SIGNATURES_MAX,
    SIZE_MAX,
    Checkpoint,
    KeyHistory,
    LogKey,
    Trusted,
    VerifierKey,
    check_name,
    format_signature,
    format_vkey,
    key_hash,
    note_message,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_signature,
    parse_vkey,
    split_note,
)

__all__ = [
    "ED25519",
    "KEY_HASH_BYTES",
    "NOTE_MAX",
    "SIGNATURES_MAX",
    "SIZE_MAX",
    "Checkpoint",
    "KeyHistory",
    "LogKey",
    "NoteSigner",
    "Trusted",
    "VerifierKey",
    "check_name",
    "format_signature",
    "format_vkey",
    "key_hash",
    "note_message",
    "open_checkpoint",
    "open_note",
    "parse_checkpoint",
    "parse_signature",
    "parse_vkey",
    "sign_checkpoint",
    "sign_note",
    "split_note",
]


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A private key under the name it signs notes with."""

    name: str
    key: SigningKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def vkey(self) -> str:
        """The verifier key, to be handed out apart from the log."""
        return format_vkey(self.name, ED25519, self.key.public)

    @property
    def hash(self) -> bytes:
        """The 4-byte key id of signature lines."""
        return key_hash(self.name, ED25519, self.key.public)


def sign_note(text: str, signers: Iterable[NoteSigner]) -> str:
    """The signed note over a text that ends in a line feed."""
    message = note_message(text)
    lines = [
        format_signature(signer.name, signer.hash, signer.key.sign(message)) for signer in signers
    ]
    return text + "\n" + "".join(lines)


def sign_checkpoint(checkpoint: Checkpoint, *signers: NoteSigner) -> str:
    """The signed note of a checkpoint; the origin is the signers' name."""
    for signer in signers:
        if checkpoint.origin != signer.name:
            raise NoteError(f"{signer.name} cannot sign for {checkpoint.origin}")
    return sign_note(checkpoint.to_text(), signers)
