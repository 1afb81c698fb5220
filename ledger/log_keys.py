"""The log's own keys through the years: which of them signs the checkpoint of which size.

The first signs from size 0 on; nothing says so but the verifier key that a reader was given. Then:

- `key.added` of role `log` names that first key; it changes nothing, and is only needed before a
- `key.rotated` of role `log`, at leaf R: signed by the old key, and by the new one over `replaces`.
  Checkpoints of more than R entries carry the new key's signature, and the old one's too;
- `key.revoked` of the old key, at leaf E: those of more than E entries carry the new one's only.

So each key vouches for the next, and the next for the one before it: whoever trusts one of them
can follow to all others. An export holds these entries as `log-keys.jsonl`, each as a receipt, so
that a client who has one receipt to check, and no log, can follow too, and knows from a checkpoint
that both keys signed at which sizes they changed. A check of a whole log holds the file against the
entries themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import parse_canonical
from ledger.checkpoint import KeyHistory, LogKey, VerifierKey
from ledger.entry import parse_entry
from ledger.grammar import LEAF
from ledger.keybook import ENDING, ROTATED, KeyBook
from ledger.public_keys import PublicKey, Role
from ledger.refusals import KeyRefused, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.checkpoint import Trusted

LOG_KEYS_MAX: Final = 8 << 20  # bytes of the file; a change of keys has about 4,000


def speaks_of_log(body: Mapping[str, Any], book: KeyBook) -> bool:
    """Whether an entry about keys is about one of the log's own."""
    data = body["data"]
    named = book.keys.get(data["key_id"])
    return bool(data.get("role") == Role.LOG or (named and named.role is Role.LOG))


def history_of(book: KeyBook, origin: str) -> KeyHistory | None:
    """The log's own keys as its entries tell them; None when they tell of none."""
    found: list[LogKey] = []
    for key in book.keys.values():
        if key.role is Role.LOG:
            named = VerifierKey(origin, PublicKey(key.public_key))
            found.append(LogKey(named, key.leaf + 1 if found else 0, key.until))
    return KeyHistory(tuple(found)) if found else None


def follow(trusted: Trusted, entries: Iterable[tuple[int, bytes]]) -> KeyHistory:
    """All keys of a log from one that is trusted, by entries about them and their leaf indexes.

    Raises KeyRefused, SignatureRefused or RecordError when they do not lead from one key to the
    next, or not through the trusted one. That the entries are in the log is not looked at.
    """
    start, book = KeyHistory.of(trusted), KeyBook()
    for leaf, entry in entries:
        parsed = parse_entry(entry)
        body = parsed.body
        if body["type"] not in _TYPES or body["origin"] != start.name:
            raise RecordError("log keys", f"entry {leaf} is not about keys of {start.name}")
        book.check(leaf, body)
        if not speaks_of_log(body, book):
            raise RecordError("log keys", f"entry {leaf} is about a key that signs no checkpoints")
        if body["type"] == ROTATED:
            old = book.public[body["data"]["replaces"]]
            if body["producer"] != old.key_id:
                raise KeyRefused(body["producer"], f"signed in place of {old.key_id}")
            old.verify(parsed.envelope.message, parsed.envelope.signature)
        if body["type"] in ENDING:
            book.end(leaf, body)
    history = history_of(book, start.name) or start
    strangers = {str(key.key) for key in start.keys} - {str(key.key) for key in history.keys}
    if strangers:
        raise KeyRefused(strangers.pop(), f"is none of the log's keys, {history}")
    return history


def parse_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Leaf index and entry of each line of `log-keys.jsonl`. Raises RecordError, CanonicalError."""
    found = []
    for line in data.splitlines():
        value = parse_canonical(line)
        fits = isinstance(value, dict) and isinstance(value.get("entry"), str)
        if not fits or LEAF(value.get("leaf_index")):
            raise RecordError("log keys", "expected a receipt on each line")
        found.append((value["leaf_index"], value["entry"].encode()))
    return found


_TYPES: Final = ("key.added", *ENDING)
