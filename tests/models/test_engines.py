"""Two engines for every model give the same integers, whatever the trees, rows and batch sizes."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ArtifactRefused, SelfTestFailed
from models.runtime import engines, load
from models.runtime.bit_trees import BitTrees
from models.runtime.engines import FEW_LINEAR_ROWS, FEW_TREE_ROWS, engines_of
from models.runtime.linear import Linear
from models.runtime.onnx_session import Session
from models.runtime.onnx_trees import encode_trees
from models.runtime.trees import Trees

NAMES = ["a", "b", "c"]
Q16 = 65536
ROOT = Path(__file__).parents[2]


def reversed_scorer(trees, row):
    """Twenty lines that nobody doubts: the last tree first, added in float32."""
    total = np.float32(0)
    for root in reversed(trees.roots.tolist()):
        node = root
        while trees.threshold[node] != np.inf:
            x = row[trees.feature[node]]
            right = trees.missing_right[node] if np.isnan(x) else not x < trees.threshold[node]
            node = trees.left[node] + int(right)
        total = np.float32(total + np.float32(trees.leaf_q16[node] / Q16))
    return int(total * Q16)


finite = st.floats(-8, 8, width=32)
value = st.one_of(finite, st.just(math.nan))
leaf = st.integers(-200_000, 200_000).map(lambda q: q / Q16)


@st.composite
def a_tree(draw, deepest=7):
    """Up to 128 leaves, so that every width of bits, and none, comes up."""
    nodes, waiting = [None], [(0, 0)]
    full = draw(st.integers(0, deepest))
    while waiting:
        place, depth = waiting.pop()
        if depth >= full or (depth > 2 and draw(st.integers(0, 5)) == 0):
            nodes[place] = draw(leaf)
            continue
        left = len(nodes)
        nodes += [None, None]
        split = draw(st.integers(0, 2)), draw(finite)
        nodes[place] = (*split, left, left + 1, draw(st.booleans()))
        waiting += [(left, depth + 1), (left + 1, depth + 1)]
    return nodes


@settings(max_examples=50, deadline=None)
@given(
    forest=st.lists(a_tree(), min_size=1, max_size=5),
    rows=st.lists(st.tuples(value, value, value), min_size=1, max_size=8),
)
def test_random_trees_agree_in_every_engine(forest, rows, write_ubjson, make_document):
    artifact = write_ubjson(make_document(forest, NAMES))
    trees = Trees.parse(artifact, NAMES)
    matrix = np.asarray(rows, np.float32)
    expected = [reversed_scorer(trees, row) for row in matrix]
    both = engines_of(trees)
    many = np.tile(matrix, (-(-FEW_TREE_ROWS // len(matrix)), 1))
    assert trees.run(matrix).tolist() == expected
    for run in (both.run, both.few, both.many, both.check):
        assert run(matrix).tolist() == expected
        assert [int(run(row[None])[0]) for row in matrix] == expected
    assert both.run(many).tolist() == trees.run(many).tolist()
    for served in (1, FEW_TREE_ROWS):
        assert both.other(matrix, served=served).tolist() == expected
    for threads in (1, 2):
        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(bytearray(artifact))
        found = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
        assert (found.astype(np.float64) * Q16).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(forest=st.lists(a_tree(deepest=3), min_size=1, max_size=4))
def test_a_value_at_a_threshold_goes_right_in_every_engine(forest, write_ubjson, make_document):
    trees = Trees.parse(write_ubjson(make_document(forest, NAMES)), NAMES)
    cuts = trees.threshold[np.isfinite(trees.threshold)][:6]
    near = [c for cut in cuts for c in (np.nextafter(cut, -np.inf), cut, np.nextafter(cut, np.inf))]
    matrix = np.asarray([[x, x, x] for x in near] or [[0, 0, 0]], np.float32)
    both = engines_of(trees)
    assert both.few(matrix).tolist() == both.many(matrix).tolist() == trees.run(matrix).tolist()


@pytest.mark.parametrize("size", [1, 7, FEW_TREE_ROWS - 1, FEW_TREE_ROWS, 1000, 5000])
def test_batches_of_any_size_agree_on_the_credit_model(
    credit_artifact, packages, replay_matrix, size
):
    trees = Trees.parse(credit_artifact, packages["credit-default"].manifest.feature_names)
    both, rows = engines_of(trees), replay_matrix[:5000]
    parts = [both.run(rows[at : at + size]) for at in range(0, len(rows), size)][: 5000 // size]
    assert (np.concatenate(parts) == trees.run(rows)[: sum(map(len, parts))]).all()


@pytest.mark.parametrize(
    ("leaves", "kind"), [(2, "u1"), (9, "u2"), (32, "u4"), (64, "u8"), (65, None)]
)
def test_bits_are_as_wide_as_the_largest_tree_needs(leaves, kind, write_ubjson, make_document):
    chain = []
    for place in range(leaves - 1):  # one long chain of splits to the right
        chain += [(0, float(place), 2 * place + 1, 2 * place + 2, True), float(place)]
    forest = [[*chain, 0.5]]
    depth_limit = 16
    if leaves - 1 > depth_limit:
        forest = [balanced(leaves)]
    trees = Trees.parse(write_ubjson(make_document(forest, NAMES)), NAMES)
    bits = BitTrees.of(trees)
    if kind is None:
        assert bits is None
        matrix = np.random.default_rng(1).uniform(-1, leaves, (99, 3)).astype(np.float32)
        both = engines_of(trees)
        assert both.many == both.few
        assert (both.run(matrix) == both.other(matrix, served=99)).all()
        return
    assert bits.untouched.dtype == np.dtype(kind)
    matrix = np.random.default_rng(1).uniform(-1, leaves, (300, 3)).astype(np.float32)
    assert (bits.run(matrix) == trees.run(matrix)).all()


def balanced(leaves):
    """A tree of so many leaves over feature 0, split in the middle again and again."""
    nodes = [None]
    waiting = [(0, 0, leaves)]
    while waiting:
        place, low, high = waiting.pop()
        if high - low == 1:
            nodes[place] = float(low)
            continue
        middle, left = (low + high) // 2, len(nodes)
        nodes += [None, None]
        nodes[place] = (0, middle - 0.5, left, left + 1, True)
        waiting += [(left, low, middle), (left + 1, middle, high)]
    return nodes


def test_tables_that_would_leave_the_cache_are_not_made(credit_artifact, packages, monkeypatch):
    trees = Trees.parse(credit_artifact, packages["credit-default"].manifest.feature_names)
    monkeypatch.setattr("models.runtime.bit_trees.TABLE_BYTES_MAX", 1000)
    assert BitTrees.of(trees) is None


def test_our_onnx_file_is_one_that_others_accept(credit_artifact, packages):
    trees = Trees.parse(credit_artifact, packages["credit-default"].manifest.feature_names)
    data = encode_trees(trees)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    session = onnxruntime.InferenceSession(data)
    assert [i.shape for i in session.get_inputs()] == [["N", trees.width]]


def test_a_file_that_onnx_runtime_refuses_is_a_refused_artifact():
    with pytest.raises(ArtifactRefused, match="ONNX Runtime"):
        Session(b"\x08\x08nonsense")


@pytest.mark.parametrize("which", ["few", "many", "check"])
def test_an_engine_that_differs_by_one_bit_refuses_the_model(packages, monkeypatch, which):
    package = packages["credit-default"]
    honest = engines.engines_of

    def broken(model):
        both = honest(model)
        right = getattr(both, which)
        made = {name: getattr(both, name) for name in ("few", "many", "check", "below")}
        made[which] = lambda matrix: right(matrix) ^ 1
        return engines.Engines(**made)

    monkeypatch.setattr("models.runtime.predictor.engines_of", broken)
    with pytest.raises(SelfTestFailed):
        load(package.manifest, package.blobs.__getitem__)


def test_replay_uses_the_engine_that_did_not_serve(packages, monkeypatch):
    package = packages["credit-default"]
    predictor = load(package.manifest, package.blobs.__getitem__)
    (both,) = predictor._engines.values()
    ran = []

    def told(name):
        run = getattr(both, name)
        return lambda matrix: ran.append(name) or run(matrix)

    spied = engines.Engines(told("few"), told("many"), told("check"), both.below)
    monkeypatch.setitem(predictor._engines, "margin_q16", spied)
    matrix = np.zeros((4, 19), np.float32)
    predictor.rerun_columns(matrix, served=FEW_TREE_ROWS)
    predictor.rerun_columns(matrix, served=FEW_TREE_ROWS - 1)
    assert ran == ["few", "check"]


# --- linear ----------------------------------------------------------------------------------

single = st.floats(-1000, 1000, width=32)


@settings(deadline=None)
@given(
    st.lists(st.tuples(single, single, single), min_size=1, max_size=40),
    st.tuples(single, single, single),
    single,
)
def test_sums_by_column_are_the_exact_ones(rows, weights, intercept):
    model = Linear(weights=weights, intercept=intercept)
    matrix = np.asarray(rows, np.float32)
    assert model.run_columns(matrix).tolist() == model.run(matrix).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=30), st.integers(0, 3))
def test_ties_by_column_are_rounded_as_the_exact_sum_is(halves, noise):
    """Outputs of exactly half a unit, and a hair beside it: where plain sums cannot tell."""
    model = Linear(weights=(2.0**-17, 2.0**-60, 1.0, -1.0), intercept=0.0)
    matrix = np.asarray([[2 * h + 1, noise, 3e5, 3e5] for h in halves], np.float32)
    assert model.run_columns(matrix).tolist() == model.run(matrix).tolist()


def test_doubtful_sums_are_added_exactly():
    """The plain sum of these loses the small term and rounds to the other even number."""
    model = Linear(weights=(1.0, 2.0**-17, 2.0**-70), intercept=0.0)
    matrix = np.asarray([[1, 1, 1], [1, 1, -1], [1, 1, 0]] * 9, np.float32)
    assert model.run(matrix)[:2].tolist() == model.run_columns(matrix)[:2].tolist()
    assert len(matrix) > FEW_LINEAR_ROWS


def test_a_linear_model_has_two_engines_too(packages):
    package = packages["trade-signal"]
    predictor = load(package.manifest, package.blobs.__getitem__)
    matrix = np.random.default_rng(2).normal(size=(100, 5)).astype(np.float32)
    outputs, decisions = predictor.run_columns(matrix)
    rows = [answer for row in matrix for answer in predictor.run(row[None])]
    assert outputs[:, 0].tolist() == [answer.values["margin_q16"] for answer in rows]
    assert [predictor.decisions[number] for number in decisions] == [a.decision for a in rows]


def test_serving_trees_needs_no_xgboost():
    code = (
        "import sys, pickle;"
        "from models.runtime.onnx_session import Session;"
        "from models.runtime import engines;"
        "import onnxruntime;"
        "print('xgboost' in sys.modules, 'onnx' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "False", "False"]
