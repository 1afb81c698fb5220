"""The ledger: what was recorded, and how anyone can check it. The tour.

1. An **entry** is canonical JSON signed by its producer (`record`, `canonical`, `keys`). It holds
   commitments; the values are opened beside the log and can be erased.
2. Its **leaf hash** joins an append-only Merkle tree (`merkle`), kept as tiles (`tiles`).
3. The log signs the tree as a **checkpoint** (`note`) in the transaction that stores the entry.
4. Entry, index, inclusion proof and checkpoint make a **receipt** (`receipt`): checked offline,
   with the log's verifier key alone.
5. A static **export** holds the whole log; `verify` recomputes all of it from bytes, with the
   standard library and one Ed25519 library.

What reads a format stands apart from what writes it, so that the verifier is short: `entry` and
`record`, `checkpoint` and `note`, `tree` and `merkle`, `tile_paths` and `tiles`, `public_keys` and
`keys`, `opened` and `commitment`, `envelope` and `signing`, `refusals` and `errors`. The writing
half hands out the reading names too.

Only the pure half is re-exported here: no database, no clock, no I/O. The stateful half is imported
by module: `log.Ledger` (append, group commit), `store` and `tables` (SQLite), `vault` (encrypted
openings), `seal` (merkletools), `export`. The ledger does not judge: it records a failed claim as
gladly as a good one.
"""

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.errors import LedgerError
from ledger.keys import Role, SigningKey, verify_signature
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import Draft, Entry, parse_entry

__all__ = [
    "Checkpoint",
    "Draft",
    "Entry",
    "LedgerError",
    "Receipt",
    "Role",
    "SigningKey",
    "canonical_bytes",
    "leaf_hash",
    "open_checkpoint",
    "parse_canonical",
    "parse_entry",
    "sign_checkpoint",
    "verify_consistency",
    "verify_inclusion",
    "verify_receipt",
    "verify_signature",
]
