"""Alarms at the command line: list them, acknowledge, comment, close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.log import Appended

leaf_argument = click.argument("leaf", type=click.IntRange(min=0))
actor_option = click.option("--actor", required=True, help="Who does it, as recorded.")
comment_option = click.option("--comment", required=True, help="What you say of it, as recorded.")
EXAMPLE = 'Example: assay alarms {} 1042 --actor risk-1 --comment "the feed was late"'


@click.group()
def alarms() -> None:
    """List alarms, acknowledge, comment on, close them."""


@alarms.command("list", epilog="Example: assay alarms list --all --data-dir house")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@data_dir_option
@told
def list_alarms(*, everything: bool, data_dir: Path | None) -> None:
    """List alarms that nobody has closed, oldest first."""
    from monitoring.alerts import AlarmState
    from service.alerts_read import alarms as read

    found = read(open_house(data_dir).ledger)
    shown = [a for a in found if everything or a.state is not AlarmState.CLOSED]
    for alarm in shown:
        click.echo(
            f"{alarm.leaf:>9}  {alarm.data['severity']:<5} {alarm.state.value:<12} {alarm.at}"
        )
        click.echo(f"           {alarm.data['detail']}")
    if not shown:
        click.echo("no alarm is open; that is not evidence that a model is right")


@alarms.command(epilog=EXAMPLE.format("acknowledge"))
@leaf_argument
@actor_option
@comment_option
@data_dir_option
@told
def acknowledge(leaf: int, actor: str, comment: str, data_dir: Path | None) -> None:
    """Record that a person has seen alarm LEAF."""
    from service.alerts import acknowledge as act

    _do(act, leaf, data_dir, "acknowledged", actor_id=actor, comment=comment)


@alarms.command("comment", epilog=EXAMPLE.format("comment"))
@leaf_argument
@actor_option
@comment_option
@data_dir_option
@told
def comment_on(leaf: int, actor: str, comment: str, data_dir: Path | None) -> None:
    """Record what a person says of alarm LEAF."""
    from service.alerts import remark

    _do(remark, leaf, data_dir, "commented on", actor_id=actor, comment=comment)


@alarms.command(epilog=EXAMPLE.format("close"))
@leaf_argument
@actor_option
@comment_option
@data_dir_option
@told
def close(leaf: int, actor: str, comment: str, data_dir: Path | None) -> None:
    """Close alarm LEAF: its detector starts again. A halted model stays halted."""
    from service.alerts import close as act

    _do(act, leaf, data_dir, "closed", actor_id=actor, comment=comment)


def _do(
    act: Callable[..., Appended], leaf: int, data_dir: Path | None, done: str, **said: str
) -> None:
    appended = act(open_house(data_dir), leaf, **said)
    click.echo(f"alarm {leaf} {done} by {said['actor_id']}, at leaf {appended.index}")
