"""Receipts that clients kept, held against the audited log: every one of them must be in it.

A log shows what was recorded; only those who were answered know what ought to be. A receipt is the
log's signed promise for one entry, so a log without it breaks its word:

- omitted: the receipt's leaf lies past the end of the audited tree;
- contradicted: another entry stands at the leaf, or the receipt's own checkpoint is no prefix of
  the audited tree, which means that two trees were signed.

A receipt that does not check by itself (`ledger.receipt`) is a failure too: whoever keeps it holds
no proof. What is no receipt at all is left unchecked and named. Files are read one at a time:
`.json` holds one receipt, or an answer of the API with one; `.jsonl` has one such per line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import LedgerError, TileError
from ledger.findings import Finding
from ledger.merkle import leaf_hash
from ledger.note import open_checkpoint
from ledger.receipt import Receipt, verify_receipt
from service.auditor.verify import FINDINGS_KEPT, Check, Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger.bound_tiles import BoundTiles
    from ledger.note import Checkpoint, KeyHistory

CHECK: Final = "receipt"
CLAIM: Final = "each receipt that was kept is in the log at its leaf, under a prefix of this tree"
RECEIPT_MAX: Final = 4 << 20  # characters; an entry has at most 64 KiB and a path 63 hashes
ROOTS_KEPT: Final = 65_536  # checkpoints of receipts whose roots were compared already


@dataclass(frozen=True, slots=True)
class Kept:
    """One receipt as it was found, or why there is none in that place."""

    where: str
    value: Any
    problem: str = ""


def find_receipts(place: Path) -> Iterator[Kept]:
    """Every receipt in a file or below a directory, files in order. Raises OSError."""
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    for file in files:
        where = file.name if file == place else file.relative_to(place).as_posix()
        if file.suffix == ".jsonl":
            with file.open("rb") as lines:
                for number, line in enumerate(iter(lambda: lines.readline(RECEIPT_MAX), b""), 1):
                    if line.strip():
                        yield _kept(f"{where} line {number}", line)
        elif file.suffix == ".json":
            with file.open("rb") as one:
                yield _kept(where, one.read(RECEIPT_MAX + 1))


def _kept(where: str, data: bytes) -> Kept:
    if len(data) > RECEIPT_MAX:
        return Kept(where, None, f"longer than {RECEIPT_MAX} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Kept(where, None, f"no JSON: {error}")
    # The whole answer of POST /v1/predictions holds its receipt under this name.
    if isinstance(value, dict) and isinstance(value.get("receipt"), dict):
        value = value["receipt"]
    return Kept(where, value)


def check_receipts(
    receipts: Iterator[Kept],
    key: KeyHistory,
    tiles: BoundTiles,
    *,
    to_end: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Hold each receipt against the tree that `tiles` belong to.

    `to_end` says that the tree is all there is of the log; else what is past it is left unchecked.
    """
    told = _Told(key, tiles, to_end=to_end)
    for kept in receipts:
        told.examined += 1
        try:
            told.check(kept)
        except (OSError, TileError) as error:
            told.leave(kept, f"the export cannot settle it: {error}")
        if progress is not None:
            progress(told.examined)
    return told.result()


@dataclass(slots=True)
class _Told:
    key: KeyHistory
    tiles: BoundTiles
    to_end: bool
    examined: int = 0
    failed: int = 0
    unchecked: int = 0
    detail: str = ""
    findings: list[Finding] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)  # checkpoints whose root is this log's

    def check(self, kept: Kept) -> None:
        """Settle one receipt. Raises OSError or TileError where the export's tiles do not do."""
        if kept.problem or not isinstance(kept.value, dict) or "leaf_index" not in kept.value:
            self.leave(kept, kept.problem or "not a receipt")
            return
        try:
            receipt = Receipt.from_json(kept.value)
            verify_receipt(receipt, self.key)
            checkpoint = open_checkpoint(receipt.checkpoint, self.key)
        except LedgerError as error:
            leaf = kept.value["leaf_index"]
            number = leaf if type(leaf) is int and leaf >= 0 else None
            self.fail(kept, number, f"a receipt that checks under {self.key}", str(error))
            return
        self._compare(kept, receipt, checkpoint)

    def _compare(self, kept: Kept, receipt: Receipt, checkpoint: Checkpoint) -> None:
        leaf, size = receipt.leaf_index, self.tiles.size
        promised = leaf_hash(receipt.entry)
        if leaf >= size:
            if not self.to_end:
                self.leave(kept, f"leaf {leaf} is past the size asked for, {size}")
                return
            expected = f"entry {promised.hex()}, promised by {_told(checkpoint)}"
            self.fail(kept, leaf, expected, f"nothing: the audited log ends at size {size}")
            return
        found = self.tiles.leaf(leaf)
        if found != promised:
            expected = f"entry {promised.hex()}, promised by {_told(checkpoint)}"
            self.fail(kept, leaf, expected, f"entry {found.hex()}")
            return
        if checkpoint.size > size or receipt.checkpoint in self.compared:
            return
        root = self.tiles.root_at(checkpoint.size)
        if root != checkpoint.root:
            expected = f"a tree that begins with the receipt's, {_told(checkpoint)}"
            self.fail(
                kept, leaf, expected, f"root {root.hex()} at that size: two trees were signed"
            )
        elif len(self.compared) < ROOTS_KEPT:
            self.compared.add(receipt.checkpoint)

    def fail(self, kept: Kept, leaf: int | None, expected: str, got: str) -> None:
        self.failed += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(CHECK, leaf, expected, got, f"receipt {kept.where}"))

    def leave(self, kept: Kept, why: str) -> None:
        self.unchecked += 1
        self.detail = self.detail or f"receipt {kept.where}: {why}"

    def result(self) -> Findings:
        if not self.examined:
            self.unchecked, self.detail = 1, "no receipt was found (.json, .jsonl)"
        check = Check(CHECK, CLAIM, self.examined, self.failed, self.unchecked, detail=self.detail)
        order = sorted(self.findings, key=lambda f: (f.leaf is None, f.leaf or 0, f.subject))
        return Findings((check,), tuple(order))


def _told(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of size {checkpoint.size} with root {checkpoint.root.hex()}"
