"""Rows by columns: records, leaves, the row tree, what is stored, exported, checked and erased."""

import dataclasses
import json
import shutil
import struct
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.canonical import parse_canonical
from ledger.columnar import (
    PART_ROWS,
    Columns,
    SealedPart,
    check_columns,
    check_parts,
    parts_of,
    row_path,
    row_root,
)
from ledger.errors import InclusionError, LedgerInconsistent, RecordError
from ledger.export import export
from ledger.keys import Role
from ledger.layout import DirectorySource
from ledger.merkle import leaf_hash, root_of, verify_inclusion
from ledger.record import Draft, check_draft, parse_entry
from ledger.seal import RowTree
from ledger.verify import verify_export
from logs import DIGEST, TIME, drop_guard, key_of, only_sqlite

COLUMNS = Columns(("x", "y"), ("margin_q16",), ("approve", "decline"))
SUBJECT = "sub_1"


def records_of(count):
    made = []
    for row in range(count):
        salt = sha256(f"salt {row}".encode()).digest()[:16]
        made.append(salt + bytes([row % 2]) + struct.pack(">ffq", row / 2, -row, row - 7))
    return b"".join(made)


def batch(log, count, *, columns=COLUMNS, records=None, **changes):
    records = records_of(count) if records is None else records
    step = PART_ROWS * columns.width
    parts = []
    for number in range(parts_of(count)):
        mine = records[number * step : (number + 1) * step]
        sealed, wrapped = log.vault.seal_part(SUBJECT, number, mine)
        parts.append(SealedPart(columns.hashes(mine, number * PART_ROWS), SUBJECT, sealed, wrapped))
    data = {
        "model_digest": DIGEST,
        "model_name": "m",
        "policy_digest": DIGEST,
        "environment_digest": DIGEST,
        "verification_mode": "signed",
        "as_of": None,
        "caller_reference": None,
        "row_count": count,
        "rows_root": row_root(b"".join(part.hashes for part in parts)).hex(),
        "columns": columns.to_json(),
    }
    draft = Draft(
        type="prediction", actor_id="desk", data=data, event_time=TIME, parts=tuple(parts)
    )
    return dataclasses.replace(draft, **changes)


def append(log, draft):
    return log.ledger.append(draft, key_of(Role.PRODUCER)).index


# --- bytes -----------------------------------------------------------------------------------


def test_a_leaf_is_canonical_json_of_the_records_own_bytes():
    (leaf,) = COLUMNS.texts(records_of(43)[42 * COLUMNS.width :], 42)
    salt = sha256(b"salt 42").hexdigest()[:32]
    assert parse_canonical(leaf) == {
        "decision": "00",
        "inputs": struct.pack(">ff", 21, -42).hex(),
        "outputs": struct.pack(">q", 35).hex(),
        "row_index": "0000002a",
        "salt": salt,
        "schema": "assay/row/v2",
    }


def test_a_record_reads_in_words_and_back_from_its_leaf():
    records = records_of(3)
    last = records[2 * COLUMNS.width :]
    row = COLUMNS.row(last)
    assert (row.inputs, row.outputs) == (
        {"x": "3f800000", "y": "c0000000"},
        {"margin_q16": -5},
    )
    assert row.decision == "approve"
    assert COLUMNS.record(next(COLUMNS.texts(last, 2)).decode()) == (2, last)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace('"decision":"01"', '"decision":"02"'),
        lambda t: t.replace('"decision":"01"', '"decision":1'),
        lambda t: t.replace('"inputs":"', '"inputs":"00'),
        lambda t: t.replace("v2", "v1"),
        lambda t: t.upper(),
        lambda t: t + " ",
        lambda t: " " + t,
        lambda t: t.replace('"salt"', '"extra":"","salt"'),
    ],
)
def test_a_leaf_that_is_written_otherwise_is_refused(change):
    leaf = list(COLUMNS.texts(records_of(2)))[1].decode()
    COLUMNS.record(leaf)
    with pytest.raises(RecordError):
        COLUMNS.record(change(leaf))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.randoms())
def test_the_row_tree_is_that_of_rfc_6962_and_of_merkletools(count, random):
    leaves = [random.randbytes(8) for _ in range(count)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert row_root(b"".join(hashes)) == root_of(hashes) == RowTree(leaves).root


@pytest.mark.parametrize("count", [1, 2, PART_ROWS, PART_ROWS + 1, 3 * PART_ROWS + 700])
def test_a_path_through_the_parts_leads_to_the_root(count):
    hashes = [sha256(b"%d" % n).digest() for n in range(count)]
    parts = [b"".join(hashes[at : at + PART_ROWS]) for at in range(0, count, PART_ROWS)]
    root = row_root(b"".join(hashes))
    tried = {0, 1, count // 2, PART_ROWS - 1, PART_ROWS, count - 1}
    for index in sorted(index for index in tried if index < count):
        path = row_path(parts, index)
        verify_inclusion(hashes[index], index, size=count, path=path, root=root)
    for index in (-1, count):
        with pytest.raises(InclusionError):
            row_path(parts, index)


BAD_COLUMNS = {
    "no object": [],
    "an unknown key": COLUMNS.to_json() | {"more": 1},
    "a missing key": {"schema": "assay/columns/v1"},
    "another schema": COLUMNS.to_json() | {"schema": "assay/columns/v9"},
    "an input twice": COLUMNS.to_json() | {"inputs": ["x", "x"]},
    "an input that is an output": COLUMNS.to_json() | {"inputs": ["margin_q16"]},
    "no input": COLUMNS.to_json() | {"inputs": []},
    "no output": COLUMNS.to_json() | {"outputs": []},
    "no decision": COLUMNS.to_json() | {"decisions": []},
    "a decision twice": COLUMNS.to_json() | {"decisions": ["a", "a"]},
    "a name that is none": COLUMNS.to_json() | {"inputs": ["a b"]},
    "more than 256 decisions": COLUMNS.to_json() | {"decisions": [str(n) for n in range(257)]},
}


@only_sqlite
@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_columns_that_are_none_are_refused(case, log):
    assert check_columns(BAD_COLUMNS[case])
    draft = batch(log, 2)
    with pytest.raises(RecordError):
        check_draft(dataclasses.replace(draft, data={**draft.data, "columns": BAD_COLUMNS[case]}))


@only_sqlite
@pytest.mark.parametrize("rows", [1, 3, PART_ROWS])
def test_parts_of_other_sizes_than_the_rows_are_refused(log, rows):
    draft = batch(log, 2)
    check_parts(draft.data, draft.parts)
    with pytest.raises(RecordError, match="row_count"):
        check_draft(dataclasses.replace(draft, data={**draft.data, "row_count": rows}))


@only_sqlite
def test_parts_without_columns_are_refused(log):
    draft = batch(log, 1)
    data = {k: v for k, v in draft.data.items() if k != "columns"}
    with pytest.raises(RecordError):
        check_draft(dataclasses.replace(draft, data=data))
    single = Draft(
        type="refusal",
        actor_id="a",
        data={"cause": "c", "model_digest": None, "detail": "d"},
        event_time=TIME,
        parts=draft.parts,
    )
    with pytest.raises(RecordError, match="columns"):
        check_draft(single)


# --- stored ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, PART_ROWS + 5])
def test_what_was_appended_comes_back(log, count):
    leaf = append(log, batch(log, count))
    assert parse_entry(log.ledger.entry(leaf).entry).data["row_count"] == count
    records = b"".join(part for _, part in log.vault.open_parts(leaf))
    assert records == records_of(count)
    assert b"".join(log.ledger.row_hashes(leaf)) == COLUMNS.hashes(records)
    assert log.vault.rows_of(SUBJECT) == [(leaf, row) for row in range(count)]
    assert log.vault.subject_of(leaf, count - 1) == SUBJECT


def test_one_part_can_be_opened_alone(log):
    leaf = append(log, batch(log, 2 * PART_ROWS + 5))
    ((part, records),) = log.vault.open_parts(leaf, 2, 3)
    assert (part, records) == (2, records_of(2 * PART_ROWS + 5)[2 * PART_ROWS * COLUMNS.width :])


def test_a_part_moved_to_another_place_does_not_open(log):
    leaf = append(log, batch(log, 2 * PART_ROWS))
    with log.engine.begin() as connection:
        drop_guard(connection, "ledger_sealed_part", "update")
        for old, new in ((0, 9), (1, 0), (9, 1)):
            connection.exec_driver_sql(
                f"UPDATE ledger_sealed_part SET part = {new} WHERE part = {old}"
            )
    with pytest.raises(LedgerInconsistent, match="does not decrypt"):
        list(log.vault.open_parts(leaf))


@pytest.mark.parametrize("act", ["UPDATE ledger_part SET part = 7", "DELETE FROM ledger_part"])
def test_hashes_are_append_only(log, act):
    append(log, batch(log, 3))
    with pytest.raises(Exception, match="append-only"), log.engine.begin() as connection:
        connection.exec_driver_sql(act)


@only_sqlite
def test_hashes_that_rot_on_their_way_to_the_disk_fail_the_append(log):
    with log.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER rot AFTER INSERT ON ledger_sealed_part BEGIN "
            "INSERT INTO ledger_part VALUES (NEW.leaf_index, 99, x'00'); END"
        )
    size = log.ledger.size
    with pytest.raises(LedgerInconsistent):
        append(log, batch(log, 3))
    assert log.ledger.size == size


# --- exported and checked --------------------------------------------------------------------

ROWS = PART_ROWS + 3


@pytest.fixture
def exported(log, tmp_path):
    leaf = append(log, batch(log, ROWS))
    export(log.ledger, tmp_path / "export", vault=log.vault)
    return tmp_path / "export", leaf


def findings(log, directory):
    found = verify_export(DirectorySource(directory), log.ledger.vkey)
    return {(f.check, f.leaf) for f in found.findings if f.check != "file"}, found


def test_an_export_with_a_batch_holds(log, exported):
    directory, leaf = exported
    told, found = findings(log, directory)
    assert not found.failed, found.findings
    assert not told
    counts = {check.check: check.examined for check in found.checks}
    assert (counts["row"], counts["opening"]) == (1, ROWS)
    assert (directory / f"batches/{leaf}.hashes").stat().st_size == 32 * ROWS
    assert (directory / f"batches/{leaf}.records").stat().st_size == COLUMNS.width * ROWS


@only_sqlite
@pytest.mark.parametrize("place", [0, 16, 17, 30, COLUMNS.width * PART_ROWS + 3])
def test_any_flipped_byte_of_the_records_is_a_finding(log, exported, place):
    directory, leaf = exported
    flip(directory / f"batches/{leaf}.records", place)
    told, found = findings(log, directory)
    assert told == {("opening", leaf)}
    (finding,) = [f for f in found.findings if f.check == "opening"]
    assert f"row {place // COLUMNS.width}" in finding.expected


@only_sqlite
def test_any_flipped_byte_of_the_hashes_is_a_finding(log, exported):
    directory, leaf = exported
    flip(directory / f"batches/{leaf}.hashes", 40)
    assert findings(log, directory)[0] == {("row", leaf)}


@only_sqlite
@pytest.mark.parametrize(("kind", "check"), [("hashes", "row"), ("records", "opening")])
@pytest.mark.parametrize("how", ["shorter", "longer", "empty", "gone"])
def test_files_of_another_length_are_findings(log, exported, kind, check, how):
    directory, leaf = exported
    path = directory / f"batches/{leaf}.{kind}"
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"shorter": data[:-1], "longer": data + b"\0", "empty": b""}[how])
    told, found = findings(log, directory)
    assert (check, leaf) in told
    assert any(f.check == "file" for f in found.findings)


@only_sqlite
def test_a_batch_file_of_no_batch_is_a_finding(log, exported):
    directory, leaf = exported
    shutil.copy(directory / f"batches/{leaf}.hashes", directory / "batches/3.hashes")
    _, found = findings(log, directory)
    assert [(f.check, f.subject) for f in found.findings] == [("file", "batches/3.hashes")]


@only_sqlite
def test_withheld_records_are_no_finding(log, tmp_path):
    leaf = append(log, batch(log, ROWS))
    export(log.ledger, tmp_path / "export", vault=None)
    told, found = findings(log, tmp_path / "export")
    assert not told
    assert found.openings_withheld
    assert not (tmp_path / f"export/batches/{leaf}.records").exists()


@only_sqlite
def test_rows_that_vanish_without_an_erasure_are_findings(log, tmp_path):
    leaf = append(log, batch(log, 3))
    log.vault.destroy(SUBJECT)
    export(log.ledger, tmp_path / "export", vault=log.vault)
    _, found = findings(log, tmp_path / "export")
    assert [(f.check, f.leaf) for f in found.findings] == [("opening", leaf)] * 3


def erasure(names):
    data = {"rows": names, "reason": "r", "authority": "a"}
    return Draft(type="erasure", actor_id="o", data=data, event_time=TIME)


def test_erased_rows_are_told_and_leave_every_proof_standing(log, tmp_path):
    leaf = append(log, batch(log, 3))
    names = [f"{leaf}.{row}" for row in range(3)]
    at = log.ledger.append(erasure(names), key_of(Role.OPERATOR)).index
    log.vault.destroy(SUBJECT)
    export(log.ledger, tmp_path / "export", vault=log.vault)
    told, found = findings(log, tmp_path / "export")
    assert not told
    assert found.erased == {(leaf, row): at for row in range(3)}
    assert not list(log.vault.open_parts(leaf))
    assert row_path(log.ledger.row_hashes(leaf), 1)


@only_sqlite
def test_rows_said_to_be_erased_that_are_there_are_findings(log, tmp_path):
    leaf = append(log, batch(log, 2))
    log.ledger.append(erasure([f"{leaf}.0", f"{leaf}.1"]), key_of(Role.OPERATOR))
    export(log.ledger, tmp_path / "export", vault=log.vault)
    told, _ = findings(log, tmp_path / "export")
    assert {check for check, _ in told} == {"erasure"}


@only_sqlite
def test_an_unreadable_index_of_files_changes_no_verdict_on_rows(log, exported):
    directory, _ = exported
    index = json.loads((directory / "index.json").read_text())
    index["files"] = {k: v for k, v in index["files"].items() if "batches" not in k}
    (directory / "index.json").write_text(json.dumps(index, sort_keys=True, separators=(",", ":")))
    told, found = findings(log, directory)
    assert not told
    assert {f.check for f in found.findings} == {"file"}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
