"""`assay score`: an end-of-day book through a model, recorded chunk by chunk, resumable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from service.scoring import Scored

CALLER = "score"  # stands where a caller's key id would: the command has no API key


def _plain(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[A-Za-z0-9_.:-]{1,64}", value):
        raise click.BadParameter("expected 1 to 64 letters, digits or _ . : -")
    return value


@click.command(
    epilog="""\b
Examples:
  assay score book.parquet --model credit-default --data-dir house
  assay score book.parquet --model credit-default@champion --as-of 2026-11-24 --out scored.parquet
  assay audit house/export --key house/log.vkey --receipts book.scored.parquet.receipts

\b
A run that was killed goes on where it ended: give the same command again. No row is decided twice.
""",
)
@click.argument("book", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Name, name@alias or digest.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The output. [default: BOOK with .scored before .parquet]",
)
@click.option("--as-of", help="The instant the rows describe, such as 2026-11-24.")
@click.option(
    "--subject",
    callback=_plain,
    help="Pseudonym all rows are kept under. [default: a random one]",
)
@click.option(
    "--chunk-rows",
    type=click.IntRange(1, 65_536),
    default=8192,
    show_default=True,
    help="Rows in one entry of the log.",
)
@click.option("--actor", default="cli", show_default=True, help="Who does it, as recorded.")
@data_dir_option
@told
def score(
    book: Path,
    *,
    model: str,
    out: Path | None,
    as_of: str | None,
    subject: str | None,
    chunk_rows: int,
    actor: str,
    data_dir: Path | None,
) -> None:
    """Decide every row of a Parquet BOOK; write decisions, prediction ids and receipts.

    The book needs a column of numbers for each input of the model; other columns are copied to the
    output. Every row is checked before anything is recorded.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from service.auth import Identity, Scope
    from service.scoring import score_book

    house = open_house(data_dir)
    output = out or book.with_name(f"{book.name.removesuffix('.parquet')}.scored.parquet")
    caller = Identity(key_id=CALLER, actor_id=actor, scopes=frozenset({Scope.TRADER}))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        tasks: dict[str, int] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)  # type: ignore[arg-type] # rich's own TaskID

        done = score_book(
            house,
            book,
            output,
            model=model,
            caller=caller,
            as_of=None if as_of is None else _moment(as_of),
            subject=subject,
            chunk_rows=chunk_rows,
            progress=progress,
        )
    _tell(done, output)


def _moment(text: str) -> str:
    from service.clock import DATE, parse_utc, utc_ms

    try:
        moment = parse_utc(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    return text if DATE.fullmatch(text) else utc_ms(moment)


def _tell(done: Scored, output: Path) -> None:
    first, last = done.leaves
    click.echo(f"{done.rows} rows in {done.chunks} entries, leaves {first} to {last}")
    if done.resumed:
        click.echo(f"{done.resumed} of them were there from a run before")
    for decision, count in sorted(done.decisions.items()):
        click.echo(f"  {decision}: {count}")
    click.echo(f"decisions in {output}, receipts in {done.receipts}")
