"""What reading evidence refuses: malformed bytes, keys, proofs, signatures. All an auditor meets.

The constructor takes the facts and writes the sentence. The errors of the log at work are in
`errors.py`, which has these too.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of every error of this package."""


# --- bytes -----------------------------------------------------------------------------------


class CanonicalError(LedgerError):
    """A value has no canonical form here, or bytes are not in canonical form (RFC 8785)."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class RecordError(LedgerError):
    """An entry, a row or an opening breaks the grammar of `record.py`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class OpeningMismatch(LedgerError):
    """An opening does not lead to the commitment that was recorded."""

    def __init__(self, field: str, *, expected: str | None, got: str | None) -> None:
        super().__init__(
            f"opening of {field}: committed {expected or 'nothing'}, opens to {got or 'nothing'}"
        )
        self.field = field
        self.expected = expected
        self.got = got


# --- the tree --------------------------------------------------------------------------------


class InclusionError(LedgerError):
    """An inclusion proof is malformed or leads to another root."""

    def __init__(
        self, *, index: int, size: int, reason: str = "", root: bytes = b"", computed: bytes = b""
    ) -> None:
        reason = reason or f"root is {root.hex()}, proof leads to {computed.hex()}"
        super().__init__(f"leaf {index} of {size}: {reason}")
        self.index = index
        self.size = size
        self.root = root
        self.computed = computed


class TileError(LedgerError):
    """A tile, an entry bundle or the path of one is not as C2SP tlog-tiles wants it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"tile {name}: {reason}")
        self.name = name
        self.reason = reason


# --- signatures ------------------------------------------------------------------------------


class NoteError(LedgerError):
    """A signed note or checkpoint is malformed, or not signed by a known key."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"signed note: {reason}")
        self.reason = reason


class KeyRefused(LedgerError):
    """A key cannot be used: its encoding, its group element, or its file."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"key {key}: {reason}")
        self.key = key
        self.reason = reason


class SignatureRefused(LedgerError):
    """A signature does not verify under the key that should have made it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"signature by key {key}: {reason}")
        self.key = key
        self.reason = reason


class ReceiptError(LedgerError):
    """A receipt is malformed, or its parts do not belong together."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"receipt: {reason}")
        self.reason = reason
