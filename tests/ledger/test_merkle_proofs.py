"""The tree and its proofs against a slow tree that is obviously right, and against forgers."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ConsistencyError, InclusionError
from ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    paths_for_batch,
    root_of,
    verify_consistency,
    verify_inclusion,
)

HASHES = [leaf_hash(b"leaf %d" % i) for i in range(600)]


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def oracle_root(hashes):
    """RFC 9162, 2.1.1, to the letter."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    left, right = oracle_root(hashes[:k]), oracle_root(hashes[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def oracle_path(m, hashes):
    """RFC 9162, 2.1.3.1."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if m < k:
        return [*oracle_path(m, hashes[:k]), oracle_root(hashes[k:])]
    return [*oracle_path(m - k, hashes[k:]), oracle_root(hashes[:k])]


def oracle_proof(m, hashes, whole=True):
    """RFC 9162, 2.1.4.1."""
    if m == len(hashes):
        return [] if whole else [oracle_root(hashes)]
    k = split(len(hashes))
    if m <= k:
        return [*oracle_proof(m, hashes[:k], whole), oracle_root(hashes[k:])]
    return [*oracle_proof(m - k, hashes[k:], False), oracle_root(hashes[:k])]


@pytest.mark.parametrize("size", [*range(1, 131), 255, 256, 257, 511, 600])
def test_roots_and_inclusion_paths_are_the_oracles(size):
    hashes = HASHES[:size]
    root = oracle_root(hashes)
    assert root_of(hashes) == root
    for index in range(0, size, 1 if size < 131 else 17):
        path = inclusion_path(hashes, index)
        assert path == oracle_path(index, hashes)
        verify_inclusion(hashes[index], index, size=size, path=path, root=root)


def test_consistency_of_every_pair_up_to_130():
    roots = [oracle_root(HASHES[:size]) for size in range(131)]
    for new in range(1, 131):
        for old in range(1, new + 1):
            path = consistency_path(HASHES[:new], old)
            assert path == oracle_proof(old, HASHES[:new])
            verify_consistency(
                old_size=old, old_root=roots[old], new_size=new, new_root=roots[new], path=path
            )


@given(st.lists(st.integers(1, 70), min_size=1, max_size=8))
def test_any_split_into_batches_gives_the_oracles_root_and_paths(batches):
    frontier, size = Frontier(), 0
    for count in batches:
        batch = HASHES[size : size + count]
        before = frontier.copy()
        paths = paths_for_batch(frontier, batch)
        assert (frontier.size, frontier.nodes) == (before.size, before.nodes)
        frontier.extend(batch)
        size += len(batch)
        hashes = HASHES[:size]
        assert frontier.root() == oracle_root(hashes)
        first = size - len(batch)
        assert paths == [tuple(oracle_path(first + i, hashes)) for i in range(len(batch))]


def test_an_empty_batch_has_no_paths():
    assert paths_for_batch(Frontier(), []) == []
    assert Frontier().root() == root_of([]) == EMPTY_ROOT


def test_a_frontier_of_another_size_is_refused():
    with pytest.raises(ValueError, match="frontier of 3 leaves"):
        Frontier(3, [HASHES[0]])


# --- changed proofs --------------------------------------------------------------------------


def flipped(node, bit):
    changed = bytearray(node)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.data())
def test_any_flipped_bit_of_an_inclusion_proof_is_refused(data):
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    hashes = HASHES[:size]
    parts = [hashes[index], oracle_root(hashes), *inclusion_path(hashes, index)]
    at, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[at] = flipped(parts[at], bit)
    leaf, root, *path = parts
    with pytest.raises(InclusionError, match="proof leads to"):
        verify_inclusion(leaf, index, size=size, path=path, root=root)


@given(st.data())
def test_any_flipped_bit_of_a_consistency_proof_is_refused(data):
    new = data.draw(st.integers(1, 300))
    old = data.draw(st.integers(1, new))
    path = consistency_path(HASHES[:new], old)
    parts = [oracle_root(HASHES[:old]), oracle_root(HASHES[:new]), *path]
    at, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[at] = flipped(parts[at], bit)
    old_root, new_root, *path = parts
    with pytest.raises(ConsistencyError, match="proof leads to"):
        verify_consistency(
            old_size=old, old_root=old_root, new_size=new, new_root=new_root, path=path
        )


@given(st.data())
def test_a_proof_for_another_index_or_size_is_refused(data):
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    hashes, path = HASHES[:size], inclusion_path(HASHES[:size], index)
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
    with pytest.raises(InclusionError):
        verify_inclusion(hashes[index], other, size=size, path=path, root=root_of(hashes))


@pytest.mark.parametrize("change", ["shorter", "longer", "narrow", "wide"])
@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 4), (3, 7), (6, 8), (7, 130)])
def test_a_proof_of_another_shape_is_refused(old, new, change):
    hashes = HASHES[:new]
    inclusion, consistency = inclusion_path(hashes, old - 1), consistency_path(hashes, old)
    for path in (inclusion, consistency):
        if change == "shorter":
            path.pop()
        elif change == "longer":
            path.append(HASHES[0])
        else:
            path[0] = path[0][:-1] if change == "narrow" else path[0] + b"\0"
    with pytest.raises(InclusionError):
        verify_inclusion(hashes[old - 1], old - 1, size=new, path=inclusion, root=root_of(hashes))
    with pytest.raises(ConsistencyError):
        verify_consistency(
            old_size=old,
            old_root=root_of(HASHES[:old]),
            new_size=new,
            new_root=root_of(hashes),
            path=consistency,
        )


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (1, 1), (5, 2), (0, -1)])
def test_no_leaf_outside_the_tree(index, size):
    with pytest.raises(InclusionError, match="no such leaf"):
        verify_inclusion(HASHES[0], index, size=size, path=[], root=HASHES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_no_consistency_from_nothing_or_back(old, new):
    with pytest.raises(ConsistencyError, match="no such pair"):
        verify_consistency(
            old_size=old, old_root=EMPTY_ROOT, new_size=new, new_root=EMPTY_ROOT, path=[]
        )
    with pytest.raises(ConsistencyError, match="no such pair"):
        consistency_path(HASHES[:new] if new > 0 else [], old)


# --- forgeries that trees without prefixes allow ---------------------------------------------


def test_an_inner_node_does_not_pass_for_a_leaf():
    a, b = HASHES[0], HASHES[1]
    assert leaf_hash(a + b) != node_hash(a, b)
    with pytest.raises(InclusionError):
        verify_inclusion(leaf_hash(a + b), 0, size=1, path=[], root=node_hash(a, b))


def test_a_doubled_last_leaf_changes_the_root():
    assert root_of(HASHES[:3]) != root_of([*HASHES[:3], HASHES[2]])


@pytest.mark.parametrize("cut", [31, 33])
def test_bytes_moved_between_leaf_and_sibling_are_refused(cut):
    joined = HASHES[0] + HASHES[1]
    root = node_hash(HASHES[0], HASHES[1])
    with pytest.raises(InclusionError, match="32 bytes"):
        verify_inclusion(joined[:cut], 0, size=2, path=[joined[cut:]], root=root)
