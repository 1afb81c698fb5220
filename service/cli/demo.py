"""`assay demo`: the main job on real data, told as it happens."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import told

if TYPE_CHECKING:
    from types import FrameType


@click.command(
    epilog="""\b
Examples:
  assay demo                        then look at the dashboards; stop with Ctrl-C
  assay demo --once                 exit when everything was shown
  assay demo --data-dir /tmp/assay --port 8080
"""
)
@click.option("--once", is_flag=True, help="Exit at the end instead of serving the dashboards.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="Where everything goes. An earlier demo there is replaced.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free port]")
@told
def demo(data_dir: Path, port: int, *, once: bool) -> None:
    """Run the main job on real data, then serve the dashboards.

    A real server decides on S&P 500 days of 2007 to 2009 and on credit accounts; outcomes are
    reported as they mature; the log is exported and audited offline; both reports are shown side
    by side, with a rogue operator's beside them; and one flipped byte is found.
    """
    from service.demo import main

    signal.signal(signal.SIGTERM, _interrupt)
    holds = main.run(data_dir.resolve(), port, stay=None if once else _until_interrupted)
    if not holds:
        raise click.exceptions.Exit(1)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _until_interrupted() -> None:
    """Wait without polling."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nstopping")
