"""`assay audit`: what an outsider runs, with no server of the house.

Exit 0: everything that was asked was checked and held. Exit 1: something failed; the leaf and the
check are named. Exit 2: something could not be checked. What exit 0 does not mean is printed with
it, and told in docs/auditing.md.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.auditing import Asked, Progress, audit_directory, audit_source
from service.cli.given import (
    EXIT_UNCHECKED,
    CouldNotCheck,
    appraisal_policy,
    kept_note,
    second_key,
    verifier_key,
    witness_policy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.layout import Source
    from service.auditor.honesty import HonestyReport
    from service.auditor.state import AuditState
    from service.cli.audit_parts import Workers
    from service.cli.auditing import Audit

__all__ = ["Progress", "audit_command", "audit_directory", "exit_status"]

EXIT_FAILED = 1


@click.command(
    "audit",
    epilog="""\b
Examples:
  assay audit house/export --key house/log.vkey
  assay audit https://log.example/export --key log.vkey --state audited.json
  assay audit house/export --key house/log.vkey --receipts desk/receipts
  assay audit house/export --key house/log.vkey --witness-policy witnesses.txt
  assay audit house/export --key house/log.vkey --json honesty.json --size 512
  assay audit house/export --key house/log.vkey --engine ray --workers 8 --work parts
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
@click.option(
    "--since",
    "since_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A checkpoint or receipt of this log seen before: the log must have grown from it.",
)
@click.option(
    "--witness-policy",
    "witness_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A C2SP tlog-policy file: its witnesses must have cosigned the checkpoint.",
)
@click.option("--mldsa-key", metavar="VKEY", help="Demand a signature of this ML-DSA-44 key too.")
@click.option("--no-replay", is_flag=True, help="Do not run the models again.")
@click.option(
    "--engine",
    type=click.Choice(["process", "ray"]),
    default="process",
    show_default=True,
    help="What runs the models again: this process, or Ray (the extra `ray`).",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="With --engine ray: how many. [default: cores]"
)
@click.option("--ray-address", help="With --engine ray: a running cluster; workers read EXPORT.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep finished parts of the replay here; after a stop the same command goes on.",
)
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
    since_file: Path | None,
    witness_file: Path | None,
    mldsa_key: str | None,
    json_file: Path | None,
    no_replay: bool,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    work: Path | None,
) -> None:
    """Check an export, a directory or an address, then run every recorded execution again.

    Every signature, leaf, tile, root, row tree, seal and sequence is recomputed; models are loaded
    by digest from the export. It says nothing on whether a model was right.
    """
    from service.cli.verdicts import print_report

    if size is not None and state_file is not None:
        raise CouldNotCheck("--size and --state: an older checkpoint is no audit to go on from")
    if size is not None and witness_file is not None:
        raise CouldNotCheck("--size and --witness-policy: witnesses are asked of the newest one")
    if engine == "ray" and "://" in export:
        raise CouldNotCheck("--engine ray reads a directory that every worker sees; download it")
    vkey = verifier_key(key)
    asked = Asked(
        policy=appraisal_policy(policy_file),
        size=size,
        replay=not no_replay,
        earlier=None if state_file is None else _state(state_file),
        full=full,
        receipts=receipts,
        since=None if since_file is None else kept_note("--since", since_file),
        witnesses=witness_policy(witness_file),
        second=second_key(mldsa_key),
        work=work,
    )
    for option, file in (("--json", json_file), ("--state", state_file)):
        if file is not None and not file.parent.is_dir():
            raise CouldNotCheck(f"{option}: {file.parent} is not a directory")
    if asked.earlier is not None and asked.reads_all and not full:
        click.echo(f"Reading the whole log: {asked.reads_all}.", err=True)
    with _workers(engine, workers, ray_address) as run:
        audit = _audited(export, vkey, replace(asked, workers=run))
    if json_file is not None:
        _write("--json", json_file, audit.report.to_bytes() + b"\n")
    print_report(audit.report)
    if state_file is not None:
        _keep(state_file, audit.state)
    context.exit(exit_status(audit.report))


@contextlib.contextmanager
def _workers(engine: str, count: int | None, address: str | None) -> Iterator[Workers | None]:
    """What runs parts of the replay; None for this process alone."""
    if engine != "ray":
        if count is not None or address is not None:
            raise CouldNotCheck("--workers and --ray-address belong to --engine ray")
        yield None
        return
    from service.cli.ray_engine import ray_workers

    with ray_workers(count or os.cpu_count() or 1, address) as run:
        yield run


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
