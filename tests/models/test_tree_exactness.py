"""Trees give one integer per row: any batch, any thread count, any order, any engine."""

import itertools
import json
import math

import numpy as np
import onnxruntime
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.runtime.trees import Trees

NAMES = ["a", "b", "c"]
Q16 = 65536


def reversed_scorer(trees, row):
    """The obvious scorer: one tree after the other, the last first, in float32 throughout."""
    total = np.float32(0)
    for root in reversed(trees.roots.tolist()):
        node = root
        while trees.threshold[node] != np.inf:
            x = row[trees.feature[node]]
            right = trees.missing_right[node] if np.isnan(x) else not x < trees.threshold[node]
            node = trees.left[node] + int(right)
        total = np.float32(total + np.float32(trees.leaf_q16[node] / Q16))
    return int(total * Q16)


def as_onnx(trees, width):
    """The same trees for ONNX Runtime, which adds the leaves in its own order."""
    columns = {key: [] for key in ("tree", "id", "feature", "value", "mode", "yes", "no", "miss")}
    targets, weights = [], []
    bounds = [*trees.roots.tolist(), len(trees.left)]
    for tree, (first, last) in enumerate(itertools.pairwise(bounds)):
        for node in range(first, last):
            leaf = trees.threshold[node] == np.inf
            left = int(trees.left[node]) - first
            columns["tree"].append(tree)
            columns["id"].append(node - first)
            columns["feature"].append(int(trees.feature[node]))
            columns["value"].append(0.0 if leaf else float(trees.threshold[node]))
            columns["mode"].append("LEAF" if leaf else "BRANCH_LT")
            columns["yes"].append(0 if leaf else left)
            columns["no"].append(0 if leaf else left + 1)
            columns["miss"].append(0 if leaf else int(not trees.missing_right[node]))
            if leaf:
                targets.append((tree, node - first))
                weights.append(float(trees.leaf_q16[node]) / Q16)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=columns["tree"],
        nodes_nodeids=columns["id"],
        nodes_featureids=columns["feature"],
        nodes_values=columns["value"],
        nodes_modes=columns["mode"],
        nodes_truenodeids=columns["yes"],
        nodes_falsenodeids=columns["no"],
        nodes_missing_value_tracks_true=columns["miss"],
        target_treeids=[t for t, _ in targets],
        target_nodeids=[n for _, n in targets],
        target_ids=[0] * len(targets),
        target_weights=weights,
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def boosters(artifact):
    for threads in (1, 2):
        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(bytearray(artifact))
        yield booster


def margins(booster, matrix):
    found = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    scaled = found.astype(np.float64) * Q16
    assert (scaled == np.round(scaled)).all()
    return scaled.astype(np.int64)


def with_missing(matrix):
    holes = np.random.default_rng(7).random(matrix.shape) < 0.1
    return np.where(holes, np.float32(np.nan), matrix)


@pytest.fixture(scope="module")
def trees(packages, credit_artifact):
    return Trees.parse(credit_artifact, packages["credit-default"].manifest.feature_names)


@pytest.mark.parametrize("missing", [False, True])
def test_every_engine_gives_the_same_integers(trees, credit_artifact, replay_matrix, missing):
    rows = with_missing(replay_matrix[:3000]) if missing else replay_matrix[:3000]
    ours = trees.run(rows)
    for booster in boosters(credit_artifact):
        assert (margins(booster, rows) == ours).all()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(as_onnx(trees, rows.shape[1]), options)
    theirs = session.run(None, {"x": rows})[0].ravel().astype(np.float64) * Q16
    assert (theirs == ours).all()


def test_xgboost_at_batch_one_agrees(trees, credit_artifact, replay_matrix):
    rows = with_missing(replay_matrix[:300])
    booster = next(boosters(credit_artifact))
    singly = np.concatenate([margins(booster, rows[i : i + 1]) for i in range(len(rows))])
    assert (singly == trees.run(rows)).all()


def test_adding_in_reverse_order_agrees(trees, replay_matrix):
    rows = with_missing(replay_matrix[:200])
    assert [reversed_scorer(trees, row) for row in rows] == trees.run(rows).tolist()


@pytest.mark.parametrize("size", [1, 2, 7, 33, 1024, 2500])
def test_batches_of_any_size_agree(trees, replay_matrix, size):
    rows = replay_matrix[:2500]
    parts = [trees.run(rows[at : at + size]) for at in range(0, len(rows), size)]
    assert (np.concatenate(parts) == trees.run(rows)).all()


def test_unrounded_leaves_do_depend_on_the_order(replay_matrix):
    """Why rounding is needed: the same model as trained, summed forwards and backwards."""
    from models.reference.credit_default import FEATURES
    from models.reference.data import load_credit
    from models.reference.quantise import fit

    data = load_credit()
    labels = data.defaulted[data.parts["replay"]][:3000]
    settings = {"objective": "binary:logistic", "max_depth": 4, "seed": 1}
    model = fit(replay_matrix[:3000], labels, names=FEATURES, params=settings, rounds=100)
    leaves = model.before.predict(
        xgboost.DMatrix(replay_matrix[:500], feature_names=list(FEATURES)), pred_leaf=True
    ).astype(int)
    document = json.loads(bytes(model.before.save_raw("json")))
    model_trees = document["learner"]["gradient_booster"]["model"]["trees"]
    values = np.stack(
        [
            np.asarray(tree["split_conditions"], np.float32)[leaves[:, at]]
            for at, tree in enumerate(model_trees)
        ]
    )
    forwards = np.add.accumulate(values, axis=0)[-1]
    backwards = np.add.accumulate(values[::-1], axis=0)[-1]
    assert (forwards != backwards).any()


# --- small random ensembles ------------------------------------------------------------------

finite = st.floats(-8, 8, width=32)
value = st.one_of(finite, st.just(math.nan))
leaf = st.integers(-200_000, 200_000).map(lambda q: q / Q16)


@st.composite
def a_tree(draw):
    nodes = [None]
    waiting = [(0, 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth == 3 or not draw(st.booleans()):
            nodes[place] = draw(leaf)
            continue
        left = len(nodes)
        nodes += [None, None]
        nodes[place] = (
            draw(st.integers(0, 2)),
            draw(finite),
            left,
            left + 1,
            draw(st.booleans()),
        )
        waiting += [(left, depth + 1), (left + 1, depth + 1)]
    return nodes


@settings(max_examples=60, deadline=None)
@given(
    forest=st.lists(a_tree(), min_size=1, max_size=8),
    rows=st.lists(st.tuples(value, value, value), min_size=1, max_size=12),
)
def test_random_trees_agree_with_xgboost_and_with_the_obvious_scorer(
    forest, rows, write_ubjson, make_document
):
    artifact = write_ubjson(make_document(forest, NAMES))
    trees = Trees.parse(artifact, NAMES)
    matrix = np.asarray(rows, np.float32)
    ours = trees.run(matrix)
    for booster in boosters(artifact):
        assert (margins(booster, matrix) == ours).all()
    assert [reversed_scorer(trees, row) for row in matrix] == ours.tolist()
    assert (np.concatenate([trees.run(row[None]) for row in matrix]) == ours).all()


def test_the_largest_allowed_sum_is_exact_in_every_engine(write_ubjson, make_document):
    """Leaves of 127.99 that meet at one row, just below the bound."""
    big = 128 - 1 / Q16
    forest = [[(0, 0.0, 1, 2, True), -big, big], [(0, 0.0, 1, 2, True), -big, big]]
    artifact = write_ubjson(make_document(forest, NAMES))
    trees = Trees.parse(artifact, NAMES)
    matrix = np.asarray([[1, 0, 0], [-1, 0, 0]], np.float32)
    assert trees.run(matrix).tolist() == [2 * (128 * Q16 - 1), -2 * (128 * Q16 - 1)]
    for booster in boosters(artifact):
        assert (margins(booster, matrix) == trees.run(matrix)).all()
