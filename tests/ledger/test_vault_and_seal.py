"""Openings at rest, and merkletools' trees against ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InclusionError, LedgerInconsistent
from ledger.export import export
from ledger.layout import DirectorySource
from ledger.merkle import EMPTY_ROOT, inclusion_path, leaf_hash, root_of, verify_inclusion
from ledger.seal import RowTree, period_root
from ledger.tables import TABLES
from ledger.vault import Vault
from ledger.verify import verify_export
from logs import DIGEST, drop_guard, only_sqlite


def test_openings_come_back_in_row_order(log):
    done = log.predict(["a", "b", "c"])
    opened = log.vault.open(done.index)
    assert [opening.inputs["x"].value for opening in opened] == ["a", "b", "c"]


def test_the_database_holds_no_plain_value(log):
    log.predict(["a very secret income"])
    with log.engine.connect() as connection:
        stored = [
            bytes(value) if isinstance(value, bytes) else str(value).encode()
            for table in TABLES
            for row in connection.execute(table.select())
            for value in row
        ]
    assert not [value for value in stored if b"a very secret income" in value]
    assert [value for value in stored if DIGEST.encode() in value]  # the rows were read at all


@only_sqlite
def test_the_database_file_holds_no_plain_value(log):
    log.predict(["a very secret income"])
    log.engine.dispose()
    stored = b"".join(path.read_bytes() for path in log.directory.iterdir())
    assert b"a very secret income" not in stored
    assert DIGEST.encode() in stored  # the files were read at all


def test_another_house_key_opens_nothing(log):
    done = log.predict(["a"])
    with pytest.raises(LedgerInconsistent, match="unwrap"):
        Vault(b"x" * 32, log.engine).open(done.index)


def test_two_processes_may_make_two_keys_for_one_subject(log):
    other = Vault(b"k" * 32, log.engine)
    first = log.predict(["a"], subject="sub_same")
    log.vault, mine = other, log.vault
    second = log.predict(["b"], subject="sub_same")
    for vault in (mine, other, Vault(b"k" * 32, log.engine)):
        assert vault.open(first.index)[0].inputs["x"].value == "a"
        assert vault.open(second.index)[0].inputs["x"].value == "b"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_opening SET sealed = substr(sealed, 2)",
        "UPDATE ledger_opening SET subject = 'sub_other'",
        "UPDATE ledger_opening SET row_index = 1 - row_index + 5",
    ],
)
def test_an_altered_or_moved_opening_does_not_open(log, change):
    done = log.predict(["a", "b"])
    log.predict(["c"], subject="sub_other")
    with log.engine.begin() as connection:
        drop_guard(connection, "ledger_opening", "update")
        connection.exec_driver_sql(change)
    with pytest.raises(LedgerInconsistent, match="decrypt"):
        log.vault.open(done.index)


def test_openings_exchanged_between_two_entries_of_a_subject_are_a_finding(log, tmp_path):
    """They decrypt, since an entry's place is not known when they are sealed: the log tells."""
    one, two = log.predict(["a"]), log.predict(["b"])
    with log.engine.begin() as connection:
        drop_guard(connection, "ledger_opening", "update")
        swap = "UPDATE ledger_opening SET leaf_index = {1} WHERE leaf_index = {0}"
        for old, new in ((one.index, 999), (two.index, one.index), (999, two.index)):
            connection.exec_driver_sql(swap.format(old, new))
    assert log.vault.open(one.index)[0].inputs["x"].value == "b"
    export(log.ledger, tmp_path / "x", vault=log.vault)
    found = verify_export(DirectorySource(tmp_path / "x"), log.ledger.vkey)
    told = {(finding.check, finding.leaf) for finding in found.findings}
    assert told == {("opening", one.index), ("opening", two.index)}


def test_an_erased_subject_opens_nothing_and_others_do(log):
    gone = log.predict(["a"], subject="sub_gone")
    kept = log.predict(["b"], subject="sub_kept")
    with log.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ledger_subject_key WHERE subject = 'sub_gone'")
    assert log.vault.open(gone.index) == []
    assert len(log.vault.open(kept.index)) == 1


def test_seal_and_row_trees_are_those_of_rfc_6962():
    rows = [f"row {n}".encode() for n in range(140)]
    hashes = [leaf_hash(row) for row in rows]
    for size in range(1, 140):
        root = root_of(hashes[:size])
        assert period_root(hashes[:size]) == root
        tree = RowTree(rows[:size])
        assert tree.root == root
        for index in range(size):
            assert tree.path(index) == inclusion_path(hashes[:size], index)


def test_an_empty_period_has_the_empty_root():
    assert period_root([]) == EMPTY_ROOT
    assert RowTree([]).root == EMPTY_ROOT
    with pytest.raises(InclusionError):
        RowTree([]).path(0)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=40), st.data())
def test_a_row_proves_itself_and_no_other_row(rows, data):
    tree = RowTree(rows)
    index = data.draw(st.integers(0, len(rows) - 1))
    path = tree.path(index)
    verify_inclusion(leaf_hash(rows[index]), index, size=len(rows), path=path, root=tree.root)
    with pytest.raises(InclusionError):
        verify_inclusion(
            leaf_hash(rows[index] + b"x"), index, size=len(rows), path=path, root=tree.root
        )
