"""The log's own key replaced: which key signs which size, and what a thief of the old one can do.

A log is made in memory with every private key at hand, so each lie is properly signed.
"""

import base64
import json

import pytest

from ledger.canonical import canonical_bytes
from ledger.errors import (
    KeyRefused,
    LedgerError,
    NoteError,
    ReceiptError,
    RecordError,
    SignatureRefused,
)
from ledger.keys import POSSESSION_TAG, Role, SigningKey
from ledger.layout import CHECKPOINT, HISTORY, LOG_KEYS
from ledger.log_keys import follow, parse_lines
from ledger.merkle import leaf_hash, root_of
from ledger.note import (
    Checkpoint,
    KeyHistory,
    LogKey,
    NoteSigner,
    VerifierKey,
    open_checkpoint,
    sign_checkpoint,
)
from ledger.receipt import Receipt, follow_receipts, verify_receipt
from ledger.verify import verify_export
from memory_logs import ORIGIN, SIGNER, MemoryLog, MemorySource, reindexed

OLD = SIGNER
NEW, THIRD = (NoteSigner(ORIGIN, SigningKey(bytes([n]) * 32)) for n in (7, 9))


def path_of(hashes, index):
    """The inclusion path, lowest first, by the definition (RFC 9162, section 2.1.3.1)."""
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    left, right = hashes[:split], hashes[split:]
    if index < split:
        return [*path_of(left, index), root_of(right)]
    return [*path_of(right, index - split), root_of(left)]


class Rotated(MemoryLog):
    """A log of which each size is signed by the keys that its entries ask for, unless told."""

    def __init__(self):
        super().__init__()
        self.changes = []
        self.spans = [[OLD, 0, None]]
        self.signed = {}  # what a size is signed by in place of that

    def claim(self, key, **more):
        claim = {
            "key_id": key.key_id,
            "public_key": base64.b64encode(key.public).decode(),
            "role": "log",
            "holder": "the log",
            **more,
        }
        possession = key.sign(POSSESSION_TAG + canonical_bytes(claim))
        return {**claim, "possession": base64.b64encode(possession).decode()}

    def name_first(self, signer=OLD):
        self.changes.append(self.add("key.added", self.claim(signer.key), Role.OPERATOR))

    def replace(self, new=NEW, old=OLD, *, by=None):
        self.next_seq.setdefault(f"log {old.key.key_id}", 0)
        data = self.claim(new.key, replaces=old.key.key_id)
        leaf = self.add("key.rotated", data, f"log {old.key.key_id}", key=by or old.key)
        self.changes.append(leaf)
        self.spans.append([new, leaf + 1, None])
        return leaf

    def end(self, old=OLD):
        data = {"key_id": old.key.key_id, "reason": "everybody has the new one"}
        leaf = self.add("key.revoked", data, Role.OPERATOR)
        self.changes.append(leaf)
        next(span for span in self.spans if span[0] is old)[2] = leaf
        return leaf

    def signers(self, size):
        if size in self.signed:
            return self.signed[size]
        return [s for s, since, until in self.spans if since <= size <= (until or size)]

    def note(self, size):
        root = root_of([leaf_hash(entry) for entry in self.entries[:size]])
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), *self.signers(size))

    def receipt(self, leaf, size=None):
        size = size or leaf + 1
        hashes = [leaf_hash(entry) for entry in self.entries[:size]]
        return Receipt(
            leaf, self.entries[leaf], size, tuple(path_of(hashes, leaf)), self.note(size)
        )

    def chain(self, changes=None):
        lines = [
            self.receipt(leaf).to_json() for leaf in (self.changes if changes is None else changes)
        ]
        return b"".join(canonical_bytes(line) + b"\n" for line in lines)

    def files(self, *, openings="included", chain=None):
        files = super().files(openings=openings)
        files[LOG_KEYS] = self.chain() if chain is None else chain
        if not files[LOG_KEYS]:
            del files[LOG_KEYS]
        return reindexed(files, len(self.entries), openings)


@pytest.fixture
def log():
    """Ten entries, a change of keys, an overlap, its end, more entries."""
    made = Rotated()
    made.refuse(5)
    made.name_first()
    made.replace()
    made.refuse(3)
    made.end()
    made.refuse(2)
    return made


def found(log, signer, files=None):
    checked = verify_export(MemorySource(files or log.files()), signer.vkey)
    return [(finding.check, finding.subject) for finding in checked.findings]


@pytest.mark.parametrize("trusted", [OLD, NEW], ids=["the old key", "the new key"])
def test_a_log_checks_by_either_key(log, trusted):
    checked = verify_export(MemorySource(log.files()), trusted.vkey)
    assert not checked.findings
    assert [str(key.key) for key in checked.log_keys.keys] == [OLD.vkey, NEW.vkey]
    added, rotated, revoked = log.changes
    assert [(key.since, key.until) for key in checked.log_keys.keys] == [
        (0, revoked),
        (rotated + 1, None),
    ]
    assert added < rotated


def test_in_the_overlap_checkpoints_carry_both_signatures(log):
    _, rotated, revoked = log.changes
    by_size = {size: [s.vkey for s in log.signers(size)] for size in range(len(log.entries) + 1)}
    assert by_size[rotated] == [OLD.vkey]
    assert by_size[rotated + 1] == by_size[revoked] == [OLD.vkey, NEW.vkey]
    assert by_size[revoked + 1] == [NEW.vkey]


@pytest.mark.parametrize(
    ("where", "signers"),
    [
        ("overlap", [OLD]),
        ("overlap", [NEW]),
        ("before", [NEW]),
        ("before", [OLD, NEW]),
        ("after", [OLD]),
        ("after", [OLD, NEW]),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(s.vkey[-6:] for s in value),
)
@pytest.mark.parametrize("trusted", [OLD, NEW], ids=["old", "new"])
def test_a_checkpoint_signed_by_other_keys_than_its_size_asks_for_is_a_finding(
    log, where, signers, trusted
):
    _, rotated, revoked = log.changes
    size = {"before": rotated, "overlap": revoked, "after": revoked + 1}[where]
    chain = log.chain()
    log.signed[size] = signers
    assert ("history", f"{HISTORY} line {size + 1}") in found(log, trusted, log.files(chain=chain))


@pytest.mark.parametrize("signers", [[OLD], [OLD, NEW]])
def test_a_newest_checkpoint_signed_by_the_retired_key_is_refused(log, signers):
    chain = log.chain()
    log.signed[len(log.entries)] = signers
    for trusted in (OLD, NEW):
        assert found(log, trusted, log.files(chain=chain))[-1] == ("checkpoint", CHECKPOINT)


def test_without_its_file_of_changes_a_rotated_log_is_a_finding(log):
    files = log.files(chain=b"")
    assert found(log, OLD, files) == [("checkpoint", CHECKPOINT)]
    assert ("key", LOG_KEYS) in found(log, NEW, files)


@pytest.mark.parametrize("left_out", range(3))
def test_a_file_that_leaves_a_change_out_is_a_finding(log, left_out):
    kept = [leaf for place, leaf in enumerate(log.changes) if place != left_out]
    files = log.files(chain=log.chain(kept))
    for trusted in (OLD, NEW):
        assert found(log, trusted, files)


def test_a_file_that_tells_of_another_place_is_a_finding(log):
    lines = [json.loads(line) for line in log.chain().splitlines()]
    lines[1]["leaf_index"] += 1
    files = log.files(chain=b"".join(canonical_bytes(line) + b"\n" for line in lines))
    assert ("key", LOG_KEYS) in found(log, NEW, files)


def test_a_successor_that_the_old_key_did_not_sign_leads_nowhere():
    log = Rotated()
    log.name_first()
    log.replace(by=THIRD.key)
    with pytest.raises(KeyRefused, match="signed in place of"):
        follow(OLD.vkey, parse_lines(log.chain()))
    assert ("key", LOG_KEYS) in found(log, OLD)


def test_a_successor_over_which_the_old_keys_signature_is_forged_leads_nowhere():
    class Forger:
        """Names the old key and signs with another."""

        key_id = OLD.key.key_id
        sign = THIRD.key.sign

    log = Rotated()
    log.name_first()
    log.replace(by=Forger)
    with pytest.raises(SignatureRefused):
        follow(OLD.vkey, parse_lines(log.chain()))
    assert ("key", LOG_KEYS) in found(log, OLD)


def test_a_second_first_key_and_a_second_successor_in_the_overlap_are_findings():
    log = Rotated()
    log.name_first()
    log.replace()
    log.name_first(THIRD)
    assert ("key", f"entry {log.changes[-1]}") in found(
        log, OLD, log.files(chain=log.chain(log.changes[:2]))
    )
    log = Rotated()
    log.name_first()
    log.replace()
    chain = log.chain()
    log.spans.append([THIRD, 99, None])
    leaf = log.add(
        "key.rotated",
        log.claim(THIRD.key, replaces=NEW.key.key_id),
        f"log {NEW.key.key_id}",
        key=NEW.key,
        seq=0,
    )
    assert ("key", f"entry {leaf}") in found(log, OLD, log.files(chain=chain))


def test_the_last_key_of_the_log_cannot_be_revoked():
    log = Rotated()
    log.name_first()
    leaf = log.end()
    log.spans[0][2] = None
    chain = log.chain(log.changes[:1])
    assert ("key", f"entry {leaf}") in found(log, OLD, log.files(chain=chain))


def test_two_changes_follow_each_other():
    log = Rotated()
    log.refuse()
    log.name_first()
    log.replace()
    log.end()
    log.replace(THIRD, NEW)
    log.refuse()
    log.end(NEW)
    log.refuse()
    for trusted in (OLD, NEW, THIRD):
        assert not found(log, trusted)
    stranger = NoteSigner(ORIGIN, SigningKey(bytes(32)))
    assert ("key", LOG_KEYS) in found(log, stranger)


# --- a client with one receipt ---------------------------------------------------------------


def test_receipts_of_any_time_check_from_either_key_with_the_changes(log):
    chain = log.chain()
    for trusted in (OLD, NEW):
        keys = follow_receipts(trusted.vkey, chain)
        for leaf in range(len(log.entries)):
            verify_receipt(log.receipt(leaf), keys)
            verify_receipt(log.receipt(leaf, len(log.entries)), keys)


def test_without_the_changes_each_key_answers_for_its_own_sizes(log):
    _, rotated, revoked = log.changes
    for leaf in range(len(log.entries)):
        size = leaf + 1
        for signer, fits in ((OLD, size <= revoked), (NEW, size > rotated)):
            if fits:
                verify_receipt(log.receipt(leaf), signer.vkey)
            else:
                with pytest.raises(NoteError, match="not signed by"):
                    verify_receipt(log.receipt(leaf), signer.vkey)


def test_a_thief_of_the_retired_key_convinces_nobody_who_knows_the_changes(log):
    """He signs another history, of a later size, or moves the change of keys to a later place."""
    chain = log.chain()
    keys = follow_receipts(NEW.vkey, chain)
    forged = Rotated()
    forged.refuse(30)
    forged.signed = {size: [OLD] for size in range(40)}
    with pytest.raises(NoteError):
        verify_receipt(forged.receipt(20), keys)
    forged.name_first()
    moved = forged.append(log.entries[log.changes[1]])  # the true entry, in a later place
    forged.changes.append(moved)
    with pytest.raises(LedgerError):
        follow_receipts(NEW.vkey, forged.chain())


def test_changes_under_no_checkpoint_of_the_new_key_are_refused(log):
    lines = [json.loads(line) for line in log.chain().splitlines()]
    other = log.receipt(log.changes[1] + 1).to_json()
    for broken in (
        [*lines[:1], {**lines[1], "checkpoint": lines[0]["checkpoint"]}, *lines[2:]],
        [*lines[:1], {**lines[1], "leaf_index": lines[1]["leaf_index"] - 1}, *lines[2:]],
        [*lines[:1], {**lines[1], "inclusion": other["inclusion"]}, *lines[2:]],
    ):
        with pytest.raises(LedgerError):
            follow_receipts(NEW.vkey, b"".join(canonical_bytes(line) + b"\n" for line in broken))


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b"x", b'{"entry":"","leaf_index":-1}', b'{"entry":1,"leaf_index":1}']
)
def test_a_line_that_is_no_receipt_is_refused(line):
    with pytest.raises(LedgerError):
        follow_receipts(OLD.vkey, line + b"\n")


def test_an_entry_that_is_not_about_the_logs_keys_is_refused(log):
    with pytest.raises(RecordError, match="is not about keys"):
        follow(OLD.vkey, [(0, log.entries[-1])])
    with pytest.raises(RecordError, match="signs no checkpoints"):
        follow(OLD.vkey, [(1, log.entries[1])])


def test_a_receipt_of_the_wrong_size_is_still_refused(log):
    receipt = log.receipt(3)
    with pytest.raises(ReceiptError):
        verify_receipt(Receipt(3, receipt.entry, 9, receipt.path, receipt.checkpoint), OLD.vkey)


def test_a_history_with_a_hole_opens_nothing_there():
    keys = KeyHistory(
        (LogKey(VerifierKey.parse(OLD.vkey), 0, 3), LogKey(VerifierKey.parse(NEW.vkey), 5))
    )
    note = sign_checkpoint(Checkpoint(ORIGIN, 4, bytes(32)))
    with pytest.raises(NoteError):
        open_checkpoint(note, keys)
    note = sign_checkpoint(Checkpoint(ORIGIN, 4, bytes(32)), THIRD)
    with pytest.raises(NoteError, match="no key of the log signs size 4"):
        open_checkpoint(note, keys)
