"""The log as a book: seal a period, write the export."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told
from service.clock import utc_ms

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def ledger() -> None:
    """Seal, export and check the log."""


@ledger.command(epilog="Example: assay ledger seal 2026-11-24 --data-dir house")
@click.argument("period", required=False)
@click.option("--actor", default="cli", show_default=True, help="Who does it, as recorded.")
@data_dir_option
@told
def seal(period: str | None, actor: str, data_dir: Path | None) -> None:
    """Record one root over everything since the last seal. PERIOD is its label, today if absent."""
    from service.sealing import seal as make_seal

    house = open_house(data_dir)
    done = make_seal(house, period=period or utc_ms(house.clock())[:10], actor_id=actor)
    click.echo(f"sealed at leaf {done.index}")


@ledger.command(
    epilog="""\b
Examples:
  assay ledger export --data-dir house
  assay ledger export s3://bucket/log --data-dir house
"""
)
@click.argument("destination", required=False)
@click.option(
    "--openings/--withhold-openings",
    default=None,
    help="Whether recorded inputs and outputs go along. [default: to a directory yes, else no]",
)
@data_dir_option
@told
def export(destination: str | None, data_dir: Path | None, *, openings: bool | None) -> None:
    """Write the static export: what an auditor needs, served by any web server.

    DESTINATION is a directory or an fsspec URL (s3://, gs://, sftp://); DATA_DIR/export if absent.
    Files already there are left alone; the checkpoint is written last.
    """
    from rich.progress import Progress

    from ledger.publishing import open_destination
    from service.exporting import export_house

    house = open_house(data_dir)
    place = destination or str(house.settings.data_dir / "export")
    target = open_destination(place)
    shown = isinstance(target, PurePath) if openings is None else openings
    with Progress(transient=True) as bar:
        task = bar.add_task("export", total=None)
        export_house(
            house,
            target,
            lambda done, total: bar.update(task, completed=done, total=total),
            openings=shown,
        )
    told = "openings included" if shown else "openings withheld"
    click.echo(f"{house.ledger.size} entries in {place}, {told}; check them with:")
    where = place if isinstance(target, PurePath) else "THE_ADDRESS_IT_IS_SERVED_AT"
    click.echo(f"  assay audit {where} --key {house.settings.data_dir / 'log.vkey'}")


@ledger.command(
    epilog="""\b
Example: assay ledger fsck --data-dir house
Exit status: 0 nothing differs; 1 something does, and is named. Nothing is repaired.
"""
)
@data_dir_option
@told
def fsck(data_dir: Path | None) -> None:
    """Check the stored log from its bytes: what an audit checks, and every table beside it."""
    from rich.progress import Progress

    from ledger.fsck import fsck as check
    from service.exporting import referenced_blobs

    house = open_house(data_dir)
    with Progress(transient=True) as bar:
        task = bar.add_task("check", total=None)
        found = check(
            house.ledger,
            house.engine,
            vault=house.vault,
            blobs=(referenced_blobs(house), house.blobs.get),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for finding in found:
        click.echo(str(finding))
    if found:
        raise click.ClickException(
            f"{len(found)} differences; compare with an export an auditor keeps"
        )
    click.echo(f"{house.ledger.size} entries: nothing differs from what was signed")
