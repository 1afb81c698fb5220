"""Serving and auditing need numpy and nothing that trains; no file can load code from a model."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = ("xgboost", "sklearn", "scipy", "pandas", "onnx", "onnxruntime", "arch", "joblib")


@pytest.mark.parametrize(
    "module",
    [
        "models.runtime",
        "models.hub.catalog",
        "models.hub.store",
        "models.hub.publish",
        "models.errors",
    ],
)
def test_import_brings_no_training_library(module):
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m or m.startswith('models.')))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert not loaded & {*TRAINING, "models.reference"}
    assert module in loaded


def test_no_source_names_a_loader_that_runs_code():
    """numpy.load with pickles, pickle itself, joblib, eval and exec are absent from the package."""
    banned = {
        "pickle",
        "joblib",
        "dill",
        "cloudpickle",
        "marshal",
        "shelve",
        "eval",
        "exec",
        "__import__",
    }
    for file in sorted((ROOT / "models").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Name):
                names = {node.id}
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                names = {"pickle"}
            assert not names & banned, f"{file.name}: {names & banned}"
