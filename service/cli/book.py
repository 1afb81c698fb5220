"""The log as a book: seal a period, write the export, check it; anchor it, recover it."""

from __future__ import annotations

from pathlib import Path, PurePath

import click

from service.cli.common import data_dir_option, open_house, settings_for, told
from service.clock import utc_ms


@click.group()
def ledger() -> None:
    """Seal, export, check, anchor and recover the log."""


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
            witnesses=[w.key for w in house.cosigning.policy.witnesses] if house.cosigning else (),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for finding in found:
        click.echo(str(finding))
    if found:
        raise click.ClickException(
            f"{len(found)} differences; compare with an export an auditor keeps"
        )
    click.echo(f"{house.ledger.size} entries: nothing differs from what was signed")


@ledger.command(
    epilog="""\b
Examples:
  assay ledger anchor --data-dir house
  assay ledger anchor --create --against export/checkpoint --data-dir house
  assay ledger anchor --create --reason "disk 2 lost, size agreed with witnesses" --data-dir house
"""
)
@click.option("--create", is_flag=True, help="Make one at the newest checkpoint. Never replaces.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere; refused unless the log begins with it.",
)
@click.option("--reason", help="Why without one, as the anchor keeps it.")
@data_dir_option
@told
def anchor(
    against: Path | None, reason: str | None, data_dir: Path | None, *, create: bool
) -> None:
    """Show where the anchor stands; or make one for a house that has none, with --create.

    Without an anchor nobody notices a restored backup, so before you make one be sure that nothing
    is missing: compare with the largest checkpoint that anybody has.
    """
    from service.recovering import create_anchor, read_anchor

    settings = settings_for(data_dir)
    if create:
        create_anchor(settings, against=against, reason=reason)
    elif against is not None or reason is not None:
        raise click.UsageError("--against and --reason go with --create")
    standing = read_anchor(settings)
    click.echo(f"anchor      {settings.anchor_path}")
    click.echo(f"size        {standing.size}")
    click.echo(f"root        {standing.root.hex()}")
    click.echo(f"made at     {standing.since} entries: {standing.reason}")


@ledger.command(epilog="Example: assay ledger recover kept/export --data-dir house")
@click.argument("export_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_dir_option
@told
def recover(export_dir: Path, data_dir: Path | None) -> None:
    """Bring back what a rolled-back or empty database lacks, from an export with openings.

    The export is checked in full and must continue the database; it is refused on any difference,
    and nothing is edited. Stop server and scheduler first. Afterwards the log is checked from its
    bytes and the anchor is moved.
    """
    from rich.progress import Progress

    from service.recovering import recover as run

    settings = settings_for(data_dir)
    with Progress(transient=True) as bar:
        task = bar.add_task("check", total=None)
        done = run(
            settings, export_dir, lambda at, total: bar.update(task, completed=at, total=total)
        )
    click.echo(f"{done.size - done.before} entries brought back, after {done.before}")
    click.echo(f"{done.size} entries: nothing differs from what was signed")
    if done.anchored:
        click.echo(f"the anchor stands at {done.size}")
    else:
        click.echo("There is no anchor. When nobody has a larger checkpoint than this, make one:")
        click.echo(
            f"  assay ledger anchor --create --against {export_dir / 'checkpoint'} "
            f"--data-dir {settings.data_dir}"
        )
