"""Where the page puts each hash of a path: walked back up, it must give the root."""

import hashlib

import pytest

from dashboards.proof import lay_out, steps


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 64, 65, 100])
def test_sides_lead_to_the_root_for_every_leaf(sample, size):
    leaves = sample.LEAVES[:size]
    root = sample.root_of(leaves)
    for index in range(size):
        here = leaves[index]
        for step in steps(index, size, [n.hex() for n in sample.path_of(index, leaves)]):
            other = bytes.fromhex(step.node)
            pair = other + here if step.side == "left" else here + other
            here = hashlib.sha256(b"\x01" + pair).digest()
        assert here == root, f"leaf {index} of {size}"


def test_steps_do_not_fail_on_a_path_that_is_too_long():
    assert len(steps(0, 1, ["00"] * 70)) == 70


def test_checkpoint_lines_are_laid_out(sample):
    note = lay_out(sample.checkpoint())
    assert note.origin == sample.ORIGIN
    assert note.size == "173"
    assert note.root == sample.root_of(sample.LEAVES).hex()
    assert note.signers == (sample.ORIGIN,)


@pytest.mark.parametrize(
    "note", ["", "\n", "one line", "o\n5\nnot base64!\n\n\N{EM DASH} x", "\n\n\N{EM DASH} "]
)
def test_odd_notes_are_laid_out_without_failing(note):
    assert lay_out(note).root == ""
