"""`assay audit` and `assay verify-receipt`: what an outsider runs, with no server of the house.

Exit 0: everything that was asked was checked and held. Exit 1: something failed; the leaf and the
check are named. Exit 2: something could not be checked. What exit 0 does not mean is printed with
it, and told in docs/auditing.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.auditing import Asked, Progress, audit_directory, audit_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.layout import Source
    from service.auditor.honesty import HonestyReport
    from service.auditor.state import AuditState
    from service.cli.auditing import Audit
    from service.verification.policy import Policy

__all__ = ["Progress", "audit_command", "audit_directory", "exit_status", "verify_receipt_command"]

EXIT_FAILED = 1
EXIT_UNCHECKED = 2
RECEIPT_MAX = 4 << 20  # bytes; an entry has at most 64 KiB and a path 63 hashes


class CouldNotCheck(click.ClickException):
    """Nothing was found wrong and nothing was found right: one line, exit 2."""

    exit_code = EXIT_UNCHECKED


@click.command(
    "audit",
    epilog="""\b
Examples:
  assay audit house/export --key house/log.vkey
  assay audit https://log.example/export --key log.vkey --state audited.json
  assay audit house/export --key house/log.vkey --receipts desk/receipts
  assay audit house/export --key house/log.vkey --json honesty.json --size 512
  assay audit house/export --key 'example.org/log+1a2b3c4d+AZ...' --policy house-policy.json

\b
Exit status:
  0  everything asked was checked and held
  1  something failed: the leaf and the check are named
  2  something could not be checked
""",
)
@click.argument("export")
@click.option(
    "--key",
    "key",
    required=True,
    metavar="VKEY",
    help="The log's verifier key: a file, or the key itself. Get it apart from the export.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    help="The appraisal policy to hold executions against. Default: the release's own.",
)
@click.option(
    "--size", type=click.IntRange(min=1), help="Audit as of an older checkpoint of this tree size."
)
@click.option(
    "--state",
    "state_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Go on from the audit kept in this file, and keep this one there when all of it held.",
)
@click.option("--full", is_flag=True, help="With --state: read the whole log all the same.")
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, exists=True),
    help="Receipts that were kept (.json, .jsonl; a directory or file): each must be in the log.",
)
@click.option("--no-replay", is_flag=True, help="Do not run the models again.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the honesty report here, in canonical JSON, whatever it says.",
)
@click.pass_context
def audit_command(
    context: click.Context,
    export: str,
    *,
    key: str,
    policy_file: Path | None,
    size: int | None,
    state_file: Path | None,
    full: bool,
    receipts: Path | None,
    json_file: Path | None,
    no_replay: bool,
) -> None:
    """Check an export, a directory or an address, then run every recorded execution again.

    Every signature, leaf, tile, root, row tree, seal and sequence is recomputed; models are loaded
    by digest from the export. It says nothing on whether a model was right.
    """
    from service.cli.verdicts import print_report

    if size is not None and state_file is not None:
        raise CouldNotCheck("--size and --state: an older checkpoint is no audit to go on from")
    vkey = _verifier_key(key)
    asked = Asked(
        policy=_policy(policy_file),
        size=size,
        replay=not no_replay,
        earlier=None if state_file is None else _state(state_file),
        full=full,
        receipts=receipts,
    )
    for option, file in (("--json", json_file), ("--state", state_file)):
        if file is not None and not file.parent.is_dir():
            raise CouldNotCheck(f"{option}: {file.parent} is not a directory")
    if asked.earlier is not None and asked.reads_all and not full:
        click.echo(f"Reading the whole log: {asked.reads_all}.", err=True)
    audit = _audited(export, vkey, asked)
    if json_file is not None:
        _write("--json", json_file, audit.report.to_bytes() + b"\n")
    print_report(audit.report)
    if state_file is not None:
        _keep(state_file, audit.state)
    context.exit(exit_status(audit.report))


def _audited(export: str, vkey: str, asked: Asked) -> Audit:
    """Run the audit; whatever keeps it from being run is told in one line."""
    from ledger.errors import LedgerError
    from service.auditor.prefix import NoSuchCheckpoint
    from service.auditor.state import StateRefused

    try:
        with _source(export) as source, _bars() as progress:
            return audit_source(source, vkey, asked, progress=progress)
    except StateRefused as error:
        raise CouldNotCheck(f"--state: {error}") from error
    except (LedgerError, NoSuchCheckpoint, OSError) as error:
        raise CouldNotCheck(f"{export}: {error}") from error


@contextlib.contextmanager
def _source(export: str) -> Iterator[Source]:
    """The export in a directory, or below an address; of that a copy is kept until the end."""
    from ledger.layout import DirectorySource

    if "://" in export:
        with _web(export) as source:
            yield source
        return
    directory = Path(export)
    if not directory.is_dir():
        raise CouldNotCheck(f"{directory} is not a directory; unpack the export first")
    if not (directory / "checkpoint").is_file():
        raise CouldNotCheck(f"{directory} holds no file `checkpoint`, so it is not an export")
    yield DirectorySource(directory)


@contextlib.contextmanager
def _web(address: str) -> Iterator[Source]:
    from service.auditor.web import ExportMoved, Unreachable, WebSource

    try:
        with (
            tempfile.TemporaryDirectory(prefix="assay-audit-") as spool,
            contextlib.closing(WebSource(address, Path(spool))) as source,
        ):
            yield source
    except (Unreachable, ExportMoved) as error:
        raise CouldNotCheck(str(error)) from error


def _state(path: Path) -> AuditState | None:
    """The audit that was kept; None where there is none yet."""
    from service.auditor.state import STATE_MAX, AuditState, StateRefused

    try:
        with path.open("rb") as file:
            return AuditState.parse(file.read(STATE_MAX))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CouldNotCheck(f"--state: {path} cannot be read: {error.strerror}") from error
    except StateRefused as error:
        raise CouldNotCheck(f"--state: {path} is no kept audit: {error}") from error


def _keep(path: Path, state: AuditState | None) -> None:
    if state is None:
        click.echo(f"{path} is left as it was: not everything was checked and held.", err=True)
        return
    _write("--state", path, state.to_bytes())
    click.echo(f"kept in {path}: {state.carried.size:,} entries are audited.", err=True)


def exit_status(report: HonestyReport) -> int:
    """1 by any failure; else 2 when something asked for was left; else 0."""
    if report.failed:
        return EXIT_FAILED
    return EXIT_UNCHECKED if report.unchecked else 0


@click.command(
    "verify-receipt",
    epilog="""\b
Examples:
  assay verify-receipt receipt.json --key log.vkey
  curl -s $ASSAY_URL/v1/predictions/17/receipt | assay verify-receipt - --key log.vkey
""",
)
@click.argument("receipt_file", type=click.File("rb", lazy=True))
@click.option("--key", required=True, metavar="VKEY", help="The log's verifier key, or its file.")
@click.pass_context
def verify_receipt_command(context: click.Context, receipt_file: Any, key: str) -> None:  # noqa: ANN401 - click's lazy file
    """Check one receipt offline: the entry is in the log that signed the checkpoint.

    It does not say that the entry's signer might sign it, or that the model computed it: an audit
    of the export does.
    """
    from ledger.errors import LedgerError
    from ledger.receipt import Receipt, verify_receipt
    from service.cli.verdicts import print_receipt

    vkey = _verifier_key(key)
    try:
        data = receipt_file.read(RECEIPT_MAX + 1)
    except OSError as error:
        raise CouldNotCheck(f"{receipt_file.name} cannot be read: {error.strerror}") from error
    if len(data) > RECEIPT_MAX:
        raise CouldNotCheck(f"{receipt_file.name} is longer than {RECEIPT_MAX} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CouldNotCheck(f"{receipt_file.name} is not JSON: {error}") from error
    # The whole answer of POST /v1/predictions holds its receipt under this name.
    if isinstance(value, dict) and isinstance(value.get("receipt"), dict):
        value = value["receipt"]
    try:
        receipt = Receipt.from_json(value)
        verify_receipt(receipt, vkey)
    except LedgerError as error:
        click.echo(f"FAILED  {error}", err=True)
        context.exit(EXIT_FAILED)
    print_receipt(receipt)


def _verifier_key(text: str) -> str:
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


def _policy(path: Path | None) -> Policy:
    from service.verification.policy import DEFAULT_POLICY, PolicyError, load_policy

    if path is None:
        return DEFAULT_POLICY
    try:
        return load_policy(path)
    except OSError as error:
        raise CouldNotCheck(f"--policy: {path} cannot be read: {error.strerror}") from error
    except PolicyError as error:
        raise CouldNotCheck(f"--policy {path}: {error}") from error


def _write(option: str, path: Path, data: bytes) -> None:
    """The whole file or none of it."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)  # noqa: PTH105 - atomic, and named so
    except OSError as error:
        raise CouldNotCheck(f"{option}: {path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    """Progress bars on stderr, which go away when they are full."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        log = bars.add_task("Checking the log", total=None)
        replay = bars.add_task("Running models again", total=None, visible=False)
        receipts = bars.add_task("Looking up receipts", total=None, visible=False)
        yield Progress(
            log=lambda done, total: bars.update(log, completed=done, total=total),
            replay=lambda done, total: bars.update(
                replay, completed=done, total=total, visible=True
            ),
            receipts=lambda done: bars.update(receipts, completed=done, visible=True),
        )
