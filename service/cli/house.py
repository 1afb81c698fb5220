"""Make a house, serve it, run its scheduler, say what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, settings_for, told

if TYPE_CHECKING:
    from pathlib import Path


@click.command(epilog="Example: assay init --data-dir house --origin bank.example/decisions")
@data_dir_option
@click.option("--origin", help="The log's name: first line of every checkpoint, never changed.")
@told
def init(data_dir: Path | None, origin: str | None) -> None:
    """Make keys, database and ledger. Refuses a directory that already holds a house."""
    from service.assembly import initialise

    house = initialise(settings_for(data_dir, origin=origin))
    directory = house.settings.data_dir
    click.echo(f"made {directory}: {house.ledger.size} entries introduce the house's keys")
    click.echo(f"origin          {house.ledger.origin}")
    click.echo(f"verifier key    {house.ledger.vkey}")
    click.echo("Give the verifier key to your auditors by another way than this machine.")
    click.echo("Next:")
    click.echo(f"  assay models publish-reference --data-dir {directory}")
    click.echo(f"  assay api-keys issue desk-1 --scope trader --data-dir {directory}")
    click.echo(f"  assay serve --data-dir {directory}")


@click.command(epilog="Example: assay migrate --data-dir house")
@data_dir_option
@told
def migrate(data_dir: Path | None) -> None:
    """Bring a house's database to this release's schema. Stop its processes, back it up first."""
    from ledger.store import check_exists, open_engine
    from service.schema import migrate as run

    engine = open_engine(settings_for(data_dir).url)
    try:
        check_exists(engine)
        before, now = run(engine)
    finally:
        engine.dispose()
    click.echo(f"the schema is at {now}" + ("" if before == now else f"; it was at {before}"))


@click.command(epilog="Example: assay serve --data-dir house --port 8080 --workers 2")
@data_dir_option
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on. [default: 8000]")
@click.option("--workers", type=int, help="Processes on this ledger. [default: 1]")
@told
def serve(data_dir: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the API and the dashboards until stopped."""
    from service.server import serve as run

    run(settings_for(data_dir, host=host, port=port, workers=workers), click.echo)


JOBS = ["seal", "drift", "correctness", "comparison", "honesty", "cosign", "deliver", "shadow"]


@click.command(epilog="Example: assay scheduler --data-dir house --once drift --once correctness")
@data_dir_option
@click.option(
    "--once",
    "jobs",
    multiple=True,
    type=click.Choice(JOBS),
    help="Run this job now and exit; may be repeated.",
)
@told
def scheduler(data_dir: Path | None, jobs: tuple[str, ...]) -> None:
    """Run cosigning, the daily seal, evaluations, reports and drift, in a process of their own."""
    from service.jobs import run_once, run_scheduler

    house = open_house(data_dir)
    if jobs:
        for line in run_once(house, jobs):
            click.echo(line or "nothing to do")
        return
    run_scheduler(house)


@click.command(epilog="Example: assay status --data-dir house")
@data_dir_option
@told
def status(data_dir: Path | None) -> None:
    """Say what is in a house: the log, its newest checkpoint, the models in production."""
    house = open_house(data_dir)
    click.echo(f"origin         {house.ledger.origin}")
    click.echo(f"verifier key   {house.ledger.vkey}")
    click.echo(f"tree size      {house.ledger.size}")
    if house.cosigning is not None:
        found = house.cosigning.witnessed() if house.cosigning.policy_asks else None
        told = f"up to {found[0].size} entries" if found else "nothing yet, by this policy"
        click.echo(f"witnessed      {told}")
    for kind, count in sorted(house.ledger.counts().items()):
        click.echo(f"  {kind:<18} {count}")
    models = house.inventory.catalog(fresh=True).models()
    if not models:
        click.echo(
            "no models yet; publish the reference models: assay models publish-reference "
            f"--data-dir {house.settings.data_dir}"
        )
    for model in models:
        aliases = ", ".join(f"{alias} {digest[:19]}" for alias, digest in model.aliases.items())
        click.echo(f"model          {model.name} ({model.status}) {aliases}")
