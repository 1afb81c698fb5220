"""Policies at the command line: sign and list limits, halt models, let them answer again.

Whoever has an account on the machine may write any name here, two of them as well; over HTTP each
person acts under a key of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from pathlib import Path

digest_argument = click.argument("digest", metavar="SHA256:DIGEST")
actor_option = click.option("--actor", required=True, help="Who does it, as recorded.")


@click.group()
def policies() -> None:
    """Sign and list limits; halt models, resume them."""


@policies.command("list", epilog="Example: assay policies list sha256:... --data-dir house")
@digest_argument
@data_dir_option
@told
def list_policies(digest: str, data_dir: Path | None) -> None:
    """List every limit signed for a model, and which of them are in force."""
    from service.policies import policies as read

    found = read(open_house(data_dir), digest)
    for item in found:
        state = f"replaced at {item['replaced_at']}" if item["replaced_at"] else "in force"
        bound = f"{item['side']} {item['limit']} tolerance {item['tolerance']}"
        click.echo(
            f"{item['leaf_index']:>9}  {item['metric']} {bound} over {item['window']}, "
            f"{item['detector']}, on alarm {item['on_alarm']}; {state}"
        )
    if not found:
        click.echo("no limit is signed for this model, so nothing about it is judged")


@policies.command(
    epilog="Example: assay policies sign sha256:... --metric brier --limit 0.2 --side max "
    "--minimum-labels 500 --on-alarm shadow --actor risk-1"
)
@digest_argument
@click.option("--metric", required=True, help="A metric of the model's kind: docs/correctness.md.")
@click.option("--limit", required=True, help="Decimal text.")
@click.option("--side", required=True, type=click.Choice(["min", "max"]), help="Which is crossed.")
@click.option("--tolerance", default="0", show_default=True, help="How far past it still passes.")
@click.option("--window", default="all", show_default=True, help="all, or labels in a block.")
@click.option(
    "--minimum-labels",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Matured outcomes below which the figure is not judged.",
)
@click.option("--detector", default="threshold", show_default=True, help="With its parameters.")
@click.option(
    "--on-alarm",
    type=click.Choice(["alert", "shadow", "blocked"]),
    default="alert",
    show_default=True,
    help="What crossing it does to the model.",
)
@click.option("--replaces", type=click.IntRange(min=0), help="Leaf of the one it changes.")
@click.option("--reason", help="Why it is changed.")
@click.option("--second-person", help="Who else agrees to the change.")
@actor_option
@data_dir_option
@told
def sign(digest: str, actor: str, data_dir: Path | None, **said: Any) -> None:  # noqa: ANN401
    """Sign a limit. It judges only what is predicted after it.

    Changing one takes --replaces, a --reason and a --second-person.
    """
    from service.lifecycle import LimitTerms
    from service.policies import sign_policy

    terms = LimitTerms(**{name: said.pop(name) for name in LimitTerms.__dataclass_fields__})
    done = sign_policy(open_house(data_dir), digest=digest, terms=terms, actor_id=actor, **said)
    click.echo(f"signed at leaf {done.index}; it judges predictions of later leaves")


@policies.command(
    epilog="Example: assay policies halt sha256:... --state blocked --reason odd --actor me"
)
@digest_argument
@click.option(
    "--state",
    required=True,
    type=click.Choice(["shadow", "blocked"]),
    help="shadow: computed for the record, answered to nobody; blocked: not computed.",
)
@click.option("--reason", required=True, help="Why, as recorded.")
@actor_option
@data_dir_option
@told
def halt(digest: str, state: str, reason: str, actor: str, data_dir: Path | None) -> None:
    """Halt a model at once, by an alarm in your name. One person is enough."""
    from service.switch import halt_by_hand

    house = open_house(data_dir)
    done = halt_by_hand(house, digest=digest, state=state, reason=reason, actor_id=actor)
    click.echo(f"halted at leaf {done.index}: {state}, it answers nobody")


@policies.command(
    epilog="Example: assay policies resume sha256:... --reason repaired --actor a --second-person b"
)
@digest_argument
@click.option("--reason", required=True, help="Why, as recorded.")
@click.option("--second-person", required=True, help="Who else agrees; somebody else.")
@actor_option
@data_dir_option
@told
def resume(digest: str, reason: str, second_person: str, actor: str, data_dir: Path | None) -> None:
    """Let a halted model answer again. It takes two people."""
    from service.switch import resume as act

    done = act(
        open_house(data_dir),
        digest=digest,
        reason=reason,
        actor_id=actor,
        second_person=second_person,
    )
    click.echo(f"resumed at leaf {done.index}")
