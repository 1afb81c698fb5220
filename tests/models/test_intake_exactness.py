"""Every supported model file becomes an exact form that answers as its own library does.

Three engines meet on each: the library that made the file, the form's own node-by-node or
fractional arithmetic, and the runtime that serves; xgboost runs the artifacts of trees as well.
"""

import math

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import UnlikeItsSource
from models.hub.card import parse_card
from models.hub.intake import draft as drafting
from models.hub.intake.affine import first_not_below
from models.hub.intake.draft import Terms, draft, read_file
from models.hub.intake.exact import TREES, exact
from models.hub.intake.shapes import ceil32, strictly
from models.hub.intake.table import read_table
from models.hub.manifest import Manifest
from models.runtime import load
from models.runtime.trees import Trees
from userfiles import CARD, NAMES, csv_bytes, onnx_bytes, skops_bytes, table, xgboost_bytes

TERMS = Terms("mine", "1.0.0", "credit", "a desk", 0.4)
ENVIRONMENT = "sha256:" + "0" * 64
GAPPY = ("imputed-boosting", "gappy-forest", "histogram", "scaled-histogram")
FULL = ("logistic", "scaled-logistic", "twice-scaled", "boosting", "scaled-boosting", "forest")
FILES = [
    *((f"{name}.skops", name) for name in (*FULL, "extra", "tree", *GAPPY)),
    *((f"{name}.onnx", name) for name in FULL if name != "twice-scaled"),
    ("booster.ubj", None),
    ("booster.json", None),
]


def bytes_of(file, name):
    if name is None:
        return xgboost_bytes("json" if file.endswith("json") else "ubj")
    return skops_bytes(name) if file.endswith("skops") else onnx_bytes(name)


def package_of(file, name, **changed):
    missing = name is None or name in GAPPY
    return draft(
        bytes_of(file, name),
        file,
        table=read_table(csv_bytes(missing=missing), target="default"),
        card=parse_card(CARD),
        terms=changed.get("terms", TERMS),
        environment_digest=ENVIRONMENT,
    )


@pytest.mark.parametrize(("file", "name"), FILES, ids=[file for file, _ in FILES])
def test_file_exact_form_and_runtime_agree(file, name):
    missing = name is None or name in GAPPY
    package = package_of(file, name)
    manifest = Manifest.parse(package.manifest.to_bytes())
    predictor = load(manifest, package.blobs.__getitem__)
    matrix = table(missing=missing)[0].astype(np.float32)
    output = manifest.outputs[0].name
    served = [row.values[output] for row in predictor.run(matrix)]
    given = read_file(bytes_of(file, name), file)
    made = exact(given.shape, NAMES)
    assert served == [made.answer(row) for row in matrix.tolist()]
    values = np.asarray(served) / 65536
    ours = values if output == "probability_q16" else 1 / (1 + np.exp(-values))
    assert np.abs(ours - given.probability(matrix)).max() < 2e-4
    if made.format == TREES:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(made.artifact))
        margins = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
        assert (margins.astype(np.float64) * 65536).astype(int).tolist() == served


def edges(shape, matrix):
    """Rows that lie exactly on a threshold, and one float32 below it: where `<=` and `<` differ."""
    rows = []
    for tree in shape.trees[:4]:
        for node, left in enumerate(tree.left):
            if left != -1:
                edge = np.float32(tree.threshold[node])
                below = np.nextafter(edge, np.float32(-np.inf))
                for value in (edge, below, np.nextafter(below, np.float32(-np.inf))):
                    row = matrix[node % len(matrix)].copy()
                    row[tree.feature[node]] = value
                    rows.append(row)
    return np.asarray(rows, np.float32)


@pytest.mark.parametrize("name", ["boosting", "forest", "tree", "histogram", "scaled-boosting"])
def test_rows_on_a_threshold_go_where_the_library_sends_them(name):
    given = read_file(skops_bytes(name), "m.skops")
    made = exact(given.shape, NAMES)
    rows = edges(made.shape, table()[0].astype(np.float32))
    values = np.asarray([made.answer(row) for row in rows.tolist()]) / 65536
    ours = values if given.shape.unit == "probability" else 1 / (1 + np.exp(-values))
    assert len(rows) > 10
    assert np.abs(ours - given.probability(rows)).max() < 2e-4


def test_one_digest_binds_all_of_it():
    package = package_of("boosting.skops", "boosting")
    manifest = package.manifest
    table_digest = read_table(csv_bytes(), target="default").digest
    assert manifest.training.data_digest == table_digest
    assert manifest.card_digest == parse_card(CARD).digest
    assert manifest.environment_digest == ENVIRONMENT
    assert manifest.decision.threshold_q16 == round(math.log(0.4 / 0.6) * 65536)
    assert set(package.blobs) == set(manifest.blobs) - {ENVIRONMENT}
    assert package_of("boosting.skops", "boosting").manifest.digest == manifest.digest
    other = package_of(
        "boosting.skops", "boosting", terms=Terms("mine", "1.0.0", "credit", "a desk", 0.5)
    )
    assert other.manifest.digest != manifest.digest


def test_an_exact_form_that_answers_otherwise_is_refused(monkeypatch):
    monkeypatch.setattr(drafting, "TOLERANCE", 1e-9)
    with pytest.raises(UnlikeItsSource, match="cannot be replayed bit for bit"):
        package_of("forest.skops", "forest")


def test_a_tree_never_leaves_the_grid():
    given = read_file(skops_bytes("boosting"), "m.skops")
    trees = Trees.parse(exact(given.shape, NAMES).artifact, NAMES)
    assert trees.leaf_q16.any()


finite = st.floats(-1e30, 1e30, allow_nan=False)


@given(finite, st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100))
def test_a_moved_threshold_keeps_every_float32_on_its_side(threshold, x):
    assert (x <= threshold) == (x < ceil32(strictly(threshold)))


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-3, 1e3),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(width=32, min_value=-(2.0**24), max_value=2.0**24),
)
@settings(max_examples=60)
def test_scaling_moves_into_a_threshold_without_a_difference(offset, divide, threshold, x):
    def scaled(value):
        with np.errstate(over="ignore"):
            return float(np.float32((value - offset) / divide))

    assert (scaled(x) < threshold) == (x < first_not_below(scaled, threshold))
