"""What a check is given on the command line: keys, policies, receipts, checkpoints seen before.

Each file is read once and bounded; one that cannot be used ends the command with one line, exit 2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from ledger.note import Checkpoint, KeyHistory
    from ledger.post_quantum import SecondKey
    from ledger.tlog_policy import TlogPolicy
    from service.verification.policy import Policy

EXIT_UNCHECKED: Final = 2
RECEIPT_MAX: Final = 4 << 20  # bytes; an entry has at most 64 KiB and a path 63 hashes


class CouldNotCheck(click.ClickException):
    """Nothing was found wrong and nothing was found right: one line, exit 2."""

    exit_code = EXIT_UNCHECKED


def verifier_key(text: str) -> str:
    """A verifier key given as such, or as the file that holds it."""
    from ledger.errors import KeyRefused
    from ledger.note import VerifierKey

    path = Path(text)
    try:
        found = path.read_text("utf-8") if path.is_file() else text
    except (OSError, UnicodeDecodeError) as error:
        raise CouldNotCheck(f"--key: {text} cannot be read: {error}") from error
    try:
        return str(VerifierKey.parse(found))
    except KeyRefused as error:
        hint = "" if path.is_file() else f"; there is no file {text} either"
        raise CouldNotCheck(f"--key: {error}{hint}") from error


def appraisal_policy(path: Path | None) -> Policy:
    """The policy executions are held against."""
    from service.verification.policy import DEFAULT_POLICY, PolicyError, load_policy

    if path is None:
        return DEFAULT_POLICY
    try:
        return load_policy(path)
    except OSError as error:
        raise CouldNotCheck(f"--policy: {path} cannot be read: {error.strerror}") from error
    except PolicyError as error:
        raise CouldNotCheck(f"--policy {path}: {error}") from error


def witness_policy(path: Path | None) -> TlogPolicy | None:
    """The witnesses a checkpoint must be cosigned by."""
    from ledger.errors import TlogPolicyError
    from ledger.tlog_policy import load_policy

    if path is None:
        return None
    try:
        return load_policy(path)
    except OSError as error:
        told = f"--witness-policy: {path} cannot be read: {error.strerror}"
        raise CouldNotCheck(told) from error
    except TlogPolicyError as error:
        raise CouldNotCheck(f"--witness-policy {path}: {error}") from error


def log_keys(vkey: str, path: Path | None) -> KeyHistory:
    """All keys of a log from one of them, by the file `log-keys.jsonl` of one of its exports."""
    from ledger.errors import LedgerError
    from ledger.log_keys import LOG_KEYS_MAX
    from ledger.note import KeyHistory
    from ledger.receipt import follow_receipts

    if path is None:
        return KeyHistory.of(vkey)
    try:
        with path.open("rb") as file:
            return follow_receipts(vkey, file.read(LOG_KEYS_MAX))
    except OSError as error:
        raise CouldNotCheck(f"--log-keys: {path} cannot be read: {error.strerror}") from error
    except LedgerError as error:
        raise CouldNotCheck(f"--log-keys: {path}: {error}") from error


def second_key(text: str | None) -> SecondKey | None:
    """A verifier key for ML-DSA-44 signatures, given as such or as the file that holds it."""
    from ledger.errors import KeyRefused
    from ledger.post_quantum import SecondKey

    if text is None:
        return None
    try:
        return SecondKey.parse(Path(text).read_text("utf-8") if "+" not in text else text)
    except OSError as error:
        raise CouldNotCheck(f"--mldsa-key: {text} cannot be read: {error.strerror}") from error
    except (KeyRefused, UnicodeDecodeError) as error:
        raise CouldNotCheck(f"--mldsa-key: {error}") from error


def seen_before(option: str, path: Path, keys: KeyHistory) -> tuple[str, Checkpoint]:
    """A checkpoint kept from before, as note and opened."""
    from ledger.errors import LedgerError
    from ledger.note import open_checkpoint

    note = kept_note(option, path)
    try:
        return note, open_checkpoint(note, keys)
    except LedgerError as error:
        raise CouldNotCheck(f"{option}: {path}: {error}") from error


def kept_note(option: str, path: Path) -> str:
    """A checkpoint kept from before, unopened: a signed note, or that of a receipt."""
    from ledger.errors import LedgerError
    from ledger.receipt import Receipt

    try:
        with path.open("rb") as file:
            data = file.read(RECEIPT_MAX + 1)
        note = data.decode()
        if note.lstrip().startswith("{"):
            return Receipt.from_json(receipt_json(str(path), data)).checkpoint
    except OSError as error:
        raise CouldNotCheck(f"{option}: {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, LedgerError) as error:
        raise CouldNotCheck(f"{option}: {path}: {error}") from error
    return note


def receipt_json(name: str, data: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The receipt in a file's bytes, by itself or in a whole answer of the API."""
    if len(data) > RECEIPT_MAX:
        raise CouldNotCheck(f"{name} is longer than {RECEIPT_MAX} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CouldNotCheck(f"{name} is not JSON: {error}") from error
    # The whole answer of POST /v1/predictions holds its receipt under this name.
    if isinstance(value, dict) and isinstance(value.get("receipt"), dict):
        return value["receipt"]
    return value


def consistency_proof(path: Path) -> tuple[int, int, list[bytes]]:
    """An answer of GET /v1/ledger/proof/consistency: both sizes and the hashes."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(RECEIPT_MAX))
        return int(value["first"]), int(value["second"]), [bytes.fromhex(n) for n in value["path"]]
    except OSError as error:
        raise CouldNotCheck(f"--proof: {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CouldNotCheck(f"--proof: {path} is no consistency proof: {error!r}") from error
