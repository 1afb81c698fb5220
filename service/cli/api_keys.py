"""Callers' keys: the text is shown once, only its digest is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from pathlib import Path

SCOPES = ("trader", "outcomes", "auditor", "risk", "admin")  # service.auth.Scope


@click.group("api-keys")
def api_keys() -> None:
    """Issue, list and revoke callers' keys."""


@api_keys.command(epilog="Example: assay api-keys issue desk-1 --scope trader --data-dir house")
@click.argument("actor")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What the key may be used for; may be repeated.",
)
@data_dir_option
@told
def issue(actor: str, scopes: tuple[str, ...], data_dir: Path | None) -> None:
    """Make a key for ACTOR and print it, once. ACTOR stands in every entry the key causes."""
    from service.auth import Scope

    text = open_house(data_dir).callers.issue(actor, [Scope(scope) for scope in scopes])
    click.echo(text)
    click.echo("This is the only time it is shown.", err=True)


@api_keys.command("list", epilog="Example: assay api-keys list --data-dir house")
@data_dir_option
@told
def list_keys(data_dir: Path | None) -> None:
    """List keys by id; secrets are not kept."""
    keys = open_house(data_dir).callers.keys()
    if not keys:
        click.echo("no keys yet; make one: assay api-keys issue NAME --scope trader")
    for key in keys:
        state = f"revoked {key.revoked_at}" if key.revoked_at else "in use"
        click.echo(f"{key.key_id}  {key.actor_id:<20} {key.scopes:<32} {key.created_at}  {state}")


@api_keys.command(epilog="Example: assay api-keys revoke 5f0c2f7e9a1b3c4d --data-dir house")
@click.argument("key_id")
@data_dir_option
@told
def revoke(key_id: str, data_dir: Path | None) -> None:
    """End a key at once, and every page session made from it."""
    open_house(data_dir).callers.revoke(key_id)
    click.echo(f"revoked {key_id}")
