"""Issue the two reports. They are two commands on purpose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from pathlib import Path

    from service.assembly import Assembly

actor_option = click.option("--actor", default="cli", show_default=True, help="Who asks for it.")


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


@report.command(epilog="Example: assay report correctness --data-dir house > correctness.json")
@actor_option
@data_dir_option
@told
def correctness(actor: str, data_dir: Path | None) -> None:
    """Computed correctly? Says nothing on who computed it."""
    from service.correctness import issue_correctness

    house = open_house(data_dir)
    click.echo(json.dumps(_report(house, issue_correctness(house, actor_id=actor).index), indent=2))


def _report(house: Assembly, leaf: int) -> object:
    from ledger.record import parse_entry

    data = parse_entry(house.ledger.entry(leaf).entry).body["data"]
    return json.loads(house.blobs.get(data["report_digest"]))
