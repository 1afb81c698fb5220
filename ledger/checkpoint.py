"""Signed notes and checkpoints, read: what a log says of its own tree, and by which keys.

C2SP signed-note and tlog-checkpoint, on text; no I/O, no clock.

A note is text, a blank line, and signature lines `— <name> <base64 of key id and signature>`. A
checkpoint is a note of three lines: origin, tree size, root. Whoever reads one names the keys he
trusts; signatures of other keys are ignored, and one bad signature of a trusted key refuses the
note. Base64 has one accepted spelling, so no byte of a signature can be changed unseen.

Ed25519 only (signature type 0x01). Cosignatures of witnesses (0x04, `cosignature.py`) and ML-DSA-44
(0x06, `post_quantum.py`) pass as signatures of unknown keys. Signing is in `note.py`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ledger.grammar import decode_base64
from ledger.public_keys import KEY_BYTES, SIGNATURE_BYTES, PublicKey
from ledger.refusals import KeyRefused, NoteError, SignatureRefused
from ledger.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence


ED25519: Final = 0x01
KEY_HASH_BYTES: Final = 4
NOTE_MAX: Final = 1 << 20  # characters; 16 signatures of post-quantum keys have about 100,000
SIGNATURES_MAX: Final = 100  # signed-note demands that at least 16 be accepted
SIZE_MAX: Final = 2**63 - 1  # tree sizes are stored as signed 64-bit integers

_DASH: Final = "\u2014 "
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CHECKPOINT_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key a note may be signed with: its name, and the public key."""

    name: str
    key: PublicKey

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `name+hash+base64`; surrounding white space is dropped. Raises KeyRefused."""
        return cls(*parse_vkey(text, ED25519, "an Ed25519 key (type 1, 32 bytes)"))

    @property
    def hash(self) -> bytes:
        """The 4-byte key id of signature lines: SHA-256 over name, line feed, type and key."""
        return key_hash(self.name, ED25519, self.key.public)

    def __str__(self) -> str:
        return format_vkey(self.name, ED25519, self.key.public)


def open_note(note: str, keys: Sequence[VerifierKey]) -> str:
    """The text of a note signed by at least one of `keys`.

    Raises NoteError when the note is malformed, none of `keys` signed it, or one did so badly.
    """
    text, signatures = split_note(note)
    message = note_message(text)
    known = {(key.name, key.hash): key for key in keys}
    signed = False
    for name, hashed, signature in signatures:
        key = known.get((name, hashed))
        if key is None:
            continue
        if len(signature) != SIGNATURE_BYTES:
            raise NoteError(f"signature of {name} has {len(signature)} bytes")
        try:
            key.key.verify(message, signature)
        except SignatureRefused as error:
            raise NoteError(f"signature of {name} does not verify") from error
        signed = True
    if not signed:
        raise NoteError("not signed by " + (", ".join(map(str, keys)) or "any known key"))
    return text


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Text of a note, and name, key id and signature of each line. Nothing is verified."""
    if len(note) > NOTE_MAX:
        raise NoteError(f"{len(note)} characters; at most {NOTE_MAX}")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise NoteError("no blank line before signature lines")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError(f"{len(lines)} signatures; at most {SIGNATURES_MAX}")
    return text + "\n", [parse_signature(line) for line in lines]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree of one log at one size."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """The note's text: origin, size in decimal, root in base64, one line each."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; extension lines are refused, this log writes none."""
    lines = text.split("\n")
    if len(lines) != _CHECKPOINT_LINES + 1 or lines[-1]:
        raise NoteError(f"a checkpoint has {_CHECKPOINT_LINES} lines")
    origin, size, root = lines[:_CHECKPOINT_LINES]
    if not origin:
        raise NoteError("checkpoint without origin")
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise NoteError(f"tree size {size[:40]!r} is not a decimal number")
    decoded = decode_base64(root)
    if decoded is None or len(decoded) != HASH_BYTES:
        raise NoteError("root is not base64 of 32 bytes")
    return Checkpoint(origin, int(size), decoded)


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of a log, and the tree sizes whose checkpoints it signs: `since` to `until`."""

    key: VerifierKey
    since: int = 0
    until: int | None = None

    def signs(self, size: int) -> bool:
        """Whether checkpoints of that size are to carry its signature."""
        return self.since <= size and (self.until is None or size <= self.until)

    def __str__(self) -> str:
        span = f"{self.since} on" if self.until is None else f"{self.since} to {self.until}"
        return f"{self.key}, which signs sizes from {span}"


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """Every key that a log has signed checkpoints with, oldest first (`log_keys.py`)."""

    keys: tuple[LogKey, ...]

    @classmethod
    def of(cls, key: Trusted) -> KeyHistory:
        """The history of a log that has had one key, as far as one knows. Raises KeyRefused."""
        if isinstance(key, KeyHistory):
            return key
        return cls((LogKey(VerifierKey.parse(key) if isinstance(key, str) else key),))

    @property
    def name(self) -> str:
        """The log's name, which stays."""
        return self.newest.name

    @property
    def newest(self) -> VerifierKey:
        """The key that came last."""
        return self.keys[-1].key

    def __str__(self) -> str:
        return ", ".join(str(key) for key in self.keys) if self.keys[1:] else str(self.newest)


# What a reader trusts a log by: a verifier key as text or read, or all keys that it has had.
Trusted = str | VerifierKey | KeyHistory


def open_checkpoint(note: str, trusted: Trusted) -> Checkpoint:
    """The checkpoint in a note that is signed by every key the log is to sign its size with.

    A signature by a key of the log that had ended, or was to come, refuses it. Raises NoteError,
    also for another log's origin; KeyRefused when a key cannot be used.
    """
    history = KeyHistory.of(trusted)
    text, signatures = split_note(note)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != history.name:
        raise NoteError(f"origin is {checkpoint.origin}, the key is of {history.name}")
    signed = {(name, hashed) for name, hashed, _ in signatures}
    for held in history.keys:
        if held.signs(checkpoint.size):
            open_note(note, [held.key])
        elif (held.key.name, held.key.hash) in signed:
            raise NoteError(f"size {checkpoint.size} is signed by {held}")
    if not any(held.signs(checkpoint.size) for held in history.keys):
        raise NoteError(f"no key of the log signs size {checkpoint.size}: {history}")
    return checkpoint


# --- lines, shared with cosignatures ---------------------------------------------------------


def parse_vkey(text: str, kind: int, told: str) -> tuple[str, PublicKey]:
    """Name and key of a verifier key of one signature type. Raises KeyRefused."""
    vkey = text.strip()
    name, plus, rest = vkey.partition("+")
    hashed, also_plus, encoded = rest.partition("+")
    material = decode_base64(encoded)
    if not (plus and also_plus and material and _is_name(name)):
        raise KeyRefused(vkey[:80], "is not laid out name+hash+base64")
    if material[0] != kind or len(material) != 1 + KEY_BYTES:
        raise KeyRefused(vkey[:80], f"is not {told}")
    computed = key_hash(name, kind, material[1:]).hex()
    if computed != hashed:
        raise KeyRefused(vkey[:80], f"hash is {hashed}, name and key give {computed}")
    return name, PublicKey(material[1:])


def format_vkey(name: str, kind: int, public: bytes) -> str:
    """A verifier key: name, key id and base64 of signature type and key."""
    material = base64.b64encode(bytes([kind]) + public).decode()
    return f"{name}+{key_hash(name, kind, public).hex()}+{material}"


def key_hash(name: str, kind: int, public: bytes) -> bytes:
    """The 4-byte key id that a signature of type `kind` carries."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_HASH_BYTES]


def check_name(name: str) -> None:
    """Refuse a key name that a signature line cannot carry. Raises KeyRefused."""
    if not _is_name(name):
        raise KeyRefused(name, "a name has no space, no plus and is not empty")


def note_message(text: str) -> bytes:
    """The bytes that are signed: the text with its last line feed. Raises NoteError."""
    if not text.endswith("\n"):
        raise NoteError("text does not end in a line feed")
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("text holds a control character")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NoteError("text has no UTF-8 form") from error


def format_signature(name: str, hashed: bytes, signature: bytes) -> str:
    """One signature line with its line feed."""
    return f"{_DASH}{name} {base64.b64encode(hashed + signature).decode()}\n"


def parse_signature(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id and signature of one line without its line feed. Raises NoteError."""
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    decoded = decode_base64(encoded)
    if not line.startswith(_DASH) or not space or not _is_name(name):
        raise NoteError("malformed signature line")
    if decoded is None or len(decoded) <= KEY_HASH_BYTES:
        raise NoteError(f"signature of {name} is not base64 of a key id and a signature")
    return name, decoded[:KEY_HASH_BYTES], decoded[KEY_HASH_BYTES:]


def _is_name(name: str) -> bool:
    return bool(name) and not any(
        c.isspace() or c < " " or c == "+" or "\ud800" <= c <= "\udfff" for c in name
    )
