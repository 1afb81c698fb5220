"""A receipt: an entry, its place, the proof that it is there, and the checkpoint it is under.

It is checked offline with the log's verifier key alone. `published` means included under a
checkpoint that the log signed; it does not exclude that the log shows somebody else another tree.
`witnessed` says that witnesses cosigned the checkpoint too. That word is the server's: what counts
are the cosignatures, held against a policy of the reader's own, as far as its witnesses are
independent. The entry's own signature is the producer's, and whether that key might sign is in the
log: an audit of the log settles it, a receipt does not.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import parse_canonical
from ledger.checkpoint import NOTE_MAX, KeyHistory, open_checkpoint
from ledger.entry import parse_entry
from ledger.grammar import HEX64, LEAF, check_fields, list_of, one_of, text
from ledger.inclusion import verify_inclusion
from ledger.log_keys import follow, parse_lines
from ledger.refusals import ReceiptError, RecordError
from ledger.tile_paths import ENTRY_MAX
from ledger.tree import leaf_hash

if TYPE_CHECKING:
    from ledger.checkpoint import Trusted
    from ledger.grammar import Fields
    from ledger.tlog_policy import TlogPolicy

FORMAT: Final = "assay/receipt/v1"
PUBLISHED: Final = "published"
WITNESSED: Final = "witnessed"
TLOG_PROOF: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`path` holds sibling hashes, lowest first; `checkpoint` is a signed note of `tree_size`."""

    leaf_index: int
    entry: bytes
    tree_size: int
    path: tuple[bytes, ...]
    checkpoint: str
    state: str = PUBLISHED

    def to_json(self) -> dict[str, Any]:
        """The receipt as plain JSON; the entry as text, byte for byte."""
        return {
            "format": FORMAT,
            "state": self.state,
            "leaf_index": self.leaf_index,
            "entry": self.entry.decode(),
            "inclusion": {
                "tree_size": self.tree_size,
                "path": [node.hex() for node in self.path],
            },
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def from_json(cls, value: object) -> Receipt:
        """Read a receipt. Raises ReceiptError."""
        try:
            _check_object(value, _RECEIPT, "receipt")
            assert isinstance(value, dict)  # noqa: S101 - narrows the type; checked just above
            inclusion = value["inclusion"]
            return cls(
                leaf_index=value["leaf_index"],
                entry=value["entry"].encode(),
                tree_size=inclusion["tree_size"],
                path=tuple(bytes.fromhex(node) for node in inclusion["path"]),
                checkpoint=value["checkpoint"],
                state=value["state"],
            )
        except (RecordError, UnicodeEncodeError) as error:
            raise ReceiptError(str(error)) from error

    def to_tlog_proof(self) -> str:
        """The proof as a C2SP tlog-proof file; the entry travels apart."""
        lines = [TLOG_PROOF, f"index {self.leaf_index}"]
        lines += [base64.b64encode(node).decode() for node in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def verify_receipt(receipt: Receipt, vkey: Trusted, policy: TlogPolicy | None = None) -> None:
    """Check a receipt against what the log is trusted by: checkpoint, inclusion, the entry's form.

    With a policy also its quorum; without one, cosignatures are not looked at. Raises NoteError,
    InclusionError, RecordError, ReceiptError or QuorumMissed.
    """
    keys = KeyHistory.of(vkey)
    checkpoint = open_checkpoint(receipt.checkpoint, keys)
    if policy is not None:
        policy.require(receipt.checkpoint, keys)
    if checkpoint.size != receipt.tree_size:
        raise ReceiptError(f"proof of size {receipt.tree_size}, checkpoint of {checkpoint.size}")
    verify_inclusion(
        leaf_hash(receipt.entry),
        receipt.leaf_index,
        size=checkpoint.size,
        path=receipt.path,
        root=checkpoint.root,
    )
    origin = parse_entry(receipt.entry).body["origin"]
    if origin != checkpoint.origin:
        raise ReceiptError(f"entry of {origin}, checkpoint of {checkpoint.origin}")


def follow_receipts(trusted: Trusted, data: bytes) -> KeyHistory:
    """All keys of a log from one that is trusted, by a file `log-keys.jsonl` (`log_keys.py`).

    Each entry in it is under a checkpoint that the keys it leads to signed. Raises LedgerError.
    """
    keys = follow(trusted, parse_lines(data))
    for line in data.splitlines():
        verify_receipt(Receipt.from_json(parse_canonical(line)), keys)
    return keys


def _check_object(value: object, fields: Fields, where: str) -> None:
    if not isinstance(value, dict):
        raise RecordError(where, "expected an object")
    check_fields(value, fields, where)


def _inclusion(value: object) -> str | None:
    _check_object(value, _INCLUSION, "inclusion")
    return None


_INCLUSION: Fields = {"tree_size": LEAF, "path": list_of(HEX64)}
_RECEIPT: Fields = {
    "format": one_of(FORMAT),
    "state": one_of(PUBLISHED, WITNESSED),
    "leaf_index": LEAF,
    "entry": text(ENTRY_MAX),
    "inclusion": _inclusion,
    "checkpoint": text(NOTE_MAX),
}
