"""Issue the two reports. They are two commands on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from service.assembly import Assembly

actor_option = click.option("--actor", default="cli", show_default=True, help="Who asks for it.")


recompute_option = click.option(
    "--recompute", is_flag=True, help="Evaluate its range of the log again; compare."
)
export_option = click.option(
    "--export",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Recompute from an export; no house and no database are needed.",
)


@click.group()
def report() -> None:
    """Issue and read the two reports."""


@report.command(epilog="Example: assay report honesty --data-dir house > honesty.json")
@actor_option
@data_dir_option
@told
def honesty(actor: str, data_dir: Path | None) -> None:
    """Computed honestly? Says nothing on whether a model was right."""
    from service.honesty import issue_honesty

    house = open_house(data_dir)
    click.echo(json.dumps(_report(house, issue_honesty(house, actor_id=actor).index), indent=2))


@report.command(
    epilog="""\b
Examples:
  assay report correctness --data-dir house > correctness.json
  assay report correctness --leaf 4711 --recompute --data-dir house
  assay report correctness --leaf 4711 --recompute --export house/export
"""
)
@click.option("--leaf", type=click.IntRange(min=0), help="A recorded report instead of a new one.")
@recompute_option
@export_option
@actor_option
@data_dir_option
@told
def correctness(
    *, leaf: int | None, recompute: bool, export: Path | None, actor: str, data_dir: Path | None
) -> None:
    """Computed correctly? Says nothing on who computed it.

    Without --leaf a new report is issued and recorded. With --leaf and --recompute the report's
    range of the log is evaluated again, from the first leaf: the bytes go to standard output, and
    exit 1 means that they are not the ones recorded.
    """
    from service.correctness import issue_correctness

    if leaf is None:
        if recompute or export:
            raise click.UsageError("--recompute and --export need --leaf: which report?")
        house = open_house(data_dir)
        click.echo(
            json.dumps(_report(house, issue_correctness(house, actor_id=actor).index), indent=2)
        )
        return
    if not recompute:
        if export:
            raise click.UsageError("--export needs --recompute")
        click.echo(json.dumps(_report(open_house(data_dir), leaf), indent=2))
        return
    _recompute(leaf, "correctness", export, data_dir)


@report.command(
    epilog="""\b
Examples:
  assay report comparison --data-dir house > comparison.json
  assay report comparison --leaf 4711 --recompute --export house/export
"""
)
@click.option("--leaf", type=click.IntRange(min=0), help="A recorded one, made again.")
@recompute_option
@export_option
@actor_option
@data_dir_option
@told
def comparison(
    *, leaf: int | None, recompute: bool, export: Path | None, actor: str, data_dir: Path | None
) -> None:
    """Champion beside challenger: what both answered to the same requests, compared."""
    from service.champion import issue_comparison

    if (leaf is None) == recompute or (export and not recompute):
        raise click.UsageError("--leaf and --recompute go together; --export goes with both")
    if leaf is not None:
        _recompute(leaf, "comparison", export, data_dir)
        return
    house = open_house(data_dir)
    done = issue_comparison(house, actor_id=actor)
    if done is None:
        raise click.ClickException(
            "no version has the alias challenger or shadow; give one: assay models promote"
        )
    click.echo(json.dumps(_report(house, done.index), indent=2))


def _recompute(leaf: int, kind: str, export: Path | None, data_dir: Path | None) -> None:
    from service.export_reading import as_house
    from service.recomputing import recompute

    done = recompute(as_house(export) if export else open_house(data_dir), leaf, kind)
    click.echo(done.report, nl=False)
    click.echo(f"recorded   {done.recorded_digest}", err=True)
    click.echo(f"recomputed {done.digest}", err=True)
    if not done.same:
        why = f"; {done.erased_since} rows were erased since" if done.erased_since else ""
        raise click.ClickException(
            f"the report at leaf {leaf} does not come out again{why}. Another release may compute "
            "a figure differently: compare `libraries` in both"
        )
    click.echo(f"the report at leaf {leaf} comes out the same, byte for byte", err=True)


def _report(house: Assembly, leaf: int) -> object:
    from ledger.record import parse_entry

    data = parse_entry(house.ledger.entry(leaf).entry).body["data"]
    return json.loads(house.blobs.get(data["report_digest"]))
