"""The fences of the house: import contracts, light imports, and the two-report rule in the source."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "models", "ledger", "monitoring", "dashboards")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
HEAVY = (
    "flask",
    "sqlalchemy",
    "sqlmodel",
    "pandas",
    "sklearn",
    "xgboost",
    "evidently",
    "monitoring",
)


def test_import_contracts_are_kept():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("service.auditor.replay", (*HEAVY, "models", "numpy", "dashboards")),
        ("service.auditor.honesty", (*HEAVY, "models", "numpy", "dashboards")),
        ("service.cli", (*HEAVY, "models", "numpy", "dashboards", "ledger")),
        ("ledger", ("sqlalchemy", "sqlmodel", "merkletools", "flask", "rfc8785")),
        ("ledger.verify", ("sqlalchemy", "sqlmodel", "merkletools", "flask", "rfc8785")),
        ("monitoring.correctness", ("evidently", "cryptography", "ledger", "service", "models")),
        ("dashboards", ("ledger", "service", "models", "monitoring")),
        ("models.runtime", ("xgboost", "sklearn", "pandas", "models.reference", "service")),
    ],
)
def test_a_fresh_import_drags_in_nothing_forbidden(module, absent):
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    ).stdout.split()
    dragged = sorted(
        {
            name.split(".")[0] if "." not in a else name
            for name in out
            for a in absent
            if name == a or name.startswith(a + ".")
        }
    )
    assert not dragged, f"{module} drags in {dragged}"


def test_files_and_functions_stay_short():
    too_long = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        lines = len(text.splitlines())
        if lines > LONGEST_FILE:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    too_long.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert not too_long, "\n".join(too_long)


def test_every_module_opens_with_a_tour():
    bare = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not bare


def test_no_function_outside_the_composition_root_takes_both_reports():
    """Only service/{api,cli,demo,jobs,app} may name both; and no function there takes both."""
    both = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                types = " ".join(
                    ast.unparse(arg.annotation)
                    for arg in [*node.args.args, *node.args.kwonlyargs]
                    if arg.annotation is not None
                )
                if "HonestyReport" in types and "CorrectnessReport" in types:
                    both.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not both


def test_each_report_is_made_by_a_module_that_does_not_know_the_other():
    honesty = (ROOT / "service/honesty.py").read_text("utf-8")
    correctness = (ROOT / "service/correctness.py").read_text("utf-8")
    assert "monitoring" not in honesty
    assert "correctness" not in honesty
    assert "auditor" not in correctness.replace("an auditor", "")
    assert "honesty" not in correctness


def test_no_package_is_named_tests():
    """The merkletools package installs a top-level package of that name."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_a_lock_names_no_address(name):
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_what_is_shipped_holds_no_test_peer():
    text = (ROOT / "requirements-run.lock").read_text("utf-8")
    for peer in ("pymerkle", "scitt-cose", "pytest", "hypothesis", "rfc8785"):
        assert f"\n{peer}==" not in text
