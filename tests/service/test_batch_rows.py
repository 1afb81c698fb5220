"""Rows in arrays are what the ledger says row by row: records, leaves, hashes, and back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.columnar import PART_ROWS, Columns, row_root
from service.batch_rows import Table, hash_parts, new_salts, pack, show, unpack


@st.composite
def tables(draw):
    rows, inputs = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    outputs = draw(st.integers(1, 3))
    bits = st.lists(st.integers(0, 2**32 - 1), min_size=rows * inputs, max_size=rows * inputs).map(
        lambda values: np.asarray(values, np.uint32).view(np.float32).reshape(rows, inputs)
    )
    whole = st.lists(st.integers(-(2**53), 2**53), min_size=rows * outputs, max_size=rows * outputs)
    numbers = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    columns = Columns(
        tuple(f"x{n}" for n in range(inputs)),
        tuple(f"y{n}" for n in range(outputs)),
        ("low", "middle", "high"),
    )
    table = Table(
        new_salts(rows),
        np.asarray(numbers, np.uint8),
        draw(bits),
        np.asarray(draw(whole), np.int64).reshape(rows, outputs),
    )
    return columns, table


@settings(deadline=None)
@given(tables())
def test_records_and_hashes_are_those_of_the_ledger(drawn):
    columns, table = drawn
    records = pack(table)
    ((data, hashes),), root = hash_parts(records, len(columns.inputs))
    assert root == row_root(hashes)
    assert data == records.tobytes()
    assert hashes == columns.hashes(data)
    for place in range(len(table)):
        row = columns.row(data[place * columns.width : (place + 1) * columns.width])
        assert row.decision == columns.decisions[table.decisions[place]]
        assert list(row.outputs.values()) == table.outputs[place].tolist()
        patterns = [f"{bits:08x}" for bits in table.inputs[place].view(np.uint32)]
        assert list(row.inputs.values()) == patterns


@settings(deadline=None)
@given(tables())
def test_records_unpack_to_the_same_bits(drawn):
    columns, table = drawn
    again = unpack(columns, pack(table).tobytes())
    assert (again.salts == table.salts).all()
    assert (again.decisions == table.decisions).all()
    assert (again.outputs == table.outputs).all()
    assert (again.inputs.view(np.uint32) == table.inputs.view(np.uint32)).all()
    assert pack(again).tobytes() == pack(table).tobytes()


def test_row_numbers_go_on_from_part_to_part():
    count = PART_ROWS + 2
    table = Table(
        new_salts(count),
        np.zeros(count, np.uint8),
        np.zeros((count, 1), np.float32),
        np.zeros((count, 1), np.int64),
    )
    columns = Columns(("x",), ("y",), ("a",))
    parts, root = hash_parts(pack(table), 1)
    assert root == row_root(b"".join(hashes for _, hashes in parts))
    assert b"".join(hashes for _, hashes in parts) == columns.hashes(pack(table).tobytes())
    assert len({bytes(salt) for salt in table.salts}) == count


def test_rows_are_shown_by_column():
    columns = Columns(("x",), ("y", "z"), ("low", "high"))
    table = Table(
        np.arange(32, dtype=np.uint8).reshape(2, 16),
        np.asarray([1, 0], np.uint8),
        np.zeros((2, 1), np.float32),
        np.asarray([[1, -2], [3, 4]]),
    )
    assert show(columns, table) == {
        "decision": ["high", "low"],
        "y": [1, 3],
        "z": [-2, 4],
        "salt": [bytes(range(16)).hex(), bytes(range(16, 32)).hex()],
    }
