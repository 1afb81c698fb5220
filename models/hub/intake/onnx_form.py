"""ONNX files of one linear or tree model, as skl2onnx writes them, read as data.

The graph must be one chain from a single float input [N, features] to a LinearClassifier or a
TreeEnsembleClassifier; what names labels or packs probabilities into maps after it is not run.
Tensors kept in other files are refused, for their paths may lead anywhere. ONNX Runtime answers for
the file when it is compared, so a meaning misread here shows as a difference.

Quirks: with two classes the scores may be of one class only, under either number; weights are
float32, and the sum of a forest's shares is a probability.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ArtifactRefused
from models.hub.intake import forms
from models.hub.intake.affine import Steps, steps_of
from models.hub.intake.shapes import (
    LOG_ODDS,
    PROBABILITY,
    Given,
    LinearModel,
    Tree,
    TreeModel,
    binary,
    floats,
    strictly,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

MODELS: Final = ("LinearClassifier", "TreeEnsembleClassifier")
BEFORE: Final = ("Scaler", "Imputer", "Identity", "Cast")
AFTER: Final = ("Cast", "ZipMap", "Identity", "Normalizer", "ArrayFeatureExtractor", "Reshape")
SPLITS: Final[Mapping[str, Callable[[float], float]]] = {
    "BRANCH_LEQ": strictly,
    "BRANCH_LT": float,
}


def read(data: bytes) -> Given:
    """Read a file. Raises ArtifactRefused with what cannot be exact here."""
    import onnx  # noqa: PLC0415 - only publishing needs it

    try:
        model = onnx.load_model_from_string(data)
        _check_self_contained(model)
        onnx.checker.check_model(model)
    except ArtifactRefused:
        raise
    except Exception as error:
        raise ArtifactRefused("ONNX", f"cannot be read: {type(error).__name__}") from error
    source, width = _input(model.graph)
    before, main = _chain(model.graph, source)
    try:
        shape, classes = _model(main, width)
        binary(classes)
        shape.check()
        steps = _prepared(before, width)
    except (LookupError, TypeError, ValueError) as error:
        raise ArtifactRefused("ONNX", f"{main.op_type}: malformed: {error}") from error
    if isinstance(shape, TreeModel):
        shape = steps.into_trees(shape) if steps.described else shape
    else:
        shape = steps.into_linear(shape)
    import onnxruntime  # noqa: PLC0415

    return Given(
        form=forms.ONNX,
        library=f"onnxruntime {onnxruntime.__version__}",
        kind=main.op_type,
        shape=shape,
        names=None,
        steps=steps.described,
        probability=_answering(data, source),
        hyper={"producer": f"{model.producer_name} {model.producer_version}".strip() or "unknown"},
    )


def _check_self_contained(model: Any) -> None:  # noqa: ANN401 - protobuf
    if model.functions:
        raise ArtifactRefused("ONNX", "defines functions of its own")
    for tensor in model.graph.initializer:
        if tensor.data_location or tensor.external_data:
            raise ArtifactRefused("ONNX", "keeps numbers in another file; save it as one file")
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx", "ai.onnx.ml"}
    if domains:
        raise ArtifactRefused("ONNX", f"operators of {min(domains)[:60]} are not known here")


def _input(graph: Any) -> tuple[str, int]:  # noqa: ANN401
    made = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in made]
    if len(inputs) != 1:
        raise ArtifactRefused("ONNX", f"{len(inputs)} inputs; expected one tensor [N, features]")
    kind = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in kind.shape.dim]
    if kind.elem_type != 1 or len(dims) != 2 or dims[1] < 1:  # noqa: PLR2004 - FLOAT, [N, width]
        raise ArtifactRefused("ONNX", "the input is not a float32 tensor [N, features]")
    return inputs[0].name, dims[1]


def _chain(graph: Any, source: str) -> tuple[list[Any], Any]:  # noqa: ANN401
    """The operators before the model, in order, and the model's own."""
    main = [node for node in graph.node if node.op_type in MODELS]
    odd = {node.op_type for node in graph.node} - {*MODELS, *BEFORE, *AFTER}
    if len(main) != 1 or odd:
        what = f"operator {min(odd)}" if odd else f"{len(main)} models"
        raise ArtifactRefused(
            "ONNX", f"{what}: one {' or '.join(MODELS)} after {' or '.join(BEFORE)} is exact here"
        )
    makes = {name: node for node in graph.node for name in node.output}
    before: list[Any] = []
    wanted = main[0].input[0]
    while wanted != source:
        node = makes.get(wanted)
        if node is None or node.op_type not in BEFORE or len(before) > len(graph.node):
            raise ArtifactRefused("ONNX", "the model does not read the graph's input")
        before.insert(0, node)
        wanted = node.input[0]
    return before, main[0]


def _attributes(node: Any) -> dict[str, Any]:  # noqa: ANN401
    import onnx  # noqa: PLC0415

    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _answering(data: bytes, source: str) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArtifactRefused("ONNX", "ONNX Runtime does not load it") from error

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        answer = session.run(None, {source: matrix})[-1]
        if isinstance(answer, list):  # a ZipMap: one dict per row
            return np.asarray([row[max(row)] for row in answer], np.float64)
        found = np.asarray(answer, np.float64)
        return found[:, -1] if found.ndim == 2 else found  # noqa: PLR2004 - a row per class

    return probability


# --- the model -------------------------------------------------------------------------------


def _model(node: Any, width: int) -> tuple[TreeModel | LinearModel, list[Any]]:  # noqa: ANN401
    found = _attributes(node)
    classes = list(found.get("classlabels_ints") or found.get("classlabels_int64s") or ())
    post = found.get("post_transform", b"NONE").decode()
    if node.op_type == "LinearClassifier":
        return _linear(found, post, width), classes
    return _trees(found, post, width), classes


def _linear(found: Mapping[str, Any], post: str, width: int) -> LinearModel:
    weights = np.asarray(found["coefficients"], np.float64).reshape(-1, width)
    intercepts = np.asarray(found.get("intercepts", [0.0] * len(weights)), np.float64)
    if post == "SOFTMAX" and len(weights) == 2:  # noqa: PLR2004 - two classes
        weights, intercepts = weights[1:] - weights[:1], intercepts[1:] - intercepts[:1]
    elif post != "LOGISTIC":
        raise ArtifactRefused("ONNX", f"LinearClassifier with post_transform {post}: no log-odds")
    return LinearModel(tuple(floats(weights[-1])), float(intercepts[-1]), LOG_ODDS, width)


def _trees(found: Mapping[str, Any], post: str, width: int) -> TreeModel:
    if post not in {"LOGISTIC", "NONE"}:
        raise ArtifactRefused("ONNX", f"trees with post_transform {post}: neither odds nor shares")
    if len(set(found["class_ids"])) != 1:
        raise ArtifactRefused("ONNX", "several scores per tree: one binary score is read")
    base = floats(found.get("base_values", [0.0]))
    weights: dict[tuple[int, int], float] = defaultdict(float)
    leaves = zip(
        found["class_treeids"], found["class_nodeids"], found["class_weights"], strict=True
    )
    for tree, node, weight in leaves:
        weights[tree, node] += float(weight)
    columns = [
        found[f"nodes_{name}"] for name in ("treeids", "nodeids", "featureids", "values", "modes")
    ]
    columns += [found["nodes_truenodeids"], found["nodes_falsenodeids"]]
    columns.append(found.get("nodes_missing_value_tracks_true") or [0] * len(columns[0]))
    rows: dict[int, dict[int, tuple[Any, ...]]] = defaultdict(dict)
    for tree, node, *rest in zip(*columns, strict=True):
        if node in rows[tree]:
            raise ArtifactRefused("ONNX", f"tree {tree}: node {node} is there twice")
        rows[tree][node] = tuple(rest)
    trees = tuple(_tree(number, rows[number], weights) for number in sorted(rows))
    unit = LOG_ODDS if post == "LOGISTIC" else PROBABILITY
    return TreeModel(trees, base[-1], unit, width)


def _tree(
    number: int, nodes: Mapping[int, tuple[Any, ...]], weights: Mapping[tuple[int, int], float]
) -> Tree:
    order = sorted(nodes)
    place = {node: at for at, node in enumerate(order)}
    tree = Tree([], [], [], [], [], [])
    for node in order:
        feature, value, mode, true, false, missing = nodes[node]
        kind = mode.decode() if isinstance(mode, bytes) else str(mode)
        leaf = kind == "LEAF"
        if not leaf and kind not in SPLITS:
            raise ArtifactRefused("ONNX", f"splits by {kind}: <= and < are exact here")
        tree.feature.append(0 if leaf else int(feature))
        tree.threshold.append(0.0 if leaf else SPLITS[kind](float(value)))
        tree.left.append(-1 if leaf else place[true])
        tree.right.append(-1 if leaf else place[false])
        tree.default_left.append(bool(missing))
        tree.value.append(weights[number, node] if leaf else 0.0)
    return tree


# --- what comes before it ----------------------------------------------------------------------


def _prepared(before: list[Any], width: int) -> Steps:
    scale, offset = [1.0] * width, [0.0] * width
    fill: list[float | None] = [None] * width
    described: list[str] = []
    arithmetic: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for node in before:
        found = _attributes(node)
        if node.op_type == "Scaler":
            minus, by = _wide(found["offset"], width), _wide(found["scale"], width)
            arithmetic.append((minus, by))
            offset = [o + float(m) / s for o, m, s in zip(offset, minus, scale, strict=True)]
            scale = [s * float(b) for s, b in zip(scale, by, strict=True)]
            described.append("Scaler")
        elif node.op_type == "Imputer" and not arithmetic:
            if not np.isnan(found.get("replaced_value_float", np.nan)):
                raise ArtifactRefused("ONNX", "Imputer that replaces a number, not what is missing")
            fill = [float(v) for v in _wide(found["imputed_value_floats"], width)]
            described.append("Imputer")
        elif node.op_type == "Imputer" or (node.op_type == "Cast" and found["to"] != 1):
            raise ArtifactRefused("ONNX", f"{node.op_type} in this place is not exact here")

    def moved(feature: int) -> Callable[[float], float]:
        def run(value: float) -> float:
            one = np.float32(value)
            with np.errstate(over="ignore"):
                for minus, by in arithmetic:
                    one = (one - minus[feature]) * by[feature]
            return float(one)

        return run

    maps = [moved(feature) for feature in range(width)]
    return steps_of(scale, offset, maps, fill=fill, described=described)


def _wide(values: Any, width: int) -> NDArray[np.float32]:  # noqa: ANN401
    found = np.asarray(values, np.float32)
    return np.broadcast_to(found, (width,)) if found.size == 1 else found.reshape(width)
