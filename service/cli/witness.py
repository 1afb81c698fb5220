"""`assay witness`: a party of its own that watches logs grow and cosigns what it saw."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.witness import Witness

P = ParamSpec("P")

directory_option = click.option(
    "--data-dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("witness-data"),
    show_default=True,
    help="The witness's key and state, apart from any house.",
)


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Tell an expected error in one sentence; what the house's commands use imports the house."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from ledger.errors import LedgerError

        try:
            command(*args, **kwargs)
        except (LedgerError, OSError, sqlite3.Error) as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group()
def witness() -> None:
    """Watch other houses' logs grow, and cosign their checkpoints.

    Run it on a machine, and by people, that the house does not control.
    """


@witness.command(epilog="Example: assay witness init --name witness.example.org/w1")
@click.option("--name", required=True, help="What the witness is called in cosignatures.")
@directory_option
@told
def init(name: str, directory: Path) -> None:
    """Make a witness: a key and an empty state. Refuses a directory that holds one."""
    from ledger.witness import Witness
    from service.witness import wall_clock

    made = Witness.create(directory, name, wall_clock)
    click.echo(f"made {directory}")
    click.echo(f"verifier key    {made.vkey}")
    click.echo("Give it to the log's operator, clients and auditors, for their policy files:")
    click.echo(f"  witness w1 {made.vkey} https://THE_ADDRESS_IT_IS_SERVED_AT")
    click.echo("Next:")
    click.echo(f"  assay witness add-log LOG.vkey --data-dir {directory}")
    click.echo(f"  assay witness serve --data-dir {directory}")


@witness.command(
    "add-log",
    epilog="""\b
Examples:
  assay witness add-log house/log.vkey
  assay witness add-log log.vkey --log-keys export/log-keys.jsonl
""",
)
@click.argument("vkey")
@click.option("--origin", help="The log's origin where it is not the key's name.")
@click.option(
    "--log-keys",
    "changes",
    type=click.Path(exists=True, path_type=Path, dir_okay=False),
    help="`log-keys.jsonl` of an export: follow from VKEY, trusted already, to the keys since.",
)
@directory_option
@told
def add_log(vkey: str, origin: str | None, changes: Path | None, directory: Path) -> None:
    """Trust a log's verifier key, VKEY: a file, or the key itself. Several keys add up."""
    path = Path(vkey)
    text = path.read_text("utf-8") if path.is_file() else vkey
    if changes is not None:
        history = _open(directory).follow(text, changes.read_bytes())
        for key in history.keys:
            click.echo(f"known: {key}")
        return
    known = _open(directory).add_log(text, origin)
    click.echo(f"known: {known}; its first checkpoint will be believed as it is")


@witness.command(epilog="Example: assay witness serve --data-dir witness-data --port 8100")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8100, show_default=True, help="Port to listen on.")
@directory_option
@told
def serve(host: str, port: int, directory: Path) -> None:
    """Serve the witness until stopped."""
    from service.witness import serve as run

    _open(directory)
    click.echo(f"witness serves http://{host}:{port}/add-checkpoint from {directory}")
    run(directory, host, port)


@witness.command(epilog="Example: assay witness status --evidence")
@click.option("--evidence", is_flag=True, help="Print refused checkpoints in full.")
@directory_option
@told
def status(directory: Path, *, evidence: bool) -> None:
    """Say what was cosigned last for each log, and which checkpoints were refused."""
    opened = _open(directory)
    click.echo(f"verifier key    {opened.vkey}")
    for log in opened.logs():
        splits = sum(item.split for item in log.evidence)
        click.echo(f"{log.origin}")
        click.echo(f"  tree size     {log.held.size}")
        click.echo(f"  root          {log.held.root.hex() if log.held.note else 'none yet'}")
        click.echo(f"  two roots     {splits}")
        click.echo(f"  not proved    {len(log.evidence) - splits}")
        for item in log.evidence if evidence else ():
            click.echo(f"--- {item.reason}\nheld then:\n{item.held}\nrefused:\n{item.note}")


def _open(directory: Path) -> Witness:
    from ledger.witness import Witness
    from service.witness import wall_clock

    return Witness.open(directory, wall_clock)
