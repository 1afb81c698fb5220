"""The models of a house: publish, approve, promote, withdraw, list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

digest_argument = click.argument("digest", metavar="SHA256:DIGEST")
reason_option = click.option("--reason", required=True, help="Why, as recorded.")
actor_option = click.option("--actor", required=True, help="Who does it, as recorded.")


@click.group()
def models() -> None:
    """Publish, approve, promote, withdraw models; list them."""


@models.command("list", epilog="Example: assay models list --data-dir house")
@data_dir_option
@told
def list_models(data_dir: Path | None) -> None:
    """List every model ever published."""
    house = open_house(data_dir)
    found = house.inventory.catalog(fresh=True).models()
    if not found:
        click.echo("no models yet; publish the reference models: assay models publish-reference")
    for model in found:
        click.echo(f"{model.name:<26} {model.status:<10} {model.latest_digest}")
        for alias, digest in model.aliases.items():
            click.echo(f"  {alias:<24} {digest}")


@models.command(
    "publish-reference", epilog="Example: assay models publish-reference --data-dir house"
)
@click.option(
    "--until",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Last day the market models may learn from, such as 2006-12-29.",
)
@data_dir_option
@told
def publish_reference(until: datetime | None, data_dir: Path | None) -> None:
    """Train the reference models on their data, publish, approve and promote them.

    The same environment trains the same bytes: a second run finds the same digests. It finishes
    what an earlier one left undone, and leaves alone what somebody decided since.
    """
    from models.reference.training import train_all
    from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work

    house = open_house(data_dir)
    last = f"{until:%Y-%m-%d}" if until else None
    for package in train_all(environment_digest=house.environment_digest, until=last):
        name, digest = package.manifest.name, package.manifest.digest
        history = house.inventory.catalog(fresh=True).history(name)
        done = {e.type for e in history if e.data["model_digest"] == digest}
        if not done:
            publish_package(house, package, actor_id=DEVELOPER)
        if done <= {"model.published", "model.approved"}:
            put_to_work(house, digest, reason="reference model", actor_id=VALIDATOR)
            click.echo(f"{name:<26} {digest} published, approved, promoted")
        else:
            click.echo(f"{name:<26} {digest} is published already")


@models.command(epilog="Example: assay models approve sha256:42d4... --actor anna --reason 'MV-17'")
@digest_argument
@actor_option
@reason_option
@data_dir_option
@told
def approve(digest: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Approve a published model. The publisher cannot."""
    from service import lifecycle

    done = lifecycle.approve(open_house(data_dir), digest=digest, reason=reason, actor_id=actor)
    click.echo(f"approved at leaf {done.index}")


@models.command(epilog="Example: assay models promote sha256:42d4... --actor anna --reason 'MV-17'")
@digest_argument
@click.option(
    "--alias",
    default="champion",
    show_default=True,
    help="The name that callers use for it; champion is what a bare model name means.",
)
@actor_option
@reason_option
@data_dir_option
@told
def promote(digest: str, alias: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Point an alias at an approved model."""
    from service import lifecycle

    house = open_house(data_dir)
    done = lifecycle.promote(house, digest=digest, alias=alias, reason=reason, actor_id=actor)
    click.echo(f"promoted to {alias} at leaf {done.index}")


@models.command(epilog="Example: assay models withdraw sha256:42d4... --actor anna --reason drift")
@digest_argument
@actor_option
@reason_option
@data_dir_option
@told
def withdraw(digest: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Take a model out of use. It stays retrievable by digest for auditors."""
    from service import lifecycle

    done = lifecycle.withdraw(open_house(data_dir), digest=digest, reason=reason, actor_id=actor)
    click.echo(f"withdrawn at leaf {done.index}")
