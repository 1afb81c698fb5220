"""Reference packages trained once, and a small writer of xgboost-like files for hostile cases."""

import struct

import numpy as np
import pytest

from models.reference.training import RECIPES
from models.runtime import load

ENVIRONMENT = "sha256:" + "0" * 64


@pytest.fixture(scope="session")
def packages():
    return {name: recipe(environment_digest=ENVIRONMENT) for name, recipe in RECIPES.items()}


@pytest.fixture(scope="session")
def predictors(packages):
    return {name: load(p.manifest, p.blobs.__getitem__) for name, p in packages.items()}


@pytest.fixture(scope="session")
def credit(predictors):
    return predictors["credit-default"]


@pytest.fixture(scope="session")
def credit_artifact(packages):
    package = packages["credit-default"]
    return package.blobs[package.manifest.outputs[0].artifact]


@pytest.fixture(scope="session")
def replay_matrix():
    from models.reference.credit_default import matrix
    from models.reference.data import load_credit

    return matrix(load_credit(), "replay")


@pytest.fixture(scope="session")
def write_ubjson():
    return ubjson


@pytest.fixture(scope="session")
def make_document():
    return document


def ubjson(value):  # noqa: PLR0911 - one return per type
    """Universal Binary JSON as xgboost writes it."""
    if value is None:
        return b"Z"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        return b"L" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + _length(value.encode()) + value.encode()
    if isinstance(value, np.ndarray):
        kind = {"f4": b"d", "i4": b"l", "i8": b"L", "u1": b"U"}[value.dtype.str[1:]]
        wide = value.dtype.newbyteorder(">")
        return b"[$" + kind + b"#" + _length(value) + value.astype(wide).tobytes()
    if isinstance(value, list):
        return b"[#" + _length(value) + b"".join(ubjson(item) for item in value)
    body = b"".join(_length(k.encode()) + k.encode() + ubjson(v) for k, v in value.items())
    return b"{" + body + b"}"


def _length(sized):
    return b"L" + struct.pack(">q", len(sized))


def document(trees, names, objective="binary:logistic", base_score="[5E-1]"):
    """An xgboost 3 document of trees given as lists of nodes.

    A node is (feature, threshold, left, right, default_left) or a leaf's value.
    """
    return {
        "learner": {
            "attributes": {},
            "feature_names": list(names),
            "feature_types": ["float"] * len(names),
            "gradient_booster": {
                "model": {
                    "cats": {
                        "enc": [],
                        "feature_segments": np.array([], np.int32),
                        "sorted_idx": np.array([], np.int32),
                    },
                    "gbtree_model_param": {
                        "num_parallel_tree": "1",
                        "num_trees": str(len(trees)),
                    },
                    "iteration_indptr": list(range(len(trees) + 1)),
                    "tree_info": [0] * len(trees),
                    "trees": [_tree(nodes, i, len(names)) for i, nodes in enumerate(trees)],
                },
                "name": "gbtree",
            },
            "learner_model_param": {
                "base_score": base_score,
                "boost_from_average": "1",
                "num_class": "0",
                "num_feature": str(len(names)),
                "num_target": "1",
            },
            "objective": {"name": objective, "reg_loss_param": {"scale_pos_weight": "1"}},
        },
        "version": [3, 2, 0],
    }


def _tree(nodes, number, width):
    count = len(nodes)
    split = [n if isinstance(n, tuple) else None for n in nodes]
    none = np.array([], np.int32)
    parents = [2147483647] * count
    for index, node in enumerate(split):
        if node:
            parents[node[2]] = parents[node[3]] = index
    return {
        "base_weights": np.zeros(count, np.float32),
        "categories": none,
        "categories_nodes": none,
        "categories_segments": none.astype(np.int64),
        "categories_sizes": none.astype(np.int64),
        "default_left": np.array([bool(n and n[4]) for n in split], np.uint8),
        "id": number,
        "left_children": np.array([n[2] if n else -1 for n in split], np.int32),
        "loss_changes": np.zeros(count, np.float32),
        "parents": np.array(parents, np.int32),
        "right_children": np.array([n[3] if n else -1 for n in split], np.int32),
        "split_conditions": np.array(
            [n[1] if s else n for n, s in zip(nodes, split, strict=True)], np.float32
        ),
        "split_indices": np.array([n[0] if n else 0 for n in split], np.int32),
        "split_type": np.zeros(count, np.uint8),
        "sum_hessian": np.ones(count, np.float32),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(width),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }
