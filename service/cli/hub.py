"""The models of a house: list, publish, and what people decide about them.

A model is named by its name, `name@alias` or its digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli import hub_copies, hub_looks, hub_publish, hub_restore, hub_search
from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from datetime import datetime

    from service.assembly import Assembly
    from service.lifecycle import LimitTerms

LIMIT_PARTS = 3
MINIMUM_LABELS = 100  # matured labels before a limit signed here judges

model_argument = click.argument("model", metavar="MODEL")  # name, name@alias or digest
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
    from service.intake import sign_package
    from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work

    house = open_house(data_dir)
    last = f"{until:%Y-%m-%d}" if until else None
    for package in train_all(environment_digest=house.environment_digest, until=last):
        name, digest = package.manifest.name, package.manifest.digest
        history = house.inventory.catalog(fresh=True).history(name)
        done = {e.type for e in history if e.data["model_digest"] == digest}
        if not done:
            signature, _ = sign_package(house, package)
            publish_package(house, package, actor_id=DEVELOPER, signature=signature)
        if done <= {"model.published", "model.approved"}:
            put_to_work(house, digest, reason="reference model", actor_id=VALIDATOR)
            click.echo(f"{name:<26} {digest} published, approved, promoted")
        else:
            click.echo(f"{name:<26} {digest} is published already")


@models.command(
    epilog="Example: assay models validate my-model --actor anna --reason 'MV-17, 14 pages' "
    "--materiality high --next-review 2027-06-30"
)
@model_argument
@actor_option
@reason_option
@click.option(
    "--conclusion",
    type=click.Choice(["satisfactory", "conditions", "unsatisfactory"]),
    default="satisfactory",
    show_default=True,
    help="After unsatisfactory nobody can approve.",
)
@click.option(
    "--materiality",
    type=click.Choice(["high", "medium", "low"]),
    required=True,
    help="The tier the model is put in.",
)
@click.option("--next-review", metavar="DATE", required=True, help="Overdue after this day.")
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The report; stored by digest, which the entry names.",
)
@data_dir_option
@told
def validate(
    *,
    model: str,
    actor: str,
    reason: str,
    conclusion: str,
    materiality: str,
    next_review: str,
    report: Path | None,
    data_dir: Path | None,
) -> None:
    """Record a validation of a published model. The publisher cannot."""
    from service import lifecycle

    house = open_house(data_dir)
    stored = None if report is None else house.blobs.put(report.read_bytes())
    review = lifecycle.Review(conclusion, materiality, next_review, stored)
    digest = newest(house, model)
    done = lifecycle.validate(house, digest=digest, review=review, reason=reason, actor_id=actor)
    click.echo(f"validated ({conclusion}) at leaf {done.index}")


@models.command(epilog="Example: assay models approve my-model --actor anna --reason 'MV-17'")
@model_argument
@actor_option
@reason_option
@data_dir_option
@told
def approve(model: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Approve a published model. The publisher cannot."""
    from service import lifecycle

    house = open_house(data_dir)
    digest = newest(house, model)
    done = lifecycle.approve(house, digest=digest, reason=reason, actor_id=actor)
    click.echo(f"approved at leaf {done.index}")


@models.command(epilog="Example: assay models promote my-model --actor anna --reason 'MV-17'")
@model_argument
@click.option(
    "--alias",
    default="champion",
    show_default=True,
    help="champion, challenger or shadow; champion is what a bare model name means.",
)
@actor_option
@reason_option
@data_dir_option
@told
def promote(model: str, alias: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Point an alias at an approved model."""
    from service import lifecycle

    house = open_house(data_dir)
    digest = newest(house, model)
    done = lifecycle.promote(house, digest=digest, alias=alias, reason=reason, actor_id=actor)
    click.echo(f"promoted to {alias} at leaf {done.index}")


@models.command(
    epilog="Example: assay models release my-model --actor anna --reason 'MV-17' "
    "--next-review 2027-06-30"
)
@model_argument
@actor_option
@reason_option
@click.option(
    "--materiality",
    type=click.Choice(["high", "medium", "low"]),
    default="medium",
    show_default=True,
    help="The tier the model is put in.",
)
@click.option("--next-review", metavar="DATE", help="[default: in a year]")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="METRIC:SIDE:VALUE",
    help="Sign a limit too, such as auc:min:0.70; it judges what comes after. May be repeated.",
)
@data_dir_option
@told
def release(
    *,
    model: str,
    actor: str,
    reason: str,
    materiality: str,
    next_review: str | None,
    limits: tuple[str, ...],
    data_dir: Path | None,
) -> None:
    """Validate, approve and promote a model: three entries by one person, not its publisher."""
    from datetime import timedelta

    from service import lifecycle

    house = open_house(data_dir)
    digest = newest(house, model)
    day = next_review or f"{house.clock() + timedelta(days=365):%Y-%m-%d}"
    review = lifecycle.Review("satisfactory", materiality, day)
    terms = [limit_terms(text) for text in limits]
    for one in terms:
        lifecycle.check_limit(house, digest, one)
    lifecycle.validate(house, digest=digest, review=review, reason=reason, actor_id=actor)
    lifecycle.approve(house, digest=digest, reason=reason, actor_id=actor)
    done = lifecycle.promote(house, digest=digest, alias="champion", reason=reason, actor_id=actor)
    for one in terms:
        lifecycle.set_limit(house, digest=digest, terms=one, actor_id=actor)
    name = house.inventory.manifest(digest).name
    click.echo(f"{name} {digest} is champion since leaf {done.index}; next review {day}")
    click.echo(f"serve it: assay serve --data-dir {house.settings.data_dir}")


@models.command(epilog="Example: assay models withdraw my-model --actor anna --reason drift")
@model_argument
@actor_option
@reason_option
@data_dir_option
@told
def withdraw(model: str, actor: str, reason: str, data_dir: Path | None) -> None:
    """Take a model out of use. It stays retrievable by digest for auditors."""
    from service import lifecycle

    house = open_house(data_dir)
    digest = house.inventory.catalog(fresh=True).digest_of(model)
    done = lifecycle.withdraw(house, digest=digest, reason=reason, actor_id=actor)
    click.echo(f"withdrawn at leaf {done.index}: {digest}")
    click.echo(f"who relied on it: assay models relied-on {digest}")


def limit_terms(text: str) -> LimitTerms:
    """`auc:min:0.70` as terms over all matured labels, judged by the interval."""
    from service.lifecycle import LimitTerms

    parts = text.split(":")
    if len(parts) != LIMIT_PARTS:
        raise click.BadParameter(f"{text!r}: expected METRIC:SIDE:VALUE, such as auc:min:0.70")
    metric, side, value = parts
    return LimitTerms(metric, value, side, "0", "all", MINIMUM_LABELS, "interval")


def newest(house: Assembly, ref: str) -> str:
    """The digest meant: of a bare name the newest version, for that is what awaits a decision."""
    catalog = house.inventory.catalog(fresh=True)
    versions = catalog.versions(ref)
    return versions[-1].digest if versions else catalog.digest_of(ref)


for command in (
    hub_search.search,
    hub_publish.publish,
    hub_publish.try_model,
    hub_publish.signer,
    hub_looks.inventory,
    hub_looks.relied_on,
    hub_looks.as_of,
    hub_looks.bom,
    hub_looks.verify,
    hub_copies.mirror,
    hub_copies.pull,
    hub_restore.restore,
):
    models.add_command(command)
