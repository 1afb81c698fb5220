"""The log as a book: seal a period, write the export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told
from service.clock import utc_ms

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def ledger() -> None:
    """Seal and export the log."""


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


@ledger.command(epilog="Example: assay ledger export --data-dir house")
@data_dir_option
@told
def export(data_dir: Path | None) -> None:
    """Write the static export to DATA_DIR/export: what an auditor needs, openings included."""
    from rich.progress import Progress

    from service.exporting import export_house

    house = open_house(data_dir)
    target = house.settings.data_dir / "export"
    with Progress(transient=True) as bar:
        task = bar.add_task("export", total=None)
        export_house(
            house, target, lambda done, total: bar.update(task, completed=done, total=total)
        )
    click.echo(f"{house.ledger.size} entries in {target}; check them with:")
    click.echo(f"  assay audit {target} --key {house.settings.data_dir / 'log.vkey'}")
