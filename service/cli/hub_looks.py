"""Look at models: the register, who relied on one, what was in production, what one is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from service.register import Line


@click.command(epilog="Example: assay models inventory --overdue --data-dir house")
@click.option("--overdue", is_flag=True, help="Only models that somebody should look at.")
@click.option("--json", "as_json", is_flag=True, help="As the API gives it.")
@data_dir_option
@told
def inventory(data_dir: Path | None, *, overdue: bool, as_json: bool) -> None:
    """Show the register: owner, purpose, tier, validator, next review, vendor, what is overdue."""
    from service.register import register

    house = open_house(data_dir)
    lines = [line for line in register(house) if line.overdue or not overdue]
    if as_json:
        click.echo(json.dumps([line.to_json() for line in lines], indent=2))
        return
    if not lines:
        click.echo("nothing is overdue" if overdue else "no models yet")
    for line in lines:
        _show(line)


def _show(line: Line) -> None:
    aliases = f" [{', '.join(line.aliases)}]" if line.aliases else ""
    click.echo(f"{line.name} {line.version} {line.status}{aliases}")
    seen = f"{line.conclusion} by {line.validator}" if line.validator else "never validated"
    facts = [
        ("digest", line.model_digest),
        ("owner", line.owner + (f", made by {line.vendor}" if line.vendor else "")),
        ("purpose", line.purpose if len(line.purpose) < 100 else line.purpose[:97] + "..."),  # noqa: PLR2004 - a line
        ("tier", line.materiality or "none given"),
        ("validation", seen),
        ("next review", line.next_review or "none set"),
    ]
    if line.withdrawn:
        gone = line.withdrawn
        facts.append(("withdrawn", f"{gone['event_time']} by {gone['actor_id']}: {gone['reason']}"))
    facts += [("OVERDUE", reason) for reason in line.overdue]
    for label, text in facts:
        click.echo(f"  {label:<12} {text}")


@click.command("relied-on", epilog="Example: assay models relied-on my-model --limit 20")
@click.argument("model", metavar="MODEL")
@click.option("--since", type=click.IntRange(0), default=0, help="From this leaf on.")
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Predictions listed.",
)
@data_dir_option
@told
def relied_on(model: str, since: int, limit: int, data_dir: Path | None) -> None:
    """Say who relied on a model: counts, callers, predictions; and who withdrew it, and why."""
    from service.reliance import reliance

    house = open_house(data_dir)
    digest = house.inventory.catalog(fresh=True).digest_of(model)
    found = reliance(house, digest, since=since, limit=limit)
    click.echo(f"{found['name']} {digest} {found['status']}")
    gone = found["withdrawn"]
    if gone:
        click.echo(
            f"withdrawn {gone['event_time']} by {gone['actor_id']} (leaf {gone['leaf_index']}): "
            f"{gone['reason']}"
        )
        click.echo(f"predictions after that: {found['after_withdrawal']}")
    click.echo(
        f"predictions: {found['predictions']}"
        + (f", leaf {found['first_leaf']} to {found['last_leaf']}" if found["predictions"] else "")
    )
    for caller in found["callers"]:
        click.echo(f"  {caller['predictions']:>8}  {caller['actor_id']}")
    for line in found["page"]:
        click.echo(
            f"  leaf {line['leaf_index']:<8} {line['event_time']}  {line['row_count']} rows  "
            f"{line['actor_id']}"
        )
    if found["next"] is not None:
        click.echo(f"more: assay models relied-on {digest} --since {found['next']}")


@click.command("as-of", epilog="Example: assay models as-of my-model 2026-11-25T12:00:00Z")
@click.argument("name")
@click.argument("time")
@click.option(
    "--receipt",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the promotion's receipt here; check it with assay verify-receipt.",
)
@data_dir_option
@told
def as_of(name: str, time: str, file: Path | None, data_dir: Path | None) -> None:
    """Say what was in production under a name at a time, and prove the entry that put it there.

    The receipt proves the promotion. That nothing was promoted or withdrawn in between is shown by
    the whole log: assay ledger export, then assay audit.
    """
    from ledger.receipt import verify_receipt
    from service.clock import parse_utc
    from service.errors import FieldRefused

    house = open_house(data_dir)
    try:
        moment = parse_utc(time)
    except ValueError as error:
        raise FieldRefused("time", str(error)) from error
    if moment > house.clock():
        raise FieldRefused("time", "lies in the future: what will be in production is not known")
    digest, leaf = house.inventory.catalog(fresh=True).as_of(name, time)
    receipt = house.ledger.receipt(leaf)
    verify_receipt(receipt, house.ledger.keys())
    event = next(e for e in house.inventory.catalog().history(name) if e.leaf == leaf)
    click.echo(f"{name} at {time}: {digest}")
    click.echo(f"  promoted {event.time} by {event.actor} (leaf {leaf}): {event.data['reason']}")
    click.echo(f"  inclusion checked under the checkpoint of {receipt.tree_size} entries")
    if file is not None:
        file.write_text(json.dumps(receipt.to_json(), indent=2) + "\n", encoding="utf-8")
        click.echo(f"  receipt: {file}")


@click.command(epilog="Example: assay models bom my-model > bom.json")
@click.argument("model", metavar="MODEL")
@data_dir_option
@told
def bom(model: str, data_dir: Path | None) -> None:
    """Print a model's bill of materials: CycloneDX 1.6, what it is made of by digest."""
    from service.describing import bill_of_materials

    house = open_house(data_dir)
    digest = house.inventory.catalog(fresh=True).digest_of(model)
    click.echo(bill_of_materials(house, digest).decode(), nl=False)


@click.command(epilog="Example: assay models verify my-model")
@click.argument("model", metavar="MODEL")
@data_dir_option
@told
def verify(model: str, data_dir: Path | None) -> None:
    """Check a model's statement, files and OpenSSF signature; exit 1 when one does not hold."""
    from service.describing import check_model

    house = open_house(data_dir)
    digest = house.inventory.catalog(fresh=True).digest_of(model)
    found = check_model(house, digest)
    click.echo(digest)
    for check in found:
        click.echo(
            f"  {check.subject:<10} {'holds' if check.holds else 'DOES NOT HOLD'}: {check.found}"
        )
    if not all(check.holds for check in found):
        raise click.exceptions.Exit(1)
