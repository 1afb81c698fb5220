"""scikit-learn models in skops files: constructed from an exact list of types, then read.

skops builds objects from a schema and arrays and runs no code of the file's own. Its default list
is still long, so each step must also be one of the classes below, by exact type.

Quirks, kept in here: skops counts numpy.dtype and the trees' compiled types as untrusted; forests
and boosting convert their input to float32 and histogram boosting does not; a tree sends
`x <= threshold` left; an infinite threshold splits the missing from the rest.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
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
    integers,
    strictly,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TRUSTED: Final = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
SCALERS: Final = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
MODELS: Final = (
    "LogisticRegression",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "DecisionTreeClassifier",
)


def read(data: bytes) -> Given:
    """Read a skops file. Raises ArtifactRefused with what cannot be exact here."""
    estimator = _load(data)
    *before, last = _steps(estimator)
    name = type(last).__name__
    if not type(last).__module__.startswith("sklearn.") or name not in MODELS:
        raise ArtifactRefused("scikit-learn", f"{name} is not exact here; {', '.join(MODELS)} are")
    binary(list(last.classes_))
    width = int(last.n_features_in_)
    shape = _shape(last, name, width)
    shape.check()
    steps = _prepared(before, width, cast=name != "HistGradientBoostingClassifier")
    if isinstance(shape, TreeModel):
        shape = steps.into_trees(shape) if before else shape
    else:
        shape = steps.into_linear(shape)
    names = getattr(estimator, "feature_names_in_", None)
    import sklearn  # noqa: PLC0415 - slow, and only publishing needs it

    return Given(
        form=forms.SKOPS,
        library=f"scikit-learn {sklearn.__version__}",
        kind=name,
        shape=shape,
        names=None if names is None else tuple(str(n) for n in names),
        steps=steps.described,
        probability=_answering(estimator),
        hyper={k: str(v)[:200] for k, v in sorted(last.get_params(deep=False).items())},
    )


def _load(data: bytes) -> Any:  # noqa: ANN401 - any estimator
    import skops.io  # noqa: PLC0415 - imports scikit-learn

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            forms.check_zip(archive)
            json.loads(archive.read("schema.json"))
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
        if unknown:
            shown = ", ".join(unknown[:3])[:200]
            raise ArtifactRefused("skops", f"holds {shown}: types that are not built here")
        return skops.io.loads(data, trusted=list(TRUSTED))
    except ArtifactRefused:
        raise
    except Exception as error:
        raise ArtifactRefused("skops", f"cannot be read: {type(error).__name__}") from error


def _steps(estimator: Any) -> list[Any]:  # noqa: ANN401
    if type(estimator).__name__ != "Pipeline":
        return [estimator]
    return [step for _, step in estimator.steps if step not in (None, "passthrough")]


def _answering(estimator: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:  # noqa: ANN401
    import warnings  # noqa: PLC0415 - beside its use

    names = getattr(estimator, "feature_names_in_", None)

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        table: Any = matrix.astype(np.float64)
        if names is not None:
            import pandas as pd  # noqa: PLC0415 - only for models fitted on a table

            table = pd.DataFrame(table, columns=list(names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions; the comparison decides
            return np.asarray(estimator.predict_proba(table)[:, 1], np.float64)

    return probability


# --- the model -------------------------------------------------------------------------------


def _shape(model: Any, name: str, width: int) -> TreeModel | LinearModel:  # noqa: ANN401
    if name == "LogisticRegression":
        intercept = floats(model.intercept_)[0]
        return LinearModel(tuple(floats(model.coef_)), intercept, LOG_ODDS, width)
    if name == "GradientBoostingClassifier":
        return _boosting(model, width)
    if name == "HistGradientBoostingClassifier":
        return _histogram(model, width)
    estimators = [model] if name == "DecisionTreeClassifier" else list(model.estimators_)
    share = 1 / len(estimators)
    trees = []
    for member in estimators:
        counts = np.asarray(member.tree_.value, np.float64)[:, 0, :]
        trees.append(_tree(member.tree_, floats(counts[:, 1] / counts.sum(axis=1) * share)))
    return TreeModel(tuple(trees), 0.0, PROBABILITY, width)


def _boosting(model: Any, width: int) -> TreeModel:  # noqa: ANN401
    if model.loss != "log_loss":
        raise ArtifactRefused("scikit-learn", f"loss {model.loss}: log_loss gives log-odds")
    if type(model.init_).__name__ != "DummyClassifier":
        raise ArtifactRefused("scikit-learn", "an init estimator of its own is not exact here")
    share = floats(model.init_.class_prior_)[1]
    trees = tuple(
        _tree(member.tree_, floats(np.asarray(member.tree_.value)[:, 0, 0] * model.learning_rate))
        for member in model.estimators_[:, 0]
    )
    return TreeModel(trees, math.log(share / (1 - share)), LOG_ODDS, width)


def _tree(tree: Any, values: list[float]) -> Tree:  # noqa: ANN401
    left, right = integers(tree.children_left), integers(tree.children_right)
    missing = getattr(tree, "missing_go_to_left", None)
    return Tree(
        feature=integers(tree.feature),
        threshold=[_largest(strictly(t)) for t in floats(tree.threshold)],
        left=left,
        right=right,
        default_left=[False] * len(left) if missing is None else [bool(m) for m in missing],
        value=values,
    )


def _histogram(model: Any, width: int) -> TreeModel:  # noqa: ANN401
    if model.is_categorical_ is not None and bool(np.any(model.is_categorical_)):
        raise ArtifactRefused("scikit-learn", "categorical splits: only numerical ones are exact")
    trees = []
    for (predictor,) in model._predictors:  # noqa: SLF001 - there is no other way to its trees
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        left = np.where(leaf, -1, nodes["left"].astype(np.int64))
        right = np.where(leaf, -1, nodes["right"].astype(np.int64))
        bounds = np.where(leaf, 0.0, nodes["num_threshold"])
        trees.append(
            Tree(
                feature=integers(nodes["feature_idx"]),
                threshold=[_largest(strictly(t)) for t in floats(bounds)],
                left=integers(left),
                right=integers(right),
                default_left=[bool(m) for m in nodes["missing_go_to_left"]],
                value=floats(nodes["value"]),
            )
        )
    base = floats(model._baseline_prediction)[0]  # noqa: SLF001
    return TreeModel(tuple(trees), base, LOG_ODDS, width)


def _largest(threshold: float) -> float:
    """An infinite threshold separates the missing from the rest: every number goes left."""
    return float(np.finfo(np.float32).max) if threshold == math.inf else threshold


# --- what comes before it ----------------------------------------------------------------------


def _prepared(before: list[Any], width: int, *, cast: bool) -> Steps:
    """Imputation, then scaling, of each feature; refused when there is anything else."""
    scale, offset = [1.0] * width, [0.0] * width
    fill: list[float | None] = [None] * width
    arithmetic: list[Callable[[int, float], float]] = []
    described: list[str] = []
    for step in before:
        name = type(step).__name__
        if name == "SimpleImputer" and not arithmetic:
            if step.add_indicator or len(step.statistics_) != width:
                raise ArtifactRefused("scikit-learn", "SimpleImputer that adds or drops columns")
            fill = list(floats(step.statistics_))
            described.append(f"SimpleImputer({step.strategy})")
        elif name in SCALERS:
            by, minus, one = _scaling(step, name, width)
            arithmetic.append(one)
            offset = [o + m / s for o, m, s in zip(offset, minus, scale, strict=True)]
            scale = [s * b for s, b in zip(scale, by, strict=True)]
            described.append(name)
        else:
            raise ArtifactRefused(
                "scikit-learn",
                f"step {name} is not exact here; {', '.join(SCALERS)} and a first SimpleImputer "
                "are. Prepare the table before training, and publish the rest",
            )

    def moved(feature: int) -> Callable[[float], float]:
        def run(value: float) -> float:
            for one in arithmetic:
                value = one(feature, value)
            with np.errstate(over="ignore"):
                return float(np.float32(value)) if cast else value

        return run

    maps = [moved(feature) for feature in range(width)]
    return steps_of(scale, offset, maps, fill=fill, described=described)


def _scaling(
    step: Any,  # noqa: ANN401
    name: str,
    width: int,
) -> tuple[list[float], list[float], Callable[[int, float], float]]:
    """Factors and offsets of (x - offset) * factor, and the same in the library's own order."""
    if name == "MinMaxScaler":
        if step.clip:
            raise ArtifactRefused("scikit-learn", "MinMaxScaler(clip=True) is not affine")
        factor, add = floats(step.scale_), floats(step.min_)
        offset = [-a / f for a, f in zip(add, factor, strict=True)]
        return factor, offset, lambda i, x: x * factor[i] + add[i]
    middle = getattr(step, "mean_" if name == "StandardScaler" else "center_", None)
    divide = getattr(step, "scale_", None)
    minus = [0.0] * width if middle is None else floats(middle)
    by = [1.0] * width if divide is None else floats(divide)
    if name == "StandardScaler" and not step.with_mean:
        minus = [0.0] * width
    return [1 / d for d in by], minus, lambda i, x: (x - minus[i]) / by[i]
