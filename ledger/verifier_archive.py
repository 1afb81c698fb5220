"""Build `assay-verify.pyz`: the verifier as one file, for an auditor who installs nothing of ours.

    python -m ledger.verifier_archive OUT

The archive holds `verifier_main`, whatever of this package it imports, and nothing else: read it
with any zip tool. Stored without compression or dates, the same sources give the same bytes
everywhere, so that its SHA-256, printed here, can be told to an auditor another way than the file.
"""

from __future__ import annotations

import ast
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent
ENTRY: Final = "verifier_main"
SHEBANG: Final = b"#!/usr/bin/env python3\n"
MAIN: Final = b'''"""Run the verifier, or say what it lacks."""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write("could not check: Python 3.11 or later is needed\\n")
    raise SystemExit(2)
try:
    from ledger.verifier_main import main
except ModuleNotFoundError as error:
    sys.stderr.write(f"could not check: {error}; install the package cryptography\\n")
    raise SystemExit(2)
raise SystemExit(main())
'''
PACKAGE_TOUR: Final = (
    b'"""What reads and checks a log. The package it was taken from writes one, too."""\n'
)
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


def modules(*names: str) -> list[Path]:
    """The files of this package that modules need at run time, by following imports; sorted."""
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        path = PACKAGE / f"{name}.py"
        if name in found or not path.is_file():
            continue
        found[name] = path
        waiting += _imported(ast.parse(path.read_text("utf-8")))
    return sorted(found.values())


def _imported(tree: ast.Module) -> list[str]:
    """Modules of this package imported outside `if TYPE_CHECKING`."""
    names = []
    for node in _running(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ledger"):
            parts = (node.module or "").split(".")
            names += parts[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [a.name.split(".")[1] for a in node.names if a.name.startswith("ledger.")]
    return names


def _running(node: ast.AST) -> list[ast.AST]:
    """Every node that is not only for the type checker."""
    found = [node]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        found += _running(child)
    return found


def build(out: Path) -> str:
    """Write the archive; returns its SHA-256 in hex."""
    with out.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member("__main__.py"), MAIN)
            archive.writestr(_member("ledger/__init__.py"), PACKAGE_TOUR)
            for path in modules(ENTRY):
                archive.writestr(_member(f"ledger/{path.name}"), path.read_bytes())
    out.chmod(0o755)
    return sha256(out.read_bytes()).hexdigest()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, EPOCH)
    member.external_attr = 0o644 << 16
    return member


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and one file
        sys.exit("usage: python -m ledger.verifier_archive OUT")
    target = Path(sys.argv[1])
    sys.stdout.write(f"{build(target)}  {target}\n")
