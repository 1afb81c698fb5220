"""Outcomes from a file: check every row, then record them; finish an interrupted upload."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from service.outcomes_upload import RowError


@click.group()
def outcomes() -> None:
    """Upload what happened, from a file."""


@outcomes.command(
    epilog="""\b
Examples:
  assay outcomes upload closes.csv --actor back-office --data-dir house
  assay outcomes upload defaults.parquet --check --actor me --data-dir house
"""
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--actor", required=True, help="Who reports them, as recorded.")
@click.option("--check", is_flag=True, help="Check every row, record nothing.")
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows that cannot be recorded are listed. [default: FILE.errors.csv]",
)
@data_dir_option
@told
def upload(
    *, file: Path, actor: str, check: bool, errors: Path | None, data_dir: Path | None
) -> None:
    """Record the outcomes of FILE, CSV or Parquet: every row is checked before any is recorded.

    Columns: prediction_id, value, observed_at, and perhaps revises and reason. With any error
    nothing is recorded and the rows at fault are listed. Interrupted, run it again: rows that the
    log holds already are skipped.
    """
    from service.outcomes_file import count_rows
    from service.outcomes_upload import UploadRefused, check_file
    from service.outcomes_upload import upload as run

    house = open_house(data_dir)
    rows, listed = count_rows(file), errors or file.with_name(file.name + ".errors.csv")
    with _bars() as bars, file.open("rb") as opened:
        checking = bars.add_task("checking", total=rows)
        recording = bars.add_task("recording", total=rows, visible=not check)
        try:
            if check:
                found = check_file(house, opened, lambda n: bars.advance(checking, n))
                if found.error_count:
                    raise UploadRefused(found)
            else:
                done = run(
                    house,
                    opened,
                    actor_id=actor,
                    checking=lambda n: bars.advance(checking, n),
                    recording=lambda n: bars.advance(recording, n),
                )
        except UploadRefused as error:
            bars.stop()
            _list(listed, error.checked.errors)
            raise click.ClickException(
                f"{error.detail}\nthe rows are listed in {listed}"
            ) from error
    if check:
        click.echo(
            f"{found.rows} rows: {found.new} new, {found.repeated} recorded before, 0 errors"
        )
        return
    place = f", leaves {done.first_leaf} to {done.last_leaf}" if done.recorded else ""
    click.echo(f"{done.rows} rows: {done.recorded} recorded{place}, {done.repeated} were before")


def _list(path: Path, errors: Sequence[RowError]) -> None:
    """One line for each row at fault; no values, which could be personal."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "prediction_id", "field", "message"])
        writer.writerows([e.line, e.prediction_id, e.field, e.message] for e in errors)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    return Progress(*columns, console=Console(stderr=True))
