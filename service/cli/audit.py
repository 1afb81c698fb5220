"""`assay audit` and `assay verify-receipt`: what an outsider runs, with no server and no network.

The one place where the auditor meets the model runtime: a model is loaded from the export by the
digest the log names, after its bytes were hashed, and handed to replay as a plain callable.

Exit 0: everything that was asked was checked and held. Exit 1: something failed; the leaf and the
check are named. Exit 2: something could not be checked. What exit 0 does not mean is printed with
it, and told in docs/auditing.md.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.auditor.bundle import Bundle
    from service.auditor.honesty import HonestyReport
    from service.auditor.replay import Load, Rerun
    from service.verification.policy import Policy

EXIT_FAILED = 1
EXIT_UNCHECKED = 2
RECEIPT_MAX = 4 << 20  # bytes; an entry has at most 64 KiB and a path 63 hashes


class CouldNotCheck(click.ClickException):
    """Nothing was found wrong and nothing was found right: one line, exit 2."""

    exit_code = EXIT_UNCHECKED


@dataclass(frozen=True, slots=True)
class Progress:
    """Told how far each step is: done and total."""

    log: Callable[[int, int], None] | None = None
    replay: Callable[[int, int], None] | None = None


def audit_directory(
    directory: Path,
    vkey: str,
    *,
    policy: Policy | None = None,
    size: int | None = None,
    replay: bool = True,
    progress: Progress | None = None,
) -> HonestyReport:
    """Check the export in a directory; at an older checkpoint of its own when `size` is given.

    A pure function of the export up to that checkpoint, the policy and the key. Raises LedgerError,
    NoSuchCheckpoint or OSError when there is nothing that can be checked.
    """
    from ledger.note import VerifierKey
    from ledger.verify import DirectorySource, verify_export
    from service.auditor import honesty
    from service.auditor.bundle import read_bundle
    from service.auditor.prefix import PrefixSource
    from service.auditor.replay import replay_bundle
    from service.auditor.verify import verify_bundle
    from service.verification.policy import DEFAULT_POLICY

    told = progress or Progress()
    rules = policy or DEFAULT_POLICY
    source = DirectorySource(directory)
    view = source if size is None else PrefixSource(source, size)
    key = VerifierKey.parse(vkey)
    log = verify_export(view, key, progress=told.log)
    bundle = read_bundle(view, log)
    findings = verify_bundle(bundle, rules)
    replayed = None
    if replay:
        replayed = replay_bundle(
            bundle, _loader(bundle), policy=rules, progress=_counted(told.replay, bundle.row_count)
        )
    return honesty.build(
        log,
        findings,
        replayed,
        log_key=str(key),
        policy_digest=rules.digest,
        published_as=bundle.published_as,
    )


def _loader(bundle: Bundle) -> Load:
    """Loads a model out of the export: the manifest under its digest, then each artifact."""
    from service.auditor.replay import ModelRefused, ModelUnavailable

    def read_blob(digest: str) -> bytes:
        data = bundle.blob(digest)
        if data is None:
            raise ModelUnavailable(f"{digest} is not in the export")
        return data

    def load(digest: str) -> Rerun:
        from models import runtime
        from models.errors import ModelError
        from models.hub.manifest import Manifest

        data = read_blob(digest)
        try:
            manifest = Manifest.parse(data)
            if manifest.digest != digest:
                raise ModelRefused(f"manifest: its bytes have digest {manifest.digest}")
            return runtime.load(manifest, read_blob).rerun
        except ModelError as error:
            raise ModelRefused(str(error)) from error

    return load


def _counted(report: Callable[[int, int], None] | None, total: int) -> Callable[[int], None] | None:
    if report is None:
        return None
    done = 0

    def settled(rows: int) -> None:
        nonlocal done
        done += rows
        report(done, total)

    return settled


@click.command(
    "audit",
    epilog="""\b
Examples:
  assay audit house/export --key house/log.vkey
  assay audit house/export --key house/log.vkey --json honesty.json
  assay audit house/export --key house/log.vkey --size 512
  assay audit house/export --key 'example.org/log+1a2b3c4d+AZ...' --policy house-policy.json

\b
Exit status:
  0  everything asked was checked and held
  1  something failed: the leaf and the check are named
  2  something could not be checked
""",
)
@click.argument("export_dir", type=click.Path(path_type=Path))
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
    export_dir: Path,
    *,
    key: str,
    policy_file: Path | None,
    size: int | None,
    json_file: Path | None,
    no_replay: bool,
) -> None:
    """Check an export offline, then run every recorded execution again.

    Every signature, leaf, tile, root, row tree, seal and sequence is recomputed; models are loaded
    by digest from the export. It says nothing on whether a model was right.
    """
    from ledger.errors import LedgerError
    from service.auditor.prefix import NoSuchCheckpoint
    from service.cli.verdicts import print_report

    vkey = _verifier_key(key)
    policy = _policy(policy_file)
    if not export_dir.is_dir():
        raise CouldNotCheck(f"{export_dir} is not a directory; unpack the export first")
    if not (export_dir / "checkpoint").is_file():
        raise CouldNotCheck(f"{export_dir} holds no file `checkpoint`, so it is not an export")
    if json_file is not None and not json_file.parent.is_dir():
        raise CouldNotCheck(f"--json: {json_file.parent} is not a directory")
    try:
        with _bars() as progress:
            report = audit_directory(
                export_dir, vkey, policy=policy, size=size, replay=not no_replay, progress=progress
            )
    except (LedgerError, NoSuchCheckpoint, OSError) as error:
        raise CouldNotCheck(f"{export_dir}: {error}") from error
    if json_file is not None:
        _write(json_file, report.to_bytes())
    print_report(report)
    context.exit(exit_status(report))


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


def _policy(path: Path | None) -> Policy | None:
    from service.verification.policy import PolicyError, load_policy

    if path is None:
        return None
    try:
        return load_policy(path)
    except OSError as error:
        raise CouldNotCheck(f"--policy: {path} cannot be read: {error.strerror}") from error
    except PolicyError as error:
        raise CouldNotCheck(f"--policy {path}: {error}") from error


def _write(path: Path, data: bytes) -> None:
    """The whole report or none of it."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data + b"\n")
        os.replace(temporary, path)  # noqa: PTH105 - atomic, and named so
    except OSError as error:
        raise CouldNotCheck(f"--json: {path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    """Two progress bars on stderr, which go away when they are full."""
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
        yield Progress(
            log=lambda done, total: bars.update(log, completed=done, total=total),
            replay=lambda done, total: bars.update(
                replay, completed=done, total=total, visible=True
            ),
        )
