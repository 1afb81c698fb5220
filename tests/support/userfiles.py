"""Model files as users have them: fitted on small made-up tables, in every library that is read."""

import functools
import io
import warnings

import numpy as np

NAMES = ("income", "debt", "age", "late", "limit")

CARD = """---
license: apache-2.0
library_name: sklearn
pipeline_tag: tabular-classification
tags: [credit, tabular]
datasets: [made up]
---
# Somebody's default model

## Intended use
Scores made-up applicants in tests.
"""


@functools.cache
def table(*, missing=False, rows=600):
    """Inputs and labels; some inputs missing when asked for."""
    rng = np.random.default_rng(11)
    inputs = rng.normal(size=(rows, len(NAMES))) * [1, 10, 100, 0.1, 1000]
    noise = rng.normal(size=rows)
    labels = (inputs[:, 0] + inputs[:, 1] / 20 + noise > 0).astype(int)
    if missing:
        inputs[rng.random(inputs.shape) < 0.1] = np.nan
    return inputs, labels


def csv_bytes(*, missing=False, rows=600, names=NAMES, target="default"):
    """The table as a CSV file."""
    inputs, labels = table(missing=missing, rows=rows)
    out = io.StringIO()
    out.write(",".join((*names, target)) + "\n")
    for row, label in zip(inputs, labels, strict=True):
        cells = ["" if np.isnan(x) else repr(float(x)) for x in row]
        out.write(",".join((*cells, str(label))) + "\n")
    return out.getvalue().encode()


def estimators():
    """Fresh estimators by name, and whether they take missing values."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    return {
        "logistic": (LogisticRegression(), False),
        "scaled-logistic": (make_pipeline(StandardScaler(), LogisticRegression()), False),
        "twice-scaled": (
            make_pipeline(MinMaxScaler(), RobustScaler(), LogisticRegression()),
            False,
        ),
        "boosting": (GradientBoostingClassifier(n_estimators=12, random_state=1), False),
        "scaled-boosting": (
            make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=12)),
            False,
        ),
        "imputed-boosting": (
            make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=8)),
            True,
        ),
        "forest": (RandomForestClassifier(12, max_depth=8, random_state=1), False),
        "gappy-forest": (RandomForestClassifier(6, max_depth=6, random_state=1), True),
        "extra": (ExtraTreesClassifier(8, max_depth=6, random_state=1), False),
        "tree": (DecisionTreeClassifier(max_depth=5, random_state=1), False),
        "histogram": (HistGradientBoostingClassifier(max_iter=10), True),
        "scaled-histogram": (
            make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=8)),
            True,
        ),
    }


@functools.cache
def fitted(name):
    """One of them, fitted."""
    model, missing = estimators()[name]
    inputs, labels = table(missing=missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(inputs, labels), missing


@functools.cache
def skops_bytes(name):
    """A fitted model as a skops file."""
    import skops.io

    return skops.io.dumps(fitted(name)[0])


@functools.cache
def onnx_bytes(name):
    """A fitted model as an ONNX file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx

        return to_onnx(fitted(name)[0], table()[0][:1].astype("f4")).SerializeToString()


@functools.cache
def xgboost_bytes(form, **changed):
    """A booster trained on the table with gaps."""
    import xgboost

    inputs, labels = table(missing=True)
    data = xgboost.DMatrix(inputs, labels, feature_names=list(NAMES), nthread=1)
    params = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, **changed}
    return bytes(xgboost.train(params, data, 12).save_raw(form))
