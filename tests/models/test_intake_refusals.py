"""What cannot be published, each with its reason: code, bombs, wrong tables, other arithmetic."""

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest

from models.errors import (
    ArtifactRefused,
    ExecutableRefused,
    ManifestRefused,
    ModelError,
    NameRefused,
    TableRefused,
)
from models.hub.card import parse_card
from models.hub.intake import forms
from models.hub.intake.draft import Terms, draft, read_file
from models.hub.intake.table import read_table
from models.hub.names import check_name
from userfiles import CARD, NAMES, csv_bytes, fitted, onnx_bytes, skops_bytes, table, xgboost_bytes

ENVIRONMENT = "sha256:" + "0" * 64


class Marked:
    """Leaves a mark when it is unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Marked, "ran", True)


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "what", "instead"),
    [
        (pickle.dumps(Marked()), "m.pkl", "a Python pickle", "skops convert m.pkl"),
        (pickle.dumps(Marked()), "m.onnx", "a Python pickle", "skops"),
        (pickle.dumps(Marked(), 0), "old.pickle", "a Python pickle", "skops"),
        (b"\x78\x9c" + b"x" * 20, "m.joblib", "a joblib file", "skops"),
        (zipped(archive__data_dot_pkl=b""), "m.pt", "a PyTorch checkpoint", "torch.onnx.export"),
        (
            zipped(config_dot_json=b"{}", model_dot_weights_dot_h5=b"x"),
            "m.keras",
            "a Keras model",
            "tf2onnx",
        ),
        (b"\x89HDF\r\n\x1a\nxxxx", "m.h5", "an HDF5 file", "tf2onnx"),
        (b"RDX3\nxxxx", "m.RData", "an R workspace", "ONNX"),
    ],
)
def test_what_runs_code_is_refused_with_the_way_out(data, name, what, instead):
    with pytest.raises(ExecutableRefused, match=what) as refused:
        read_file(data, name)
    assert instead in str(refused.value)
    assert not Marked.ran


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"tree\nversion=v4", "LightGBM"),
        (b"CBM1xxx", "CatBoost"),
        (b"{}", "no xgboost model"),
        (b"hello", "none of the kinds"),
        (b"\x08\x08\xff\xff\xff", "cannot be read"),
        (zipped(a=b"x"), "no model that is known"),
        (b"PK\x03\x04xxxx", "cannot be read"),
        (zipped(schema_dot_json=b"{}"), "cannot be read"),
    ],
)
def test_what_is_no_supported_model(data, reason):
    with pytest.raises(ArtifactRefused, match=reason):
        read_file(data, "m")


# --- zips --------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_before_anything_is_unpacked():
    with pytest.raises(ArtifactRefused, match="zip bomb"):
        read_file(zipped(schema_dot_json=b"0" * (20 << 20)), "m.skops")


@pytest.mark.parametrize("place", ["../../x.npy", "/etc/x.npy", "a\\..\\..\\x", "C:x"])
def test_a_path_out_of_the_zip_is_refused(place):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr(place, "x")
    with pytest.raises(ArtifactRefused, match="leads out of the archive"):
        read_file(out.getvalue(), "m.skops")


def test_a_zip_of_too_many_members(monkeypatch):
    monkeypatch.setattr(forms, "MEMBERS_MAX", 1)
    with pytest.raises(ArtifactRefused, match="2 members"):
        read_file(zipped(schema_dot_json=b"{}", b=b""), "m.skops")


def test_a_skops_file_that_names_a_function():
    import skops.io
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    pipe = make_pipeline(FunctionTransformer(print), fitted("logistic")[0])
    with pytest.raises(ArtifactRefused, match=r"types that are not built here|not exact here"):
        read_file(skops.io.dumps(pipe), "m.skops")


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")]
)
def test_a_skops_file_whose_schema_names_a_program_s_function(module, name):
    """A real file with one class exchanged by hand: nothing of it is built."""
    out = io.BytesIO()
    source = io.BytesIO(skops_bytes("logistic"))
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(out, "w") as made:
        for member in given.namelist():
            data = given.read(member)
            if member == "schema.json":
                schema = json.loads(data)
                schema["__module__"], schema["__class__"] = module, name
                data = json.dumps(schema).encode()
            made.writestr(member, data)
    with pytest.raises(ArtifactRefused, match="types that are not built here"):
        read_file(out.getvalue(), "m.skops")


def test_an_onnx_file_with_numbers_in_another_file():
    import onnx

    model = onnx.load_model_from_string(onnx_bytes("logistic"))
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "extra")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    tensor.ClearField("raw_data")
    model.graph.initializer.append(tensor)
    with pytest.raises(ArtifactRefused, match="another file"):
        read_file(model.SerializeToString(), "m.onnx")


# --- arithmetic ----------------------------------------------------------------------------------


def skops_of(*steps):
    import skops.io
    from sklearn.pipeline import make_pipeline

    inputs, labels = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return skops.io.dumps(make_pipeline(*steps).fit(inputs, labels))


def others():
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    return {
        "SVC": lambda: skops_of(SVC()),
        "KDTree": lambda: skops_of(KNeighborsClassifier()),
        "step PCA": lambda: skops_of(PCA(2), LogisticRegression()),
        "booster dart": lambda: xgboost_bytes("ubj", booster="dart"),
        "objective reg:squarederror": lambda: xgboost_bytes("ubj", objective="reg:squarederror"),
    }


@pytest.mark.parametrize(
    "what",
    ["SVC", "KDTree", "step PCA", "booster dart", "objective reg:squarederror"],
)
def test_what_cannot_be_replayed_bit_for_bit_is_named(what):
    with pytest.raises(ArtifactRefused, match=what):
        read_file(others()[what](), "m")


def test_three_classes_are_refused():
    import skops.io
    from sklearn.linear_model import LogisticRegression

    inputs = table()[0][:, :1]
    model = LogisticRegression().fit(inputs, np.arange(len(inputs)) % 3)
    with pytest.raises(ArtifactRefused, match="classes are 0, 1, 2; expected 0 and 1"):
        read_file(skops.io.dumps(model), "m.skops")


# --- the table and the terms -----------------------------------------------------------------


def drafted(*, csv=None, threshold=0.5, kind="credit", name="logistic", **read):
    table_ = read_table(csv or csv_bytes(), **{"target": "default", **read})
    return draft(
        skops_bytes(name),
        "m.skops",
        table=table_,
        card=parse_card(CARD),
        terms=Terms("mine", "1.0.0", kind, "a desk", threshold),
        environment_digest=ENVIRONMENT,
    )


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), 0.0, 1.0, -0.2])
def test_a_threshold_that_is_no_probability(threshold):
    with pytest.raises(ManifestRefused, match=r"decision\.threshold"):
        drafted(threshold=threshold)


def test_a_kind_that_judges_no_classifier():
    with pytest.raises(ManifestRefused, match="credit or signal"):
        drafted(kind="value_at_risk")


def test_a_table_with_a_column_too_many():
    with pytest.raises(TableRefused, match="6 feature columns, and the model takes 5"):
        drafted(target=None)


def test_a_table_in_another_order_than_the_model_was_fitted_on():
    import pandas as pd
    import skops.io
    from sklearn.linear_model import LogisticRegression

    inputs, labels = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression().fit(pd.DataFrame(inputs, columns=list(NAMES)), labels)
    swapped = ("debt", "income", *NAMES[2:])
    with pytest.raises(TableRefused, match="feature 0 is 'debt'; the model was fitted on 'income'"):
        draft(
            skops.io.dumps(model),
            "m.skops",
            table=read_table(csv_bytes(names=swapped), target="default"),
            card=parse_card(CARD),
            terms=Terms("mine", "1.0.0", "credit", "a desk", 0.5),
            environment_digest=ENVIRONMENT,
        )


def test_missing_values_before_a_weighted_sum():
    with pytest.raises(TableRefused, match="no exact answer"):
        drafted(csv=csv_bytes(missing=True))


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", "header", "no header"),
        ("a,a\n1,2\n", "header", "named twice"),
        ("a,y\n", "file", "no rows"),
        ("a,y\n1,0\n1\n", "file", "line 3: 1 cells under 2 names"),
        ("a,y\nmale,0\n", "a", "'male' is not a number"),
        ("a,y\ninf,0\n", "a", "must be finite"),
        ("a,y\n1,2\n", "y", "'2' is not 0 or 1"),
        ("a,y\n1e30,0\n", "a", "inputs go up to"),
        ("a,b\n1,0\n", "y", "is no column"),
        ('a,y\n"1,0\n', "file", "not a CSV"),
    ],
)
def test_a_table_that_cannot_be_used(text, column, reason):
    with pytest.raises(TableRefused, match=reason) as refused:
        read_table(text.encode(), target="y")
    assert refused.value.column == column


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("\u0441redit-default", "CYRILLIC SMALL LETTER ES, which looks like 'c'"),
        ("credit-defau1t", "looks like the model 'credit-default'"),
        ("credit-defau1t-2", None),
        ("creditdefault", "looks like"),
        ("credit-defaults", "one letter from"),
        ("credit-defualt", "one letter from"),
        ("credit-defaul", "one letter from"),
        ("pd-2025", None),
        ("vvater-rnodel", "looks like the model 'water-model'"),
        ("../x", "a-z, 0-9 and hyphens"),
        ("A", "a-z, 0-9 and hyphens"),
        ("a" * 65, "1 to 64"),
        ("credit-default", None),
        ("something-else", None),
    ],
)
def test_a_name_too_like_an_existing_one(name, reason):
    existing = ["credit-default", "pd-2024", "water-model"]
    if reason is None:
        check_name(name, existing)
        return
    with pytest.raises(NameRefused, match=reason):
        check_name(name, existing)


def test_every_refusal_is_a_model_error():
    assert all(
        issubclass(kind, ModelError) for kind in (ExecutableRefused, TableRefused, NameRefused)
    )
