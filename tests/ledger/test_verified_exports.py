"""A whole log checked from an export: each check, by the lie that only it can notice.

The liar here holds every key, the log's too, and mends the index; what is wrong is what is said.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.canonical import canonical_bytes
from ledger.errors import KeyRefused
from ledger.findings import CLAIMS, FINDINGS_KEPT
from ledger.keys import Role, SigningKey
from ledger.layout import CHECKPOINT, HISTORY, INDEX, DirectorySource, openings_path, rows_path
from ledger.merkle import leaf_hash, root_of
from ledger.note import Checkpoint, NoteSigner, sign_checkpoint
from ledger.record import row_bytes
from ledger.verify import verify_export
from memory_logs import (
    DIGEST,
    ORIGIN,
    SIGNER,
    MemoryLog,
    MemorySource,
    full_log,
    key_of,
    only_tile,
    reindexed,
)

VKEY = SIGNER.vkey
LOG = full_log()
SIZE = len(LOG.entries)
FILES = LOG.files()
SMALL = full_log(2)
SMALL_FILES = SMALL.files()


def check(files, vkey=VKEY, **kwargs):
    return verify_export(MemorySource(files), vkey, **kwargs)


def found(files):
    """What was found, as (check, leaf) or (check, file)."""
    result = check(files)
    return {(f.check, f.subject if f.leaf is None else f.leaf) for f in result.findings}


def changed(path, data, *, mended=True):
    files = {**FILES, path: data}
    return reindexed(files, SIZE) if mended else files


# --- nothing wrong ---------------------------------------------------------------------------


def test_a_log_as_it_was_written_has_no_findings_and_every_check_looked():
    result = check(FILES)
    assert result.findings == ()
    assert result.failed == 0
    assert [item.check for item in result.checks] == list(CLAIMS)
    assert all(item.examined and not item.failed for item in result.checks)
    assert (result.tree_size, result.origin) == (SIZE, ORIGIN)
    assert result.checkpoint == FILES[CHECKPOINT].decode()
    assert result.entry_counts["refusal"] == 255
    producer = result.keys[key_of(Role.PRODUCER).key_id]
    assert (producer.role, producer.holder, producer.leaf) == (Role.PRODUCER, "the producer", 1)
    assert producer.public_key == key_of(Role.PRODUCER).public


def test_counts_are_of_what_was_looked_at():
    counts = {item.check: item.examined for item in check(FILES).checks}
    assert counts["leaf"] == counts["entry"] == counts["signature"] == SIZE
    assert counts["key"] == 5
    assert counts["row"] == counts["seal"] == 2
    assert counts["opening"] == 1 + 3 + 3 + 1
    assert counts["erasure"] == 1
    assert counts["history"] == len(LOG.sizes)
    assert counts["file"] == len(FILES) - 2


@pytest.mark.parametrize("size", [0, 1, 5, 255, 256, 257])
def test_logs_of_any_size(size):
    log = MemoryLog() if size >= 5 else MemoryLog(introduce=[Role.OPERATOR][:size])
    log.refuse(max(0, size - 5))
    assert len(log.entries) == size
    assert check(log.files()).findings == ()


def test_progress_is_told_a_bundle_at_a_time():
    told = []
    check(FILES, progress=lambda done, total: told.append((done, total)))
    assert told == [(256, SIZE), (SIZE, SIZE)]


def test_a_directory_is_read_alike(tmp_path):
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    assert verify_export(DirectorySource(tmp_path), VKEY).findings == ()


def test_an_unusable_key_is_the_callers_mistake():
    with pytest.raises(KeyRefused):
        check(FILES, "nonsense")


# --- bytes -----------------------------------------------------------------------------------


def flipped(data, files, without=()):
    """A file of an export with one bit flipped: its path and its bytes."""
    path = data.draw(st.sampled_from(sorted(files.keys() - set(without))))
    content = bytearray(files[path])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    return path, bytes(content)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_a_finding_that_names_its_file(data):
    path, content = flipped(data, SMALL_FILES)
    result = check({**SMALL_FILES, path: content})
    assert result.failed
    assert any(path in finding.subject for finding in result.findings) or path == INDEX


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mended_index_hides_no_flipped_bit(data):
    path, content = flipped(data, SMALL_FILES, without=[INDEX])
    assert check(reindexed({**SMALL_FILES, path: content}, len(SMALL.entries))).failed


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_file_lost_is_named(path):
    files = {name: data for name, data in FILES.items() if name != path}
    assert ("file", path) in found(files)
    if not path.startswith("blobs/"):  # which blobs go along, only the index knows
        assert found(reindexed(files, SIZE)) - {("file", INDEX)} or path == INDEX


@pytest.mark.parametrize(
    "path",
    [
        "README",
        "tile/0/002.p/1",
        "tile/entries/000.p/3",
        "rows/002.jsonl",
        "rows/0000.jsonl",
        "blobs/00",
        "checkpoint.1",
        ".tmp",
    ],
)
def test_a_file_more_is_named_whatever_the_index_says(path):
    assert ("file", path) in found({**FILES, path: b"x"})
    assert ("file", path) in found(changed(path, b"x"))


def test_a_changed_entry_is_told_once_where_it_is():
    """No checkpoint after it, no tile above it: one leaf, its entry, the root, the file, the seal."""
    leaf = 40
    entries = list(LOG.entries)
    entries[leaf] = entries[leaf].replace(b'"detail":"d"', b'"detail":"e"')
    liar = MemoryLog(introduce=())
    liar.entries = entries
    path = only_tile(None, 0, SIZE)
    expected = {
        ("leaf", leaf),
        ("signature", leaf),
        ("root", f"root of size {SIZE}"),
        ("seal", SIZE - 1),
    }
    assert found(changed(path, liar.files()[path])) == expected
    assert found({**FILES, path: liar.files()[path]}) == {*expected, ("file", path)}
    assert check(changed(path, liar.files()[path])).findings[0].leaf == leaf


def test_an_entry_changed_with_its_leaf_hash_still_misses_the_root():
    entries = list(LOG.entries)
    entries[40] = entries[40].replace(b'"detail":"d"', b'"detail":"e"')
    liar = MemoryLog(introduce=())
    liar.entries = entries
    forged = {path: data for path, data in liar.files().items() if path.startswith("tile/")}
    names = found(reindexed({**FILES, **forged}, SIZE))
    assert {("signature", 40), ("root", f"root of size {SIZE}")} <= names


def test_a_changed_hash_is_told_where_it_is():
    path = only_tile(0, 0, SIZE)
    flipped = bytearray(FILES[path])
    flipped[32 * 7 + 3] ^= 1
    assert found(changed(path, bytes(flipped))) == {("leaf", 7)}
    path = only_tile(1, 0, SIZE)
    assert found(changed(path, bytes(32))) == {("tile", path)}
    assert found(changed(path, FILES[path] * 2)) == {("tile", path)}


@pytest.mark.parametrize("leaf", [0, 9, 255, 256, SIZE - 1])
def test_a_changed_length_names_the_entry_it_is_of(leaf):
    n = leaf // 256
    path = only_tile(None, n, SIZE)
    at = sum(2 + len(entry) for entry in LOG.entries[256 * n : leaf])
    flipped = bytearray(FILES[path])
    flipped[at + 1] ^= 1
    findings = check(changed(path, bytes(flipped))).findings
    assert (findings[0].check, findings[0].leaf) == ("entry", leaf)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_bundle_cut_short_ends_no_check(cut):
    path = only_tile(None, 1, SIZE)
    assert ("entry", 256) in found(changed(path, FILES[path][:cut]))


def test_a_lost_bundle_leaves_the_rest_judged():
    path = only_tile(None, 0, SIZE)
    files = {name: data for name, data in FILES.items() if name != path}
    result = check(files)
    assert ("file", path) in found(files)
    assert next(item for item in result.checks if item.check == "entry").examined == SIZE - 256


def test_findings_kept_are_bounded_and_their_number_is_not():
    log = MemoryLog()
    log.entries += [b"x"] * (FINDINGS_KEPT + 10)
    result = check(log.files())
    assert len(result.findings) == FINDINGS_KEPT
    assert result.failed >= FINDINGS_KEPT + 10


# --- files -----------------------------------------------------------------------------------


def edited_index(**changes):
    return {**FILES, INDEX: canonical_bytes({**json.loads(FILES[INDEX]), **changes})}


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "assay/export/v2"},
        {"more": 1},
        {"files": []},
        {"openings": "some"},
        {"origin": "other.example/log"},
        {"tree_size": 1},
        {"files": {"a": "b"}},
    ],
)
def test_an_index_of_another_form_or_log_is_named(changes):
    assert ("file", INDEX) in found(edited_index(**changes))


def test_an_index_that_lists_more_or_less():
    listed = json.loads(FILES[INDEX])["files"]
    assert ("file", "gone") in found(edited_index(files={**listed, "gone": DIGEST}))
    blob = next(path for path in listed if path.startswith("blobs/"))
    less = {path: digest for path, digest in listed.items() if path != blob}
    assert found(edited_index(files=less)) == {("file", blob)}


def test_a_blob_under_another_name():
    path = next(path for path in FILES if path.startswith("blobs/"))
    assert found(changed(path, b"another model")) == {("blob", path)}


# --- checkpoints -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff",
        sign_checkpoint(
            Checkpoint(ORIGIN, SIZE, bytes(32)), NoteSigner(ORIGIN, SigningKey(bytes(32)))
        ).encode(),
        FILES[CHECKPOINT].replace(ORIGIN.encode(), b"else.example/log"),
    ],
)
def test_a_checkpoint_that_is_not_the_logs_ends_the_check(note):
    result = check(changed(CHECKPOINT, note))
    assert [f.check for f in result.findings] == ["checkpoint"]
    assert (result.tree_size, result.checkpoint, result.root) == (0, "", b"")


def test_another_root_signed_by_the_log():
    note = sign_checkpoint(Checkpoint(ORIGIN, SIZE, bytes(32)), SIGNER).encode()
    names = found(changed(CHECKPOINT, note))
    assert names == {("root", f"root of size {SIZE}"), ("history", HISTORY)}


def test_a_tail_cut_off_contradicts_the_history():
    shorter = MemoryLog(introduce=())
    shorter.entries = LOG.entries[:-1]
    shorter.rows, shorter.openings = LOG.rows, LOG.openings
    files = {**shorter.files(), HISTORY: FILES[HISTORY]}
    names = found(reindexed(files, SIZE - 1))
    assert ("history", f"{HISTORY} line {len(LOG.sizes)}") in names


def history(lines):
    return changed(HISTORY, b"".join(canonical_bytes(line) + b"\n" for line in lines))


def line(size, root=None):
    note = LOG.note(size)
    if root is not None:
        note = sign_checkpoint(Checkpoint(ORIGIN, size, root), SIGNER)
    return {"note": note, "size": size}


LAST = line(SIZE)
HISTORIES = {
    "another view, signed by the log": [line(7, bytes(32)), LAST],
    "another view of the empty tree": [line(0, bytes(32)), LAST],
    "the newest missing": [line(7)],
    "none at all": [],
    "sizes descending": [line(7), line(6), LAST],
    "a size twice": [line(7), line(7), LAST],
    "a size that is not the note's": [{**line(7), "size": 8}, LAST],
    "a size that is true": [{**line(1), "size": True}, LAST],
    "a size as text": [{**line(1), "size": "1"}, LAST],
    "a key more": [{**line(7), "more": 1}, LAST],
    "a note that is a number": [{"note": 7, "size": 7}, LAST],
    "a list": [[], LAST],
}


@pytest.mark.parametrize("lines", HISTORIES.values(), ids=HISTORIES.keys())
def test_a_history_that_does_not_hold(lines):
    names = found(history(lines))
    assert names
    assert {name for name, _ in names} == {"history"}


def test_a_history_without_its_last_line_feed():
    assert found(changed(HISTORY, FILES[HISTORY][:-1])) == {("file", HISTORY)}
    assert ("history", f"{HISTORY} line {len(LOG.sizes) + 1}") in found(
        changed(HISTORY, FILES[HISTORY] + b"\n")
    )


# --- entries, each signed properly -----------------------------------------------------------


def lied(write):
    """What is found in a log to which one lie was added; its leaf."""
    log = MemoryLog()
    log.predict()
    log.predict(3)
    log.observe(5)
    leaf = write(log)
    log.refuse()
    return found(log.files()), leaf


NAMED = {"model_digest": DIGEST, "name": "m", "reason": "r"}
REFUSAL = {"cause": "C", "model_digest": None, "detail": "d"}
STRANGER = SigningKey(bytes([9] * 32))
LIMITS = {
    "model_digest": DIGEST,
    "metric": "auc",
    "limit": "0.7",
    "side": "below",
    "tolerance": "0",
    "window": "w",
    "minimum_labels": 1,
    "detector": "d",
    "replaces": 5,
    "reason": "r",
    "second_person": "p",
}
POLICY = {**LIMITS, "on_alarm": "blocked"}
ALARM = {
    "about": "job:drift",
    "cause": "job_failed",
    "severity": "amber",
    "policy_leaf": None,
    "metric": None,
    "detector": None,
    "guarantee": None,
    "detail": "d",
    "since": None,
    "first_leaf": None,
    "last_leaf": None,
    "count": 0,
    "evidence_digest": None,
}
OF_ALARM = {"alarm_leaf": 5, "comment": "c"}
DRIFT = {
    "model_digest": DIGEST,
    "first_leaf": 0,
    "last_leaf": 3,
    "reference_digest": DIGEST,
    "configuration_digest": DIGEST,
    "library": "l",
    "version": "1",
    "result_digest": DIGEST,
}
REPORT = {"report_kind": "honesty", "checkpoint_size": 9, "report_digest": DIGEST}
LIES = {
    "an entry of another log": (
        "entry",
        lambda log: log.add("refusal", REFUSAL, origin="o.example"),
    ),
    "bytes that are no entry": ("entry", lambda log: log.append(b"{}")),
    "a type nobody knows": ("entry", lambda log: log.add("key.burned", {})),
    "a field more": ("entry", lambda log: log.add("refusal", {**REFUSAL, "more": 1})),
    "a key nobody introduced": (
        "signer",
        lambda log: log.add("refusal", REFUSAL, Role.RELAY),
    ),
    "a prediction's key for an approval": ("signer", lambda log: log.add("model.approved", NAMED)),
    "an approver's key for an outcome": (
        "signer",
        lambda log: log.add("refusal", REFUSAL, Role.APPROVER),
    ),
    "a key that introduces itself": (
        "signer",
        lambda log: log.introduce(Role.WITNESS, by=Role.WITNESS),
    ),
    "a key introduced by a producer": (
        "signer",
        lambda log: log.introduce(Role.WITNESS, by=Role.PRODUCER),
    ),
    "a key introduced again": ("key", lambda log: log.introduce(Role.PRODUCER)),
    "a key under another name": ("key", lambda log: log.introduce(Role.WITNESS, key_id="0" * 32)),
    "a key nobody showed to hold": (
        "key",
        lambda log: log.introduce(Role.WITNESS, held_by=STRANGER),
    ),
    "a key of small order": (
        "key",
        lambda log: log.introduce(Role.WITNESS, public_key="AQ" + "A" * 41 + "="),
    ),
    "a number left out": ("sequence", lambda log: log.add("refusal", REFUSAL, seq=4)),
    "a number used twice": ("sequence", lambda log: log.add("refusal", REFUSAL, seq=1)),
    "a parent that comes later": (
        "reference",
        lambda log: log.add("refusal", REFUSAL, parents=(8,)),
    ),
    "an outcome of a later prediction": ("reference", lambda log: log.observe(99)),
    "an outcome of what is none": ("reference", lambda log: log.observe(7)),
    "an outcome of a row too many": ("reference", lambda log: log.observe(6, 3)),
    "a revision of another outcome": ("reference", lambda log: log.observe(6, 0, revises=7)),
    "a revision of a prediction": ("reference", lambda log: log.observe(5, revises=5)),
    "a revision of what comes later": ("reference", lambda log: log.observe(5, revises=8)),
    "a limit that replaces no limit": (
        "reference",
        lambda log: log.add("limits", LIMITS, Role.APPROVER),
    ),
    "a policy that replaces no policy": (
        "reference",
        lambda log: log.add("policy", POLICY, Role.APPROVER),
    ),
    "an alarm by what is no limit": (
        "reference",
        lambda log: log.add("alarm", {**ALARM, "policy_leaf": 5}, Role.REPORTER),
    ),
    "an alarm by a limit to come": (
        "reference",
        lambda log: log.add("alarm", {**ALARM, "policy_leaf": 99}, Role.REPORTER),
    ),
    "a closing of what is no alarm": (
        "reference",
        lambda log: log.add("alarm.closed", OF_ALARM, Role.APPROVER),
    ),
    "a halt by what is no alarm": (
        "reference",
        lambda log: log.add(
            "model.halted", {**NAMED, "state": "blocked", "alarm_leaf": 5}, Role.REPORTER
        ),
    ),
    "a resumption of what was not halted": (
        "reference",
        lambda log: log.add(
            "model.resumed", {**NAMED, "halted_leaf": 5, "second_person": "p"}, Role.APPROVER
        ),
    ),
    "an alarm signed by an approver": (
        "signer",
        lambda log: log.add("alarm", ALARM, Role.APPROVER),
    ),
    "an acknowledgement signed by the reporter": (
        "signer",
        lambda log: log.add("alarm.acknowledged", {**OF_ALARM, "alarm_leaf": 8}, Role.REPORTER),
    ),
    "drift over leaves to come": (
        "reference",
        lambda log: log.add("drift", {**DRIFT, "last_leaf": 8}, Role.REPORTER),
    ),
    "drift from end to start": (
        "reference",
        lambda log: log.add("drift", {**DRIFT, "first_leaf": 4}, Role.REPORTER),
    ),
    "a report on what is to come": (
        "reference",
        lambda log: log.add("report", REPORT, Role.REPORTER),
    ),
    "a time-stamp of itself": (
        "reference",
        lambda log: log.add(
            "timestamp",
            {"leaf": 8, "token_digest": DIGEST, "authority": "a"},
            Role.REPORTER,
        ),
    ),
    "an erasure of what comes later": ("reference", lambda log: log.erase("8.0", keep=True)),
    "an erasure of what is no row": ("reference", lambda log: log.erase("2.0", keep=True)),
    "an erasure of a row too many": ("reference", lambda log: log.erase("6.3", keep=True)),
    "an erasure that erased nothing": ("erasure", lambda log: log.erase("6.2", keep=True)),
    "an erasure by another than the operator": (
        "signer",
        lambda log: log.add(
            "erasure", {"rows": [], "reason": "r", "authority": "a"}, Role.PRODUCER
        ),
    ),
    "a seal that leaves a gap": ("seal", lambda log: log.seal(1)),
    "a seal over itself": ("seal", lambda log: log.seal(0, count=9)),
    "a seal past its checkpoint": ("seal", lambda log: log.seal(0, checkpoint_size=7)),
    "a seal of another root": ("seal", lambda log: log.seal(0, root="0" * 64)),
    "a seal of another root, by its count": (
        "seal",
        lambda log: log.seal(0, count=8, root="0" * 64),
    ),
}


@pytest.mark.parametrize(("name", "write"), LIES.values(), ids=LIES.keys())
def test_a_lie_that_is_signed_and_in_the_tree_is_found_at_its_leaf(name, write):
    names, leaf = lied(write)
    assert (name, leaf) in names
    told = {at for _, at in names}
    if name != "sequence":  # what follows a number that lies is out of step as well
        assert told == {leaf}


def test_what_is_no_lie_is_none():
    for write in (
        lambda log: log.introduce(Role.WITNESS),
        lambda log: log.observe(5, revises=7),
        lambda log: log.observe(6, 2, parents=(6, 7)),
        lambda log: log.seal(0, count=0),
        lambda log: log.seal(0),
        lambda log: log.add("drift", DRIFT, Role.REPORTER),
        lambda log: log.add("limits", {**LIMITS, "replaces": None}, Role.APPROVER),
        lambda log: log.add("policy", {**POLICY, "replaces": None}, Role.APPROVER),
        lambda log: log.add("alarm", ALARM, Role.REPORTER),
        lambda log: log.predict(2, reference="r"),
        lambda log: log.erase("5.0", "6.2", "7.0"),
        lambda log: log.add(
            "timestamp", {"leaf": 7, "token_digest": DIGEST, "authority": "a"}, Role.REPORTER
        ),
    ):
        assert lied(write)[0] == set()


def test_a_log_that_begins_with_another_key_than_the_operators():
    log = MemoryLog(introduce=())
    log.introduce(Role.PRODUCER, by=Role.PRODUCER)
    assert ("key", 0) in found(log.files())


def test_an_overlap_and_what_adjoins_after_it():
    log = MemoryLog()
    log.seal(0)
    log.refuse(3)
    overlapping = log.seal(3)
    log.refuse()
    log.seal(overlapping)
    assert found(log.files()) == {("seal", overlapping)}


def test_a_seal_out_of_place_is_told_so_and_not_as_another_root():
    log = MemoryLog()
    log.seal(1)
    (finding,) = check(log.files()).findings
    assert (finding.expected, finding.got) == ("begins at leaf 0", "leaf 1")


def test_a_wrong_signature_is_no_wrong_form():
    log = MemoryLog()
    log.refuse()
    log.entries[5] = log.entries[5].replace(b'"detail":"d"', b'"detail":"e"')
    assert found(log.files()) == {("signature", 5)}


def test_an_entry_moved_is_out_of_its_producers_order():
    log = MemoryLog()
    log.refuse(3)
    log.entries[5], log.entries[6] = log.entries[6], log.entries[5]
    assert {("sequence", 5), ("sequence", 6)} <= found(log.files())


def test_an_entry_that_cannot_be_read_excuses_one_gap_and_no_more():
    log = MemoryLog()
    log.refuse(3)
    log.entries[6] = b"x"
    assert found(log.files()) == {("entry", 6)}
    log.add("refusal", REFUSAL, seq=4)
    assert found(log.files()) == {("entry", 6), ("sequence", 8)}


# --- rows and openings -----------------------------------------------------------------------

MANY = 6  # the prediction of three rows


def beside(write):
    """The files of a log whose rows or openings were changed, never the entries."""
    log = full_log(2)
    write(log)
    return found(log.files())


def other(value, **changes):
    return {**json.loads(json.dumps(value)), **changes}


def test_an_entry_that_signs_for_more_rows_than_its_root_has():
    log = MemoryLog()
    leaf = log.predict(3, row_count=4)
    assert found(log.files()) == {("row", leaf)}


def test_rows_of_another_form_under_their_own_root():
    log = MemoryLog()
    rows = [{"row_index": index} for index in range(2)]
    leaf = log.predict(2, rows_root=root_of([leaf_hash(row_bytes(row)) for row in rows]).hex())
    log.rows[leaf] = rows
    assert found(log.files()) == {("row", leaf)}


ROWS = {
    "a row lost": lambda rows: rows[MANY].pop(),
    "all rows lost": lambda rows: rows.pop(MANY),
    "a row more": lambda rows: rows[MANY].append(other(rows[MANY][0], row_index=3)),
    "rows in another order": lambda rows: rows[MANY].reverse(),
    "another decision": lambda rows: rows[MANY].append(other(rows[MANY].pop(), decision="flat")),
    "a row of another form": lambda rows: rows[MANY].append({"row_index": 2}),
    "a row that is text": lambda rows: rows[MANY].__setitem__(1, "x"),
    "rows of an entry without": lambda rows: rows.update({12: rows[MANY]}),
    "the rows of another entry": lambda rows: rows.update({MANY: rows[14]}),
}


@pytest.mark.parametrize("write", ROWS.values(), ids=ROWS.keys())
def test_rows_that_are_not_the_entrys(write):
    names = beside(lambda log: write(log.rows))
    assert names in ({("row", MANY)}, {("row", 12)})


def change_value(openings):
    openings[5][0] = other(openings[5][0])
    openings[5][0]["inputs"]["x"]["value"] = "7"


OPENED = {
    "a value": change_value,
    "an opening lost": lambda openings: openings.pop(5),
    "an opening doubled": lambda openings: openings[5].append(openings[5][0]),
    "an opening of a row more": lambda openings: openings[5].append(
        other(openings[5][0], row_index=1)
    ),
    "an opening of another form": lambda openings: openings.update({5: [{}]}),
    "an opening of an entry without": lambda openings: openings.update({12: openings[5]}),
    "another outcome's opening": lambda openings: openings.update({7: openings[8]}),
    "the caller's reference left out": lambda openings: openings[MANY][0]["outputs"].pop(
        "caller_reference"
    ),
    "another field opened": lambda openings: openings[MANY][1]["inputs"].update(
        y={"salt": "0" * 32, "value": "1"}
    ),
}


@pytest.mark.parametrize("write", OPENED.values(), ids=OPENED.keys())
def test_openings_that_are_not_the_entrys(write):
    names = beside(lambda log: write(log.openings))
    assert len(names) == 1
    assert names <= {("opening", leaf) for leaf in (5, 6, 7, 12)}


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"{}",
        b'{"leaf_index":"5","opening":{}}',
        b'{"leaf_index":true,"opening":{}}',
        b'{"leaf_index":256,"opening":{}}',
        b'{"leaf_index":-1,"opening":{}}',
        b'{"leaf_index":5,"row":{}}',
        b"",
    ],
)
def test_a_line_that_cannot_be_used_is_named(text):
    path = openings_path(0)
    names = found(changed(path, text + b"\n" + FILES[path]))
    assert names == {("opening", f"{path} line 1")}


def test_lines_out_of_order_are_named():
    path = openings_path(0)
    lines = FILES[path].splitlines(keepends=True)
    names = found(changed(path, b"".join([lines[1], lines[0], *lines[2:]])))
    assert ("opening", f"{path} line 2") in names


def test_an_export_without_openings_says_so_and_the_rest_is_judged():
    files = LOG.files(openings="withheld")
    result = check(files)
    assert result.findings == ()
    assert result.openings_withheld
    assert rows_path(0) in files
    assert openings_path(0) not in files
    counts = {item.check: item.examined for item in result.checks}
    assert (counts["opening"], counts["row"]) == (0, 2)


def test_openings_that_were_handed_out_all_the_same_are_judged():
    path = openings_path(0)
    lied_about = FILES[path].replace(b'"value":"00000000"', b'"value":"00000001"', 1)
    files = reindexed({**FILES, path: lied_about}, SIZE, "withheld")
    assert ("opening", 5) in found(files)


def test_leaves_of_the_tile_are_the_entries_hashes():
    assert FILES[only_tile(0, 0, SIZE)][:32] == leaf_hash(LOG.entries[0])
