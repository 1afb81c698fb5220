"""Bring back what a rolled-back database lacks, from an export: byte for byte, or not at all.

The export is checked in full first, as an auditor would. Then, under the append lock and in one
transaction, the log in the database must be the beginning of the export's: same roots, same
checkpoints. Only what comes after is inserted: entries, tiles, checkpoints, rows, and openings,
sealed again. Nothing is edited and nothing is signed, so a recovered log gives the same export.

What an export does not hold cannot come back: digests of requests (asking again with a recovered
key is refused as a conflict, never recorded twice) and pseudonyms (`Conventions` makes new ones).
An erasure among the recovered entries is carried out again: a backup holds what was erased since.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.append_lock import AppendLock, RowLock
from ledger.canonical import canonical_bytes, parse_canonical
from ledger.columnar import COLUMNS, PART_ROWS, Columns
from ledger.dialect import insert, insert_missing, is_sqlite, run, run_many
from ledger.errors import RecoveryRefused
from ledger.layout import (
    HISTORY,
    DirectorySource,
    batch_hashes_path,
    batch_records_path,
    openings_path,
    rows_path,
)
from ledger.log import LOCK_FILE
from ledger.merkle import HASH_BYTES, leaf_hash
from ledger.reading import SignedHead, read_head
from ledger.record import Opening, unsigned_body
from ledger.store import scrub, writer
from ledger.storing import insert_full_tiles, write_head
from ledger.tiles import (
    TILE_WIDTH,
    TilePath,
    root_from_tiles,
    split_bundle,
    tile_path,
    tiles_for,
    width_at,
)
from ledger.verify import verify_export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from ledger.anchor import Anchored
    from ledger.merkle import Frontier
    from ledger.note import VerifierKey
    from ledger.vault import Vault

    Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conventions:
    """What the log's owner can say of an entry and the entry itself does not hold.

    `ref(body)`: what the entry is looked up by. `subject(leaf, body, subject_of)`: whose its
    openings are, given whose those of an earlier leaf and row are.
    """

    ref: Callable[[Body], str | None]
    subject: Callable[[int, Body, Callable[[int, int], str | None]], str]


class Recovery:
    """An export that was checked, ready to be continued from."""

    def __init__(
        self,
        directory: Path,
        key: VerifierKey,
        *,
        anchored: Anchored | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Check the export, and that it reaches what is anchored. Raises RecoveryRefused."""
        self._source = DirectorySource(directory)
        self._checked = verify_export(self._source, key, progress=progress)
        self._keys = self._checked.log_keys or key
        self.size = self._checked.tree_size
        if self._checked.failed:
            raise RecoveryRefused(
                f"the export in {directory} does not hold: {self._checked.findings[0]} "
                f"({self._checked.failed} findings; see all with: assay audit {directory})"
            )
        if self._checked.openings_withheld:
            raise RecoveryRefused(
                f"the export in {directory} withholds the openings; what it brought back could "
                "never be replayed or erased. Use one that includes them"
            )
        if anchored is not None:
            self._check_anchored(anchored)

    @property
    def first_note(self) -> str:
        """The checkpoint of the empty log, as the export holds it."""
        for line in self._source.read(HISTORY).splitlines():
            value = parse_canonical(line)
            if value["size"] == 0:
                return str(value["note"])
        return ""

    def into(self, engine: Engine, data_dir: Path, vault: Vault, house: Conventions) -> int:
        """Insert what the database lacks; returns the size it had. Raises RecoveryRefused."""
        lock = AppendLock(data_dir / LOCK_FILE) if is_sqlite(engine) else RowLock()
        with lock.held():
            with writer(engine).begin() as connection:
                frontier = read_head(connection, lock=True)
                SignedHead(lambda _: self._keys).check(connection, frontier)
                old_size = frontier.size
                later = self._check_beginning(connection, frontier)
                if old_size < self.size:
                    work = _Continuing(connection, self._source, vault, house)
                    for tile in tiles_for(self.size):
                        if tile.level is None and tile.n * TILE_WIDTH + tile.width > old_size:
                            work.bundle(tile, frontier)
                    self._settle(connection, frontier, old_size, later)
                    work.settle()
            scrub(engine)
        return old_size

    def _check_anchored(self, anchored: Anchored) -> None:
        if self.size < anchored.size:
            raise RecoveryRefused(
                f"the export ends at {self.size} entries, the anchor stands at {anchored.size}: "
                "find a newer export"
            )
        if self._root_at(anchored.size) != anchored.root:
            raise RecoveryRefused(
                f"export and anchor are two histories at size {anchored.size}: keep both, they "
                "are the evidence"
            )

    def _check_beginning(self, connection: Connection, frontier: Frontier) -> dict[int, str]:
        """Hold the database against the export's beginning; the checkpoints it lacks."""
        if frontier.size > self.size:
            raise RecoveryRefused(
                f"the database has {frontier.size} entries, the export {self.size}: there is "
                "nothing to bring back"
            )
        if self._root_at(frontier.size) != frontier.root():
            raise RecoveryRefused(
                f"database and export are two histories at size {frontier.size}: keep both, they "
                "are the evidence"
            )
        lines: list[Any] = [parse_canonical(x) for x in self._source.read(HISTORY).splitlines()]
        notes: dict[int, str] = {line["size"]: line["note"] for line in lines}
        rows = run(connection, "SELECT size, note FROM ledger_checkpoint")
        stored = {int(size): str(note) for size, note in rows}
        earlier = {size: note for size, note in notes.items() if size <= frontier.size}
        if stored != earlier:
            differing = min(set(stored.items()) ^ set(earlier.items()))[0]
            raise RecoveryRefused(
                f"database and export have different checkpoints at size {differing}"
            )
        return {size: note for size, note in notes.items() if size > frontier.size}

    def _settle(
        self, connection: Connection, frontier: Frontier, old_size: int, later: dict[int, str]
    ) -> None:
        """Tiles, checkpoints and head, once the tree is the one that was checked."""
        if frontier.root() != self._checked.root:
            raise RecoveryRefused("the export changed while it was read")
        insert_full_tiles(connection, old_size, self.size)
        newest = later.pop(self.size)
        insert(connection, "ledger_checkpoint", sorted(later.items()))
        write_head(connection, frontier, newest)

    def _root_at(self, size: int) -> bytes:
        def read(level: int, n: int, width: int) -> bytes:
            there = tile_path(level, n, width_at(level, n, self.size))
            return self._source.read(there)[: width * HASH_BYTES]

        return root_from_tiles(size, read)


class _Continuing:
    """Entries of the export on their way in, a bundle at a time, with what lies beside them."""

    def __init__(
        self, connection: Connection, source: DirectorySource, vault: Vault, house: Conventions
    ) -> None:
        self._connection = connection
        self._source = source
        self._vault = vault
        self._house = house
        self._known = frozenset(source.list())
        self._bodies: dict[int, Body] = {}  # of the bundle in hand: not in the database yet
        self._next_seq: dict[str, int] = {}
        self._erased: list[str] = []

    def bundle(self, tile: TilePath, frontier: Frontier) -> None:
        """Insert what comes after the frontier, which grows along."""
        first, start = tile.n * TILE_WIDTH, frontier.size
        entries = split_bundle(self._source.read(str(tile)), tile.width)[start - first :]
        self._bodies = {
            leaf: unsigned_body(entry) for leaf, entry in enumerate(entries, start=start)
        }
        leaves, ref = [leaf_hash(entry) for entry in entries], self._house.ref
        insert(
            self._connection,
            "ledger_entry",
            [
                (leaf, entry, hashed, body["type"], ref(body), body["idempotency_key"], None)
                for (leaf, body), entry, hashed in zip(
                    self._bodies.items(), entries, leaves, strict=True
                )
            ],
        )
        frontier.extend(leaves)
        self._beside(tile.n, start)
        for body in self._bodies.values():
            self._next_seq[body["producer"]] = body["seq"] + 1
            if body["type"] == "erasure":
                self._erased += body["data"]["rows"]

    def settle(self) -> None:
        """Producers' next numbers; and erased again what the backup had kept."""
        run_many(
            self._connection,
            "INSERT INTO ledger_sequence (key_id, next_seq) VALUES (?, ?) "
            "ON CONFLICT (key_id) DO UPDATE SET next_seq = excluded.next_seq",
            list(self._next_seq.items()),
        )
        for row in self._erased:
            leaf, _, index = row.partition(".")
            run(
                self._connection,
                "DELETE FROM ledger_opening WHERE leaf_index = ? AND row_index = ?",
                (int(leaf), int(index)),
            )
            if int(index) % PART_ROWS == 0:  # a batch's part is erased whole
                run(
                    self._connection,
                    "DELETE FROM ledger_sealed_part WHERE leaf_index = ? AND part = ?",
                    (int(leaf), int(index) // PART_ROWS),
                )
        run(
            self._connection,
            "DELETE FROM ledger_subject_key WHERE subject NOT IN "
            "(SELECT subject FROM ledger_opening UNION SELECT subject FROM ledger_sealed_part)",
        )

    def _beside(self, n: int, start: int) -> None:
        rows = [
            (leaf, index, canonical_bytes(row))
            for leaf, found in self._lines(rows_path(n), "row").items()
            if leaf >= start
            for index, row in enumerate(found)
        ]
        insert(self._connection, "ledger_row", rows)
        for leaf, found in self._lines(openings_path(n), "opening").items():
            if leaf >= start:
                self._seal(leaf, [Opening.from_json(value) for value in found])
        for leaf, body in self._bodies.items():
            if COLUMNS in body["data"]:
                self._batch(leaf, body)

    def _batch(self, leaf: int, body: Body) -> None:
        """The parts of a batch: hashes as they are, records sealed again unless erased."""
        hashes = self._source.read(batch_hashes_path(leaf))
        step = PART_ROWS * HASH_BYTES
        cut = [hashes[at : at + step] for at in range(0, len(hashes), step)]
        insert(self._connection, "ledger_part", [(leaf, n, part) for n, part in enumerate(cut)])
        if batch_records_path(leaf) not in self._known:
            return
        records = self._source.read(batch_records_path(leaf))
        size = PART_ROWS * Columns.of(body["data"]).width
        subject = self._house.subject(leaf, body, self._subject_of)
        sealed, keys = [], set()
        for number, part in enumerate(cut):
            mine = records[number * size : (number + 1) * size]
            if any(mine):
                data, wrapped = self._vault.seal_part(subject, number, mine)
                sealed.append((leaf, number, subject, len(part) // HASH_BYTES, data))
                keys.add((subject, wrapped))
        insert(self._connection, "ledger_sealed_part", sealed)
        if keys:
            insert_missing(self._connection, "ledger_subject_key", sorted(keys))

    def _seal(self, leaf: int, openings: Sequence[Opening]) -> None:
        subject = self._house.subject(leaf, self._bodies[leaf], self._subject_of)
        sealed = [
            self._vault.seal(subject, opening.row_index, opening.to_bytes()) for opening in openings
        ]
        keys = {(item.subject, item.wrapped_key): None for item in sealed}
        insert_missing(self._connection, "ledger_subject_key", list(keys))
        rows = [(leaf, item.row_index, item.subject, item.sealed) for item in sealed]
        insert(self._connection, "ledger_opening", rows)

    def _lines(self, path: str, kind: str) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = defaultdict(list)
        if path in self._known:
            for line in self._source.read(path).splitlines():
                value: Any = parse_canonical(line)
                found[value["leaf_index"]].append(value[kind])
        return found

    def _subject_of(self, leaf: int, row: int) -> str | None:
        found = run(
            self._connection,
            "SELECT subject FROM ledger_opening WHERE leaf_index = ? AND row_index = ?",
            (leaf, row),
        ).scalar()
        return None if found is None else str(found)
