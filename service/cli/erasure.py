"""Erasure and legal holds: acts of the house, each an entry with its reason and authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from pathlib import Path

reason_option = click.option("--reason", required=True, help="Why, as recorded.")
authority_option = click.option(
    "--authority", required=True, help="The legal ground or order, as recorded."
)
actor_option = click.option("--actor", default="cli", show_default=True, help="Who does it.")


@click.command(
    epilog="""\\b
Example:
  assay erase sub_7f3a --reason "request of 3 May" --authority "GDPR Art. 17" --data-dir house
"""
)
@click.argument("subject")
@reason_option
@authority_option
@actor_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
@told
def erase(
    subject: str,
    reason: str,
    authority: str,
    actor: str,
    data_dir: Path | None,
    *,
    yes: bool,
) -> None:
    """Destroy every recorded input and output of SUBJECT. The log and its proofs stay."""
    from service.erasure import Order
    from service.erasure import erase as run

    house = open_house(data_dir)
    rows = len(house.vault.rows_of(subject))
    if rows and not yes:
        click.confirm(f"Destroy {rows} recorded rows of {subject}, for ever?", abort=True)
    done = run(house, subject, Order(reason, authority, actor))
    where = ", ".join(map(str, done.leaves))
    click.echo(f"erased {done.rows} rows; recorded at leaf {where}")
    click.echo("Not reached: backups, and exports already handed out. See docs/operations.md.")


@click.group()
def hold() -> None:
    """Place, lift and list legal holds: a subject under one cannot be erased."""


@hold.command(
    epilog='Example: assay hold place sub_7f3a --reason "case 12" --authority "court order 7"'
)
@click.argument("subject")
@reason_option
@authority_option
@actor_option
@data_dir_option
@told
def place(subject: str, reason: str, authority: str, actor: str, data_dir: Path | None) -> None:
    """Forbid erasing SUBJECT. The log names the hold, not the subject."""
    from service.erasure import Order, place_hold

    click.echo(place_hold(open_house(data_dir), subject, Order(reason, authority, actor)))


@hold.command(
    epilog='Example: assay hold lift 5f0c... --reason "case closed" --authority "court order 9"'
)
@click.argument("hold_id")
@reason_option
@authority_option
@actor_option
@data_dir_option
@told
def lift(hold_id: str, reason: str, authority: str, actor: str, data_dir: Path | None) -> None:
    """End a hold."""
    from service.erasure import Order, lift_hold

    leaf = lift_hold(open_house(data_dir), hold_id, Order(reason, authority, actor))
    click.echo(f"lifted at leaf {leaf}")


@hold.command("list", epilog="Example: assay hold list --data-dir house")
@data_dir_option
@told
def list_holds(data_dir: Path | None) -> None:
    """List the holds that are on."""
    from service.erasure import holds

    found = holds(open_house(data_dir))
    for hold_id, subject in found:
        click.echo(f"{hold_id}  {subject}")
    if not found:
        click.echo("no hold is on")
