"""The command of `assay-verify.pyz`: check an export or one receipt, with nothing installed.

    python assay-verify.pyz EXPORT_DIR --key VKEY [--json FILE]
    python assay-verify.pyz receipt FILE --key VKEY [--log-keys FILE]

Python 3.11 or later and the package `cryptography`. Exit 0: every check held. Exit 1: something
failed; the leaf or the file is named. Exit 2: nothing could be checked. It checks the log and not
what the entries say of models: `assay audit` does that too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.checkpoint import VerifierKey
from ledger.layout import CHECKPOINT, DirectorySource
from ledger.receipt import Receipt, follow_receipts, verify_receipt
from ledger.refusals import LedgerError
from ledger.verify import verify_export

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.checkpoint import KeyHistory
    from ledger.findings import LogFindings

FAILED: Final = 1
UNCHECKED: Final = 2
SHOWN: Final = 20  # findings printed; all of the kept ones are in the JSON report
KEY_MAX: Final = 4096
RECEIPT_MAX: Final = 4 << 20  # bytes; an entry has at most 64 KiB and a path 63 hashes
NOT_SAID: Final = (
    "Not checked: who held which key, what was never recorded, whether somebody else is shown "
    "another tree, and what the entries say of models (assay audit)."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="assay-verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", nargs="+", metavar="EXPORT_DIR | receipt FILE")
    parser.add_argument("--key", required=True, metavar="VKEY", help="the log's key, or its file")
    told = "log-keys.jsonl of an export: follow from --key to the key that signed a receipt"
    parser.add_argument("--log-keys", type=Path, metavar="FILE", help=told)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings here")
    asked = parser.parse_args(arguments)
    try:
        key = VerifierKey.parse(_text_of(asked.key))
        if len(asked.what) == 2 and asked.what[0] == "receipt":  # noqa: PLR2004 - word and file
            changes = b"" if asked.log_keys is None else asked.log_keys.read_bytes()
            return _receipt(Path(asked.what[1]), follow_receipts(key, changes))
        if len(asked.what) == 1:
            return _export(Path(asked.what[0]), key, asked.json)
    except (OSError, LedgerError, UnicodeDecodeError) as error:
        return _refuse(error)
    return _refuse("expected EXPORT_DIR, or receipt FILE")


def _export(directory: Path, key: VerifierKey, report: Path | None) -> int:
    if not (directory / CHECKPOINT).is_file():
        return _refuse(f"{directory} holds no file {CHECKPOINT}, so it is not an export")
    found = verify_export(DirectorySource(directory), key)
    if report is not None:
        report.write_text(json.dumps(_json(found), indent=1) + "\n", "utf-8")
    _say(f"{_shown(found.origin)}, checkpoint of {found.tree_size} entries")
    _say(f"root {found.root.hex() or 'unknown'}")
    for check in found.checks:
        if check.examined:
            _say(f"{check.check:<12}{check.examined:>10} looked at{check.failed:>8} failed")
    for finding in found.findings[:SHOWN]:
        _say("FAILED " + _shown(str(finding)))
    if found.openings_withheld:
        _say("openings are withheld from this export, so none was checked")
    _say(NOT_SAID)
    if found.failed:
        _say(f"FAILED: {found.failed} of what was checked does not hold")
        return FAILED
    _say("every check listed here held")
    return 0


def _receipt(file: Path, key: KeyHistory) -> int:
    with file.open("rb") as source:
        data = source.read(RECEIPT_MAX + 1)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _refuse(f"{file} is not JSON: {error}")
    # The whole answer of POST /v1/predictions holds its receipt under this name.
    if isinstance(value, dict) and isinstance(value.get("receipt"), dict):
        value = value["receipt"]
    try:
        receipt = Receipt.from_json(value)
        verify_receipt(receipt, key)
    except LedgerError as error:
        _say("FAILED " + _shown(str(error)))
        return FAILED
    size, leaf = receipt.tree_size, receipt.leaf_index
    _say(f"entry {leaf} is in the tree of {size} entries that {key.name} signed")
    _say("Not checked: who may sign such an entry, and whether its claim is true.")
    return 0


def _text_of(key: str) -> str:
    """A key given as such, or as the file that holds it."""
    path = Path(key)
    if "+" in key or not path.is_file():
        return key
    with path.open("rb") as file:
        return file.read(KEY_MAX).decode()


def _json(found: LogFindings) -> dict[str, Any]:
    names = ("check", "leaf", "expected", "got", "subject")
    return {
        "origin": found.origin,
        "tree_size": found.tree_size,
        "root_hash": found.root.hex(),
        "checks": [
            {"check": c.check, "claim": c.claim, "examined": c.examined, "failed": c.failed}
            for c in found.checks
        ],
        "findings": [{name: getattr(f, name) for name in names} for f in found.findings],
    }


def _shown(text: str) -> str:
    """Text out of a log that may be hostile: no control character reaches the terminal."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:1000])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _refuse(reason: object) -> int:
    sys.stderr.write(f"could not check: {_shown(str(reason))}\n")
    return UNCHECKED
