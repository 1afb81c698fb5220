"""Check the stored log from its bytes: all that an audit checks, and what only tables get wrong.

First the log is written out to a scratch directory and that export is checked as an auditor would
(`verify`): signatures, hashes, tiles, roots, every checkpoint, rows, openings, seals. Then each
column that repeats something of an entry's bytes is compared with them, each table with the others,
and nothing may be left that no entry accounts for. It never stops at roots, repairs nothing and
names what differs. It cannot show that the log is the one it was yesterday: an older backup is
whole too (the anchor and witnesses are for that).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from ledger.cosignature import cosigned_time, verify_cosignatures
from ledger.errors import LedgerError
from ledger.export import export
from ledger.findings import Finding
from ledger.layout import DirectorySource
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash, root_of
from ledger.note import open_checkpoint
from ledger.record import unsigned_body
from ledger.tiles import TILE_WIDTH
from ledger.verify import verify_export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from ledger.cosignature import WitnessKey
    from ledger.log import Ledger
    from ledger.note import KeyHistory
    from ledger.vault import Vault

PAGE: Final = 1024  # entries read at a time
# Every comparison of this file beside those of `findings.CLAIMS`.
CLAIMS: Final = {
    "export": "the log can be written out",
    "column": "each column that repeats an entry agrees with its bytes",
    "order": "leaf indexes run from 0 to the head without gap",
    "head": "the head's frontier leads to the root of the newest checkpoint",
    "numbers": "each key's next number is how many entries it signed",
    "tiles": "each stored tile is full, holds what lies below it, and has the root over it",
    "orphan": "no row, opening or checkpoint is left that no entry accounts for",
    "subject": "each opening's subject has a key",
    "cosignature": "each cosignature is one line of a stored checkpoint's size, and verifies where "
    "the witness is known",
}


def fsck(
    ledger: Ledger,
    engine: Engine,
    *,
    vault: Vault,
    blobs: tuple[Sequence[str], Callable[[str], bytes]] = ((), lambda _: b""),
    witnesses: Sequence[WitnessKey] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Every difference found, in the order of the checks; an empty list when there is none.

    `witnesses`: whose cosignatures can be verified; of others only the form is looked at.
    """
    found = _as_an_auditor(ledger, vault, blobs, progress)
    with engine.connect() as connection:
        checks = _Stored(connection)
        checks.entries()
        checks.head(ledger.keys())
        checks.tiles()
        checks.orphans()
        checks.cosignatures(witnesses)
        found += checks.found
    return found


def _as_an_auditor(
    ledger: Ledger,
    vault: Vault,
    blobs: tuple[Sequence[str], Callable[[str], bytes]],
    progress: Callable[[int, int], None] | None,
) -> list[Finding]:
    with tempfile.TemporaryDirectory(prefix="assay-fsck-") as scratch:
        target = Path(scratch) / "export"
        try:
            export(ledger, target, vault=vault, blobs=blobs)
        except LedgerError as error:
            claim = CLAIMS["export"]
            return [Finding("export", None, claim, str(error), "the log as a whole")]
        checked = verify_export(DirectorySource(target), ledger.vkey, progress=progress)
        return list(checked.findings)


class _Stored:
    """The tables against each other, in one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.found: list[Finding] = []
        self._frontier = Frontier()
        self._signed: Counter[str] = Counter()
        self._many: set[int] = set()

    def entries(self) -> None:
        """Columns and order of every entry; the tree grows along."""
        for expected, row in enumerate(self._entries()):
            if row.leaf_index != expected:
                self._say("order", expected, f"entry {expected}", f"entry {row.leaf_index}")
                return
            leaf = leaf_hash(row.entry)
            self._frontier.append(leaf)
            if bytes(row.leaf_hash) != leaf:
                self._say("column", expected, leaf.hex(), bytes(row.leaf_hash).hex())
            try:
                body = unsigned_body(row.entry)
            except (LedgerError, ValueError):
                continue  # the auditor's check names it
            self._signed[body["producer"]] += 1
            if body["data"].get("row_count", 1) > 1:
                self._many.add(expected)
            for column in ("type", "idempotency_key"):
                if body[column] != getattr(row, column):
                    told = f"{column} {getattr(row, column)}"
                    self._say("column", expected, f"{column} {body[column]}", told)

    def head(self, keys: KeyHistory) -> None:
        """Head, newest checkpoint and numbers against what the entries say."""
        head = self._one("SELECT size, frontier FROM ledger_head WHERE id = 0")
        size, nodes = (0, b"") if head is None else (head.size, bytes(head.frontier))
        if size != self._frontier.size or nodes != b"".join(self._frontier.nodes):
            wanted = f"{self._frontier.size} entries, root {self._frontier.root().hex()}"
            self._say("head", None, wanted, f"{size} entries, another frontier", "ledger_head")
        note = self._one("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")
        try:
            root = open_checkpoint(note.note, keys).root if note else b""
        except LedgerError as error:
            self._say("head", None, "a checkpoint signed by the log", str(error), "the newest")
        else:
            if root != self._frontier.root():
                wanted = self._frontier.root().hex()
                self._say("head", None, wanted, root.hex(), "the newest checkpoint")
        for row in self._all("SELECT key_id, next_seq FROM ledger_sequence"):
            if self._signed.pop(row.key_id, 0) != row.next_seq:
                self._say("numbers", None, "its entries", str(row.next_seq), f"key {row.key_id}")
        for key, count in self._signed.items():
            self._say("numbers", None, str(count), "no number", f"key {key}")

    def tiles(self) -> None:
        """Each stored tile: full, over what lies below it, all there and no more."""
        level, full = 0, self._frontier.size // TILE_WIDTH
        wanted: set[tuple[int, int]] = set()
        while full:
            wanted |= {(level, n) for n in range(full)}
            level, full = level + 1, full // TILE_WIDTH
        for row in self._all("SELECT level, n, hashes, root FROM ledger_tile ORDER BY level, n"):
            name = f"tile {row.level}/{row.n}"
            if (row.level, row.n) not in wanted:
                self._say("tiles", None, "no such tile", "one", name)
                continue
            wanted.discard((row.level, row.n))
            below = self._below(row.level, row.n)
            if bytes(row.hashes) != below:
                self._say("tiles", None, "the hashes below it", "others", name)
            cut = [below[i : i + HASH_BYTES] for i in range(0, len(below), HASH_BYTES)]
            if bytes(row.root) != root_of(cut):
                self._say("tiles", None, root_of(cut).hex(), bytes(row.root).hex(), name)
        for at, n in sorted(wanted):
            self._say("tiles", None, "the tile", "none", f"tile {at}/{n}")

    def orphans(self) -> None:
        """What lies beside the entries, and belongs to none of them."""
        size = self._frontier.size
        for table in ("ledger_row", "ledger_opening"):
            for row in self._all(f"SELECT DISTINCT leaf_index FROM {table}"):  # noqa: S608 - ours
                unasked = table == "ledger_row" and row.leaf_index not in self._many
                if row.leaf_index >= size or unasked:
                    self._say("orphan", row.leaf_index, "nothing", f"rows in {table}")
        for row in self._all("SELECT size FROM ledger_checkpoint"):
            if row.size > size:
                told = f"a checkpoint of size {row.size}"
                self._say("orphan", None, f"at most {size}", told, "ledger_checkpoint")
        without = (
            "SELECT DISTINCT o.subject AS subject FROM ledger_opening o "
            "LEFT JOIN ledger_subject_key k ON k.subject = o.subject WHERE k.subject IS NULL"
        )
        for row in self._all(without):
            self._say("subject", None, "a key", "none", f"subject {row.subject}")

    def cosignatures(self, witnesses: Sequence[WitnessKey]) -> None:
        """Each kept cosignature: of a stored checkpoint, as it came, verified where that can be."""
        known = {witness.key.key_id: witness for witness in witnesses}
        query = (
            "SELECT c.size AS size, c.witness AS witness, c.time AS time, c.line AS line, "
            "k.note AS note FROM ledger_cosignature c "
            "LEFT JOIN ledger_checkpoint k ON k.size = c.size ORDER BY c.size, c.witness"
        )
        for row in self._connection.execute(text(query).execution_options(yield_per=PAGE)):
            name = f"cosignature of size {row.size} by {row.witness}"
            if row.note is None:
                self._say("cosignature", None, f"a checkpoint of size {row.size}", "none", name)
                continue
            try:
                time = cosigned_time(row.line)
                witness = known.get(row.witness)
                if witness is not None and not verify_cosignatures(row.note + row.line, [witness]):
                    self._say("cosignature", None, f"a line by {witness}", "another's", name)
            except LedgerError as error:
                self._say("cosignature", None, "a cosignature of the checkpoint", str(error), name)
            else:
                if time != row.time:
                    self._say("cosignature", None, f"time {time}", f"time {row.time}", name)

    def _entries(self) -> Iterator[Any]:
        after = -1
        query = text(
            "SELECT leaf_index, entry, leaf_hash, type, idempotency_key FROM ledger_entry "
            "WHERE leaf_index > :after ORDER BY leaf_index LIMIT :page"
        )
        while page := self._connection.execute(query, {"after": after, "page": PAGE}).all():
            yield from page
            after = page[-1].leaf_index

    def _below(self, level: int, n: int) -> bytes:
        first, end = n * TILE_WIDTH, (n + 1) * TILE_WIDTH
        if level == 0:
            query = text(
                "SELECT entry FROM ledger_entry WHERE leaf_index >= :first AND leaf_index < :end "
                "ORDER BY leaf_index"
            )
            rows = self._connection.execute(query, {"first": first, "end": end})
            return b"".join(leaf_hash(row.entry) for row in rows)
        query = text(
            "SELECT root FROM ledger_tile WHERE level = :level AND n >= :first AND n < :end "
            "ORDER BY n"
        )
        given = {"level": level - 1, "first": first, "end": end}
        return b"".join(bytes(row.root) for row in self._connection.execute(query, given))

    def _all(self, query: str) -> Sequence[Any]:
        return self._connection.execute(text(query)).all()

    def _one(self, query: str) -> Any:  # noqa: ANN401 - a row or nothing
        return self._connection.execute(text(query)).first()

    def _say(
        self, check: str, leaf: int | None, expected: str, got: str, subject: str = ""
    ) -> None:
        self.found.append(Finding(check, leaf, expected, got, subject or f"entry {leaf}"))
