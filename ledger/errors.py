"""Every error the ledger raises. The constructor takes the facts and writes the sentence.

One root, `LedgerError`, so that a caller can catch "the ledger refused" in one place. Nothing here
knows HTTP, exit codes or log levels: whoever catches decides what an error means to its caller.
"""

from __future__ import annotations

from ledger.refusals import (
    CanonicalError,
    InclusionError,
    KeyRefused,
    LedgerError,
    NoteError,
    OpeningMismatch,
    ReceiptError,
    RecordError,
    SignatureRefused,
    TileError,
)

__all__ = [
    "AnchorLost",
    "AnchorRefused",
    "CanonicalError",
    "ConsistencyError",
    "DeadlinePassed",
    "DuplicateKeyConflict",
    "InclusionError",
    "KeyRefused",
    "LedgerError",
    "LedgerInconsistent",
    "LedgerUnavailable",
    "NotFound",
    "NoteError",
    "OpeningMismatch",
    "Overtaken",
    "QueueFull",
    "QuorumMissed",
    "ReceiptError",
    "RecordError",
    "RecoveryRefused",
    "RolledBack",
    "SignatureRefused",
    "SplitView",
    "TileError",
    "TlogPolicyError",
]


class ConsistencyError(LedgerError):
    """A consistency proof is malformed or leads to other roots."""

    def __init__(
        self,
        *,
        old_size: int,
        new_size: int,
        reason: str = "",
        root: bytes = b"",
        computed: bytes = b"",
    ) -> None:
        reason = reason or f"root is {root.hex()}, proof leads to {computed.hex()}"
        super().__init__(f"tree of {old_size} within tree of {new_size}: {reason}")
        self.old_size = old_size
        self.new_size = new_size
        self.root = root
        self.computed = computed


# --- the log at work -------------------------------------------------------------------------


class NotFound(LedgerError):
    """What was asked for is not in this log."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"no {kind} {name} in this log")
        self.kind = kind
        self.name = name


class DuplicateKeyConflict(LedgerError):
    """An idempotency key was used before, for another request."""

    def __init__(self, key: str, leaf_index: int | None = None) -> None:
        where = "" if leaf_index is None else f" for leaf {leaf_index}"
        super().__init__(f"idempotency key {key} was already used{where} by another request")
        self.key = key
        self.leaf_index = leaf_index


class Overtaken(LedgerError):
    """What an append was conditional on has changed since its caller looked; nothing recorded."""

    def __init__(self, kind: str, ref: str, *, leaf: int, since: int) -> None:
        super().__init__(
            f"{kind} of {ref} came in at leaf {leaf}, after the look at {since} entries"
        )
        self.kind = kind
        self.ref = ref
        self.leaf = leaf


class DeadlinePassed(LedgerError):
    """The moment a caller named passed before its entries were taken to be written."""

    def __init__(self) -> None:
        super().__init__("the deadline passed while waiting to be recorded; nothing was recorded")


class QueueFull(LedgerError):
    """More appends wait than the queue admits; nothing was recorded."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} appends are waiting already; nothing was recorded, retry")
        self.limit = limit


class LedgerUnavailable(LedgerError):
    """Storage failed; whether the entry is durable is unknown until it is read back by its key."""

    def __init__(self, operation: str, cause: str) -> None:
        super().__init__(f"{operation} failed: {cause}")
        self.operation = operation
        self.cause = cause


class LedgerInconsistent(LedgerError):
    """Stored head, tiles, entries or checkpoint disagree; the ledger refuses to go on."""

    def __init__(self, what: str, *, expected: object = "", got: object = "") -> None:
        facts = f": expected {expected}, got {got}" if expected != "" or got != "" else ""
        super().__init__(f"{what}{facts}; inspect with: assay ledger fsck")
        self.what = what
        self.expected = expected
        self.got = got


# --- the anchor ------------------------------------------------------------------------------


class AnchorRefused(LedgerError):
    """The anchor cannot be used as it is; nothing is appended."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"anchor {path}: {reason}")
        self.path = path
        self.reason = reason


class AnchorLost(AnchorRefused):
    """There is no anchor, or its disk is not there; none is made on first use."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            "it is not there; without it nobody notices a restored backup, so nothing is appended. "
            "Bring its disk back, or, where it is lost or never was: assay ledger anchor --create",
        )


class RolledBack(LedgerError):
    """The database is behind its anchor, or another log; nothing is appended."""

    def __init__(self, *, size: int, root: bytes, found_size: int, found_root: bytes) -> None:
        found = f"ends at {found_size}" if found_size < size else f"has {found_root.hex()} there"
        super().__init__(
            f"the anchor stands at {size} entries, root {root.hex()}, and the database {found}: it "
            "was rolled back, or is another's. Nothing is appended; bring back what is missing "
            "from an export: assay ledger recover EXPORT_DIR"
        )
        self.size = size
        self.root = root
        self.found_size = found_size
        self.found_root = found_root


class RecoveryRefused(LedgerError):
    """An export does not continue this database; nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not recovered, nothing was changed: {reason}")
        self.reason = reason


# --- witnesses -------------------------------------------------------------------------------


class TlogPolicyError(LedgerError):
    """A policy file is not as C2SP tlog-policy wants it."""

    def __init__(self, line: int, reason: str) -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"witness policy: {where}{reason}")
        self.line = line
        self.reason = reason


class QuorumMissed(LedgerError):
    """A checkpoint lacks cosignatures that the policy asks for, or is of a log it does not name."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"quorum: {reason}")
        self.reason = reason


class SplitView(LedgerError):
    """One log signed two trees of which neither is the beginning of the other."""

    def __init__(self, origin: str, sizes: tuple[int, int], reason: str) -> None:
        super().__init__(
            f"{origin} signed two histories, at sizes {sizes[0]} and {sizes[1]}: {reason}; "
            "keep both checkpoints, they are the evidence"
        )
        self.origin = origin
        self.sizes = sizes
        self.reason = reason
