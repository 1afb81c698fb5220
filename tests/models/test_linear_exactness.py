"""Linear models: exact products, one rounding, any order; and an ONNX file that holds nothing else."""

import math
import random
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from models.errors import ArtifactRefused
from models.runtime.linear import Linear, decode_onnx, encode_onnx

single = st.floats(-1000, 1000, width=32)
wide = st.floats(-(2**40), 2**40, width=32)
pairs = st.lists(st.tuples(wide, wide), min_size=1, max_size=24)


@given(pairs, single, st.integers(0, 2**32))
def test_order_of_features_does_not_matter(terms, intercept, seed):
    shuffled = random.Random(seed).sample(terms, len(terms))
    there, back = (
        Linear(weights=tuple(w for w, _ in ts), intercept=intercept).row([x for _, x in ts])
        for ts in (terms, shuffled)
    )
    assert there == back


@given(pairs, single)
def test_result_is_the_exact_sum_rounded_once_to_float64_and_once_to_the_grid(terms, intercept):
    exact = sum((Fraction(w) * Fraction(x) for w, x in terms), Fraction(intercept))
    model = Linear(weights=tuple(w for w, _ in terms), intercept=intercept)
    assert model.row([x for _, x in terms]) == round(Fraction(float(exact)) * 65536)


@settings(deadline=None)
@given(st.lists(st.tuples(single, single, single), min_size=1, max_size=40))
def test_batches_of_any_size_agree(rows):
    model = Linear(weights=(0.3, -1.7, 2.25), intercept=0.125)
    matrix = np.asarray(rows, np.float32)
    singly = [model.run(row[None])[0] for row in matrix]
    assert model.run(matrix).tolist() == singly


def test_plain_sums_do_depend_on_the_order():
    """Why the sum is exact: the same three products, added forwards and backwards."""
    for kind, big in ((np.float32, 1e8), (np.float64, 2.0**60)):
        a, b, c = np.asarray([big, 1.0, -big], kind)
        assert (a + b) + c == 0
        assert (a + c) + b == 1
        assert Linear(weights=(big, 1.0, -big), intercept=0.0).row([1, 1, 1]) == 65536


# --- the file --------------------------------------------------------------------------------


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=256), single)
def test_numbers_survive_the_file(weights, intercept):
    assert decode_onnx(encode_onnx(weights, intercept)) == (tuple(weights), intercept)


def test_file_is_onnx_and_runs_elsewhere(packages):
    for name in ("trade-signal", "value-at-risk-baseline"):
        package = packages[name]
        for output in package.manifest.outputs:
            data = package.blobs[output.artifact]
            onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
            session = onnxruntime.InferenceSession(data)
            weights, intercept = decode_onnx(data)
            matrix = np.random.default_rng(3).normal(size=(50, len(weights))).astype(np.float32)
            theirs = session.run(None, {"features": matrix})[0].ravel()
            ours = Linear(weights, intercept).run(matrix) / 65536
            assert np.abs(theirs - ours).max() < 1e-5  # it adds in float32; ours is exact


def onnx_of(operator="LinearRegressor", extra=(), **attributes):
    node = helper.make_node(operator, ["features"], ["margin"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node, *extra],
        "linear-q16/v1",
        [helper.make_tensor_value_info("features", 1, ["N", 2])],
        [helper.make_tensor_value_info("margin", 1, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


GOOD = encode_onnx([1.0, 2.0], 0.5)
EVIL = {
    "empty": b"",
    "not-protobuf": b"\xff" * 40,
    "marker-alone": b"\x0a\x0ccoefficients",
    "bytes-after-the-end": GOOD + b"\0",
    "cut-short": GOOD[:-1],
    "cut-in-the-weights": GOOD[: GOOD.index(b"coefficients") + 16],
    "huge": GOOD + b"\0" * (1 << 20),
    "length-beyond-the-end": GOOD.replace(
        b"coefficients\x3a\x08", b"coefficients\x3a\xff\xff\xff\xff\x7f"
    ),
    "length-never-ends": GOOD.replace(b"coefficients\x3a\x08", b"coefficients\x3a" + b"\xff" * 9),
    "two-intercepts": onnx_of(coefficients=[1.0, 2.0], intercepts=[0.5, 0.5], targets=2),
    "probability-transform": onnx_of(
        coefficients=[1.0, 2.0], intercepts=[0.5], targets=1, post_transform="LOGISTIC"
    ),
    "another-operator": onnx_of("LinearClassifier", coefficients=[1.0, 2.0], intercepts=[0.5]),
    "a-second-node": onnx_of(
        coefficients=[1.0, 2.0],
        intercepts=[0.5],
        targets=1,
        extra=[helper.make_node("Identity", ["margin"], ["again"])],
    ),
    "nan-weight": encode_onnx([math.nan, 2.0], 0.5),
    "infinite-weight": encode_onnx([math.inf, 2.0], 0.5),
    "nan-intercept": encode_onnx([1.0, 2.0], math.nan),
    "too-few-weights": encode_onnx([1.0], 0.5),
    "too-many-weights": encode_onnx([1.0, 2.0, 3.0], 0.5),
    "no-weights": encode_onnx([], 0.5),
    "more-weights-than-allowed": encode_onnx([1.0] * 257, 0.5),
    "output-out-of-range": encode_onnx([3.0e5, 2.0], 0.5),
    "output-overflows": encode_onnx([3.0e38, 3.0e38], 0.5),
}


def test_the_unchanged_file_loads():
    assert Linear.parse(GOOD, (100.0, 100.0)) == Linear((1.0, 2.0), 0.5)


@pytest.mark.parametrize("case", EVIL)
def test_evil_file_is_refused(case):
    with pytest.raises(ArtifactRefused):
        Linear.parse(EVIL[case], (100.0, 100.0))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_is_refused_or_is_another_number(data):
    whole = bytearray(GOOD)
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    try:
        weights, intercept = decode_onnx(bytes(whole))
    except ArtifactRefused:
        return
    assert encode_onnx(weights, intercept) == bytes(whole)
    assert len(weights) == 2
