"""`assay-verify.pyz` as an auditor runs it: an interpreter, `cryptography`, and nothing else."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ledger.export import export
from ledger.layout import DirectorySource
from ledger.verifier_archive import ENTRY, build, modules
from ledger.verifier_main import main
from ledger.verify import verify_export
from logs import create_log

NEEDED = ("cryptography", "cffi", "_cffi_backend", "pycparser")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """An export, the key's file, a receipt, the archive, and a path with one library."""
    desk = tmp_path_factory.mktemp("desk")
    log = create_log(desk / "log")
    for n in range(300):
        log.predict([f"value {n}", "other"][: 1 + n % 2])
    export(log.ledger, desk / "export", vault=log.vault)
    (desk / "log.vkey").write_text(log.ledger.vkey + "\n")
    (desk / "receipt.json").write_text(json.dumps(log.ledger.receipt(17).to_json()))
    log.engine.dispose()
    build(desk / "assay-verify.pyz")
    (desk / "library").mkdir()
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        place = Path(spec.origin)
        place = place.parent if place.stem == "__init__" else place
        (desk / "library" / place.name).symlink_to(place)
    return desk


def run(desk, *arguments, library="library"):
    """Without site-packages, without this checkout, in a directory of its own."""
    return subprocess.run(
        [sys.executable, "-S", "-P", desk / "assay-verify.pyz", *map(str, arguments)],
        cwd="/",
        env={"PYTHONPATH": str(desk / library), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_export_in_order_exits_0_and_says_what_was_not_checked(desk):
    done = run(desk, desk / "export", "--key", desk / "log.vkey")
    assert done.returncode == 0, done.stderr
    assert "test.example/log, checkpoint of 304 entries" in done.stdout
    assert "Not checked: who held which key" in done.stdout
    assert done.stdout.endswith("every check listed here held\n")


def test_it_finds_what_the_package_finds(desk, tmp_path):
    changed = tmp_path / "export"
    for path in DirectorySource(desk / "export").list():
        (changed / path).parent.mkdir(parents=True, exist_ok=True)
        (changed / path).write_bytes((desk / "export" / path).read_bytes())
    bundle = changed / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"as_of":null', b'"as_of":nulL', 1))
    report = tmp_path / "findings.json"
    done = run(desk, changed, "--key", desk / "log.vkey", "--json", report)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    found = verify_export(DirectorySource(changed), (desk / "log.vkey").read_text())
    told = json.loads(report.read_text())
    assert [f["expected"] for f in told["findings"]] == [f.expected for f in found.findings]
    assert [c["failed"] for c in told["checks"]] == [c.failed for c in found.checks]


def test_a_receipt_is_checked(desk, tmp_path):
    done = run(desk, "receipt", desk / "receipt.json", "--key", desk / "log.vkey")
    assert done.returncode == 0, done.stderr
    assert "entry 17 is in the tree of" in done.stdout
    receipt = json.loads((desk / "receipt.json").read_text())
    receipt["leaf_index"] = 18
    (tmp_path / "bad.json").write_text(json.dumps({"receipt": receipt}))
    done = run(desk, "receipt", tmp_path / "bad.json", "--key", desk / "log.vkey")
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED leaf 18")


@pytest.mark.parametrize(
    "arguments",
    [
        ("{desk}", "--key", "{desk}/log.vkey"),
        ("{desk}/export", "--key", "no key"),
        ("{desk}/export", "--key", "{desk}/export"),
        ("receipt", "{desk}/absent.json", "--key", "{desk}/log.vkey"),
        ("receipt", "{desk}/log.vkey", "--key", "{desk}/log.vkey"),
        ("one", "two", "three", "--key", "{desk}/log.vkey"),
    ],
)
def test_what_cannot_be_checked_exits_2_with_one_line(desk, arguments, capsys):
    assert main([argument.format(desk=desk) for argument in arguments]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("could not check: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_another_key_fails(desk, capsys):
    from ledger.keys import SigningKey
    from ledger.note import NoteSigner

    other = NoteSigner("test.example/log", SigningKey.generate()).vkey
    assert main([str(desk / "export"), "--key", other]) == 1
    assert "FAILED checkpoint" in capsys.readouterr().out


def test_without_the_library_it_says_which(desk):
    (desk / "nothing").mkdir(exist_ok=True)
    done = run(desk, desk / "export", "--key", desk / "log.vkey", library="nothing")
    assert done.returncode == 2
    assert "install the package cryptography" in done.stderr


def test_hostile_text_reaches_no_terminal(desk, tmp_path, capsys):
    (tmp_path / "checkpoint").write_text("\x1b[31mred\n")
    assert main([str(tmp_path), "--key", str(desk / "log.vkey")]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_the_archive_holds_the_verifier_and_nothing_else(desk):
    with zipfile.ZipFile(desk / "assay-verify.pyz") as archive:
        names = set(archive.namelist())
        for path in modules(ENTRY):
            assert archive.read(f"ledger/{path.name}") == path.read_bytes()
        assert ast.get_docstring(ast.parse(archive.read("ledger/__init__.py")))
    ours = {f"ledger/{path.name}" for path in modules(ENTRY)}
    assert names == {"__main__.py", "ledger/__init__.py", *ours}
    assert not {
        "record.py",
        "note.py",
        "log.py",
        "store.py",
        "tables.py",
        "seal.py",
        "vault.py",
    } & {path.name for path in modules(ENTRY)}


def test_the_followed_imports_are_those_of_a_running_interpreter(desk):
    code = (
        f"import sys; sys.path.insert(0, 'assay-verify.pyz'); import ledger.{ENTRY}; "
        "print(*[m for m in sys.modules if m.startswith('ledger.')])"
    )
    out = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=desk
    ).stdout.split()
    assert {path.stem for path in modules(ENTRY)} == {m.split(".")[1] for m in out}


def test_the_same_sources_give_the_same_bytes(desk, tmp_path):
    assert build(tmp_path / "again.pyz") == build(tmp_path / "and-again.pyz")
    again = (tmp_path / "again.pyz").read_bytes()
    assert again == (desk / "assay-verify.pyz").read_bytes()
    assert again.startswith(b"#!/usr/bin/env python3\n")


def test_it_imports_the_standard_library_and_one_other():
    foreign = set()
    for path in modules(ENTRY):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                foreign |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                foreign.add((node.module or "").split(".")[0])
    assert foreign - set(sys.stdlib_module_names) == {"ledger", "cryptography"}
