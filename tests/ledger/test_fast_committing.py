"""A row committed to fast is the row, and the opening, that the slow functions make."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ledger.commitment import (
    Opening,
    check_opening,
    check_row,
    commit_field,
    make_opening,
    row_bytes,
    row_object,
)
from ledger.committing import commit_row

NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,12}\Z").filter(
    lambda name: name != "caller_reference"
)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
FIELDS = st.dictionaries(NAMES, TEXT, max_size=8)


@given(st.tuples(FIELDS, FIELDS, TEXT.filter(bool)), st.none() | TEXT, st.integers(0))
def test_both_make_the_same_bytes(row, reference, seed):
    (inputs, outputs, decision), index = row, seed % 100
    made = commit_row(
        index, inputs, outputs, decision, random.Random(seed).randbytes, caller_reference=reference
    )
    salts = random.Random(seed).randbytes(16 * (len(inputs) + len(outputs) + 1))
    taken = iter(range(0, len(salts), 16))
    opening, inputs_committed, outputs_committed = make_opening(
        index, inputs, outputs, lambda count: b"".join(_next(salts, taken, count))
    )
    if reference is not None:
        salt = salts[next(taken) :][:16]
        opening = opening.with_caller_reference(reference, salt)
        assert made.caller_reference == commit_field("caller_reference", reference, salt).hex()
    row = row_object(index, inputs_committed, outputs_committed, decision)
    assert row_bytes(made.row) == row_bytes(row)
    assert made.opening == opening.to_bytes()
    check_row(made.row, "row")
    check_opening(
        Opening.from_bytes(made.opening),
        inputs=made.row["inputs"],
        outputs=made.row["outputs"],
        caller_reference=made.caller_reference,
    )


def _next(salts, taken, count):
    for _ in range(count // 16):
        at = next(taken)
        yield salts[at : at + 16]


def test_every_commitment_has_a_salt_of_its_own():
    made = commit_row(0, {"a": "1", "b": "1"}, {"c": "1"}, "long", random.Random(1).randbytes)
    commitments = [*made.row["inputs"].values(), *made.row["outputs"].values()]
    assert len(set(commitments)) == 3
