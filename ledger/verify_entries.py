"""Entries under check: what each says, against the keys, numbers and entries before it.

Part of `verify`. Leaves come in order, a bundle at a time. Per leaf about 15 bytes are kept, so
that a later entry's references can be judged; leaf hashes are kept from the last seal on.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from ledger.entry import parse_entry
from ledger.grammar import DATA
from ledger.keybook import ADDED, ENDING, REVOKED, ROTATED, KeyBook
from ledger.refusals import KeyRefused, RecordError, SignatureRefused
from ledger.tree import root_of
from ledger.verify_rows import Beside

if TYPE_CHECKING:
    from ledger.entry import Entry
    from ledger.findings import KnownKey, Tally
    from ledger.verify_files import Files

_TYPES: Final = ("", *DATA)  # a type's place here is its code; 0 stands for an unreadable entry
_CODE: Final = {name: code for code, name in enumerate(_TYPES)}
# Fields that speak of what was there before, and how far below the entry's leaf they end.
_BEHIND: Final = {
    "report": ("checkpoint_size", 0),
    "seal": ("checkpoint_size", 0),
    "timestamp": ("leaf", 1),
}
# Fields that name an earlier entry, and of what type it is.
_NAMES: Final = {
    "alarm_leaf": ("alarm",),
    "halted_leaf": ("model.halted",),
    "policy_leaf": ("policy", "limits"),
}
_KEY_CLAIMS: Final = {
    ADDED: "a new key, held by its owner",
    ROTATED: "a new key, held by its owner, in place of one of its role that is in use",
    REVOKED: "a key in use, and not the last of an operator",
}


class EntryChecks:
    """The state a walk through the log carries from entry to entry."""

    def __init__(self, origin: str, files: Files, tally: Tally, *, openings_withheld: bool) -> None:
        self._origin = origin
        self._tally = tally
        self._beside = Beside(files, tally, openings_withheld=openings_withheld)
        self.book = KeyBook()
        self.counts: Counter[str] = Counter()
        self._next_seq: dict[str, int] = {}
        # What each key was last seen to have signed.
        self._signed: dict[str, tuple[bytes, str]] = {}
        self._unread = 0  # entries that could not be read and may explain a gap in the numbers
        self._codes = bytearray()
        self._targets = array("q")  # of an outcome: the leaf of its prediction
        self._rows = array("q")  # of a prediction: how many; of an outcome: which
        self._unsealed: list[bytes] = []
        self._seal_end = 0
        self._first = 0  # the first leaf that is judged here

    def check_bundle(
        self, first: int, entries: list[bytes | None], leaf_hashes: list[bytes]
    ) -> None:
        """Check the entries of one bundle; None stands for one that could not be cut out."""
        self._beside.load(first)
        for leaf, data in enumerate(entries, start=first):
            entry = None if data is None else self._parse(leaf, data)
            if entry is None:
                self._unread += 1
                self._beside.skip(leaf)
                self._remember("", -1, 0)
            else:
                self._check(leaf, entry)
            self._unsealed.append(leaf_hashes[leaf - first])
        self._beside.finish()

    def settle(self) -> dict[tuple[int, int], int]:
        """After the last bundle: judge what later entries could still explain; what was erased."""
        self._beside.settle()
        return self._beside.erased

    def _parse(self, leaf: int, data: bytes) -> Entry | None:
        try:
            entry = parse_entry(data)
        except RecordError as error:
            self._tally.fail("entry", leaf, "a well-formed entry", error)
            return None
        expected, got = (f"an entry of {name}" for name in (self._origin, entry.body["origin"]))
        self._tally.compare("entry", leaf, expected, got)
        return entry

    def _check(self, leaf: int, entry: Entry) -> None:
        kind, data = entry.type, entry.body["data"]
        self.counts[kind] += 1
        fits = kind not in _KEY_CLAIMS or self._check_key(leaf, entry.body)
        signed = self._check_signature(leaf, entry)
        if kind in ENDING and fits and signed:
            self.book.end(leaf, entry.body)
        self._check_sequence(leaf, entry.body)
        reason = self._bad_reference(leaf, kind, entry.body)
        if reason:
            self._tally.fail("reference", leaf, "an earlier, fitting entry", reason)
        else:
            self._tally.passed("reference")
        if kind == "prediction":
            self._beside.check_prediction(leaf, data)
            self._remember(kind, -1, data["row_count"])
        elif kind == "outcome":
            self._beside.check_outcome(leaf, data)
            self._remember(kind, data["prediction_leaf"], data["row_index"])
        else:
            if kind == "seal":
                self._check_seal(leaf, data)
            elif kind == "erasure":
                self._beside.erase(leaf, data["rows"], self._first)
            self._remember(kind, -1, 0)

    def _remember(self, kind: str, target: int, rows: int) -> None:
        self._codes.append(_CODE[kind])
        self._targets.append(target)
        self._rows.append(rows)

    @property
    def keys(self) -> dict[str, KnownKey]:
        """Every key introduced so far, ended ones too."""
        return self.book.keys

    # --- keys and signatures ---

    def _check_key(self, leaf: int, body: dict[str, Any]) -> bool:
        try:
            self.book.check(leaf, body)
        except (KeyRefused, SignatureRefused) as error:
            self._tally.fail("key", leaf, _KEY_CLAIMS[body["type"]], error)
            return False
        self._tally.passed("key")
        return True

    def _check_signature(self, leaf: int, entry: Entry) -> bool:
        """Whether the signer may sign this, and whether he did; False after any finding."""
        signer = entry.body["producer"]
        misfit = self.book.misfit(leaf, entry.body)
        if misfit is None:
            self._tally.passed("signer")
        else:
            self._tally.fail("signer", leaf, misfit[0], misfit[1])
        key = self.book.public.get(signer)
        if key is None or (self.book.keys[signer].leaf >= leaf > 0):
            return False
        envelope = entry.envelope
        if self._signed.get(signer) == (envelope.message, envelope.signature_text):
            self._tally.passed("signature")  # of a batch: checked with the entry before
            return misfit is None
        try:
            key.verify(envelope.message, envelope.signature)
        except SignatureRefused as error:
            self._tally.fail("signature", leaf, f"a signature by {signer}", error)
            return False
        self._signed[signer] = envelope.message, envelope.signature_text
        self._tally.passed("signature")
        return misfit is None

    def _check_sequence(self, leaf: int, body: dict[str, Any]) -> None:
        signer, seq = body["producer"], body["seq"]
        expected = self._next_seq.get(signer, 0)
        gap = seq - expected
        if gap and 0 < gap <= self._unread:
            self._unread -= gap  # told already, where the entries could not be read
            gap = 0
        if gap:
            told = f"number {expected} of {signer}"
            self._tally.fail("sequence", leaf, told, f"number {seq}")
        else:
            self._tally.passed("sequence")
        self._next_seq[signer] = max(seq + 1, expected)

    # --- references and seals ---

    def _bad_reference(self, leaf: int, kind: str, body: dict[str, Any]) -> str:
        """Say which reference of an entry leads nowhere; empty when none does."""
        data = body["data"]
        for parent in body["parents"]:
            if parent >= leaf:
                return f"parent {parent}"
        if kind in {"outcome", "erasure"}:
            return self._bad_rows(leaf, kind, data)
        if kind in {"limits", "policy"} and data["replaces"] is not None:
            return self._not_a((kind,), data["replaces"], leaf)
        if kind == "drift" and not data["first_leaf"] <= data["last_leaf"] < leaf:
            return f"leaves {data['first_leaf']} to {data['last_leaf']}"
        if kind in _BEHIND:
            field, behind = _BEHIND[kind]
            return f"{field} {data[field]}" if data[field] > leaf - behind else ""
        named = ((wanted, data.get(field)) for field, wanted in _NAMES.items())
        bad = (self._not_a(wanted, at, leaf) for wanted, at in named if at is not None)
        return next(filter(None, bad), "")

    def _bad_outcome(self, leaf: int, data: dict[str, Any]) -> str:
        target, row, revises = data["prediction_leaf"], data["row_index"], data["revises"]
        reason = self._not_a(("prediction",), target, leaf)
        if reason:
            return reason
        if self._codes[target] and row >= self._rows[target]:
            return f"row {row} of prediction {target}, which has {self._rows[target]}"
        if revises is None:
            return ""
        reason = self._not_a(("outcome",), revises, leaf)
        if reason or not self._codes[revises]:
            return reason
        if (self._targets[revises], self._rows[revises]) != (target, row):
            return f"outcome {revises}, which is of another prediction"
        return ""

    def _bad_rows(self, leaf: int, kind: str, data: dict[str, Any]) -> str:
        """The first recorded row of an outcome or an erasure that is none."""
        if kind == "outcome":
            return self._bad_outcome(leaf, data)
        return next((r for row in data["rows"] if (r := self._bad_erasure(leaf, row))), "")

    def _bad_erasure(self, leaf: int, row: str) -> str:
        """What a row that is said to be erased is not: a recorded row before this entry."""
        target, _, index = row.partition(".")
        of = int(target)
        if of >= leaf:
            return f"row {row}, which is not earlier"
        kind = _TYPES[self._codes[of]]
        rows = self._rows[of] if kind == "prediction" else 1
        if kind not in {"", "prediction", "outcome"} or (kind and int(index) >= rows):
            return f"row {row}, which was never recorded"
        return ""

    def _not_a(self, kinds: tuple[str, ...], target: int, leaf: int) -> str:
        if target >= leaf:
            return f"{kinds[0]} {target}, which is not earlier"
        code = self._codes[target]
        return "" if _TYPES[code] in {"", *kinds} else f"entry {target}, a {_TYPES[code]}"

    def _check_seal(self, leaf: int, data: dict[str, Any]) -> None:
        """A seal begins where the last one ended; its root is recomputed from leaf hashes."""
        first, end = data["first_index"], data["first_index"] + data["count"]
        if first != self._seal_end:
            got = f"leaf {first}"
            self._tally.fail("seal", leaf, f"begins at leaf {self._seal_end}", got)
        elif end > min(leaf, data["checkpoint_size"]):
            expected = f"ends by leaf {min(leaf, data['checkpoint_size'])}"
            self._tally.fail("seal", leaf, expected, f"leaf {end}")
        else:
            root = root_of(self._unsealed[: data["count"]]).hex()
            self._tally.compare("seal", leaf, data["root"], root)
        if self._seal_end < end <= leaf:
            del self._unsealed[: end - self._seal_end]
            self._seal_end = end
