"""What a tree artifact may not be. Each case is one way to be wrong."""

import contextlib
import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ArtifactRefused
from models.runtime.trees import Trees
from models.runtime.ubjson import parse_ubjson

NAMES = ["a", "b"]
STUMP = [(0, 1.5, 1, 2, True), 0.25, -0.5]


def model(document):
    return document["learner"]["gradient_booster"]["model"]


def edit(path, value):
    def change(document):
        *inner, last = path.split("/")
        place = document["learner"]
        for key in inner:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value

    return change


def tree(key, value):
    return edit(f"gradient_booster/model/trees/0/{key}", value)


def ints(*values):
    return np.array(values, np.int32)


def floats(*values):
    return np.array(values, np.float32)


EVIL = {
    "nan-threshold": tree("split_conditions", floats(math.nan, 0.25, -0.5)),
    "infinite-threshold": tree("split_conditions", floats(math.inf, 0.25, -0.5)),
    "nan-leaf": tree("split_conditions", floats(1.5, math.nan, -0.5)),
    "infinite-leaf": tree("split_conditions", floats(1.5, math.inf, -0.5)),
    "leaf-off-the-grid": tree("split_conditions", floats(1.5, 0.1, -0.5)),
    "sum-of-leaves-too-large": tree("split_conditions", floats(1.5, 256.0, -0.5)),
    "feature-beyond-the-row": tree("split_indices", ints(2, 0, 0)),
    "negative-feature": tree("split_indices", ints(-1, 0, 0)),
    "child-beyond-the-tree": tree("left_children", ints(7, -1, -1)),
    "child-is-the-root": tree("left_children", ints(0, -1, -1)),
    "node-is-its-own-ancestor": tree("left_children", ints(1, 1, -1)),
    "two-parents": tree("left_children", ints(2, -1, -1)),
    "one-child": tree("right_children", ints(2, 2, -1)),
    "negative-child": tree("left_children", ints(-2, -1, -1)),
    "columns-differ-in-length": tree("default_left", ints(1, 0)),
    "values-too-short": tree("split_conditions", floats(1.5, 0.25)),
    "float-children": tree("left_children", floats(1, -1, -1)),
    "text-for-a-column": tree("split_indices", "0,0,0"),
    "default-direction-of-two": tree("default_left", ints(2, 0, 0)),
    "categorical-split": tree("split_type", ints(1, 0, 0)),
    "categories": tree("categories", ints(1)),
    "deleted-nodes": tree("tree_param", {"num_nodes": "3", "num_deleted": "1"}),
    "leaf-vector": tree(
        "tree_param", {"num_nodes": "3", "num_deleted": "0", "size_leaf_vector": "2"}
    ),
    "node-count-is-huge": tree(
        "tree_param", {"num_nodes": "9" * 30, "num_deleted": "0", "size_leaf_vector": "1"}
    ),
    "dart": edit("gradient_booster/name", "dart"),
    "several-classes": edit("learner_model_param/num_class", "3"),
    "several-targets": edit("learner_model_param/num_target", "2"),
    "random-forest": edit("gradient_booster/model/gbtree_model_param/num_parallel_tree", "4"),
    "tree-of-another-class": edit("gradient_booster/model/tree_info", [1]),
    "no-trees": edit("gradient_booster/model/trees", []),
    "trees-are-text": edit("gradient_booster/model/trees", "trees"),
    "fewer-trees-than-said": edit("gradient_booster/model/gbtree_model_param/num_trees", "2"),
    "base-score-not-folded": edit("learner_model_param/base_score", "[2.2E-1]"),
    "base-score-nan": edit("learner_model_param/base_score", "[NaN]"),
    "base-score-nested": edit("learner_model_param/base_score", "[" * 100_000),
    "unknown-objective": edit("objective/name", "survival:cox"),
    "feature-names-swapped": edit("feature_names", ["b", "a"]),
    "feature-names-absent": edit("feature_names", []),
    "more-features-than-the-manifest": edit("learner_model_param/num_feature", "3"),
}


@pytest.fixture
def stump(make_document):
    return make_document([STUMP], NAMES)


def test_the_unchanged_document_loads(stump, write_ubjson):
    trees = Trees.parse(write_ubjson(stump), NAMES)
    assert trees.run(np.asarray([[1, 0], [2, 0]], np.float32)).tolist() == [16384, -32768]


@pytest.mark.parametrize("case", EVIL)
def test_evil_document_is_refused(case, stump, write_ubjson):
    EVIL[case](stump)
    with pytest.raises(ArtifactRefused):
        Trees.parse(write_ubjson(stump), NAMES)


@pytest.mark.parametrize("key", ["learner", "gradient_booster", "objective", "tree_param", "trees"])
def test_missing_key_is_refused(key, stump, write_ubjson):
    def prune(value):
        if isinstance(value, dict):
            value.pop(key, None)
            for inner in value.values():
                prune(inner)
        elif isinstance(value, list):
            for inner in value:
                prune(inner)

    prune(stump)
    with pytest.raises(ArtifactRefused):
        Trees.parse(write_ubjson(stump), NAMES)


def test_one_node_as_both_children_is_refused(make_document, write_ubjson):
    with pytest.raises(ArtifactRefused, match="two parents"):
        Trees.parse(write_ubjson(make_document([[(0, 1.5, 1, 1, True), 0.25]], NAMES)), NAMES)


def test_tree_deeper_than_the_limit_is_refused(make_document, write_ubjson):
    chain = []
    for level in range(20):
        chain += [(0, 0.0, 2 * level + 1, 2 * level + 2, True), 0.0]
    ordered = [(0, 0.0, 1, 2, True)]
    for level in range(1, 20):
        ordered += [0.0, (0, 0.0, 2 * level + 1, 2 * level + 2, True)]
    ordered += [0.0, 0.0]
    with pytest.raises(ArtifactRefused, match="deeper"):
        Trees.parse(write_ubjson(make_document([ordered], NAMES)), NAMES)


@pytest.mark.parametrize("data", [b"", b"{", b"Z", b"[#L" + b"\0" * 8, b"T", b"{}"])
def test_other_documents_are_refused(data):
    with pytest.raises(ArtifactRefused):
        Trees.parse(data, NAMES)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused_or_read_as_data(data, make_document, write_ubjson):
    """No byte makes the parser raise anything else, hang, or take much memory."""
    whole = bytearray(write_ubjson(make_document([STUMP, copy.copy(STUMP)], NAMES)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    try:
        trees = Trees.parse(bytes(whole), NAMES)
    except ArtifactRefused:
        return
    trees.run(np.zeros((2, 2), np.float32))


# --- the reader alone ------------------------------------------------------------------------

MALFORMED = {
    "empty": b"",
    "bytes-after-the-end": b"TT",
    "unknown-marker": b"Q",
    "text-ends-early": b"SL" + (9).to_bytes(8, "big") + b"abc",
    "text-not-utf8": b"SU\x01\xff",
    "negative-length": b"SL" + (-1).to_bytes(8, "big", signed=True),
    "length-is-a-float": b"Sd\0\0\0\0",
    "huge-typed-array": b"[$L#L" + (2**62).to_bytes(8, "big"),
    "huge-array": b"[#L" + (2**62).to_bytes(8, "big"),
    "typed-array-ends-early": b"[$d#U\x04" + b"\0" * 8,
    "typed-array-of-text": b"[$S#U\x01",
    "typed-array-without-count": b"[$dd",
    "key-twice": b"{U\x01aTU\x01aT}",
    "key-not-utf8": b"{U\x01\xffT}",
    "object-ends-early": b"{U\x01a",
    "array-ends-early": b"[T",
    "too-deep": b"[" * 40 + b"]" * 40,
    "too-many-items": b"[" + b"Z" * 100_001 + b"]",
    "too-large": b"[" + b"Z" * (16 << 20) + b"]",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_ubjson_is_refused(case):
    with pytest.raises(ArtifactRefused):
        parse_ubjson(MALFORMED[case])


@pytest.mark.parametrize("case", ["negative-length", "huge-typed-array", "huge-array"])
def test_length_is_refused_before_anything_is_read(case):
    with pytest.raises(ArtifactRefused, match="a length of"):
        parse_ubjson(MALFORMED[case])


scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=8))
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(documents)
def test_what_was_written_is_read(write_ubjson, document):
    assert parse_ubjson(write_ubjson(document)) == document


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64))
def test_random_bytes_are_refused_or_read(data):
    with contextlib.suppress(ArtifactRefused):
        parse_ubjson(data)
