"""Publish a model file, try it on rows with known outcomes, keep signing keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from rich.progress import Progress

_file = click.Path(exists=True, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  assay models publish model.skops --card card.md --data train.csv --target default --actor dana
  assay models publish model.onnx --card card.md --data train.csv --target default \\
      --features income,debt --threshold 0.35 --name card-default --actor dana
"""
)
@click.argument("path", metavar="PATH", type=_file)
@click.option("--card", required=True, type=_file, help="Model card: front matter and Markdown.")
@click.option(
    "--data",
    "table",
    required=True,
    type=_file,
    help="Training table (CSV with a header): feature names, bounds, digest, comparison.",
)
@click.option("--target", help="The label's column in it.")
@click.option("--features", help="Feature columns in the model's order. [default: all others]")
@click.option("--name", help="[default: from the card's title]")
@click.option("--version", help="Such as 1.0.0. [default: the next one]")
@click.option(
    "--kind",
    type=click.Choice(["credit", "signal"]),
    default="credit",
    show_default=True,
    help="Which outcomes judge it.",
)
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    show_default=True,
    help="Probability of label 1 from which to decline (credit) or go long (signal).",
)
@click.option("--owner", help="Who answers for it. [default: the actor]")
@click.option("--vendor", help="Who made it, when the house did not.")
@click.option(
    "--lock",
    type=_file,
    help="Lock file of the environment it was trained in. [default: this house's environment]",
)
@click.option("--actor", required=True, help="Who publishes, as recorded.")
@data_dir_option
@told
def publish(
    *,
    path: Path,
    card: Path,
    table: Path,
    target: str | None,
    features: str | None,
    name: str | None,
    version: str | None,
    kind: str,
    threshold: float,
    owner: str | None,
    vendor: str | None,
    lock: Path | None,
    actor: str,
    data_dir: Path | None,
) -> None:
    """Publish a model file: xgboost (UBJSON, JSON), scikit-learn (skops, ONNX) or ONNX.

    It is read as data and turned into a form that every machine repeats bit for bit; the two are
    compared on the training table. A file that runs code when it is loaded is refused, with the
    command that converts it. Another person then releases the model.
    """
    from service.intake import STEPS, Submission, facts_of, submit

    house = open_house(data_dir)
    given = Submission(
        model=path,
        card=card,
        table=table,
        actor=actor,
        target=target,
        features=tuple(part.strip() for part in features.split(",")) if features else (),
        name=name,
        version=version,
        kind=kind,
        threshold=threshold,
        owner=owner,
        vendor=vendor,
        environment=lock,
    )
    with progress_bar() as bar:
        task = bar.add_task("", total=STEPS)

        def step(text: str) -> None:
            bar.update(task, description=text, advance=1)

        done = submit(house, given, step)
    click.echo(f"published {done.name} {done.version}")
    for label, text in facts_of(done):
        click.echo(f"  {label:<12} {text}")
    click.echo("It may not run yet. Another person releases it:")
    click.echo(
        f"  assay models release {done.name} --actor SOMEBODY-ELSE --reason WHY "
        f"--data-dir {house.settings.data_dir}"
    )


@click.command(
    "try",
    epilog="Example: assay models try my-model --data held-out.csv --target default --stay",
)
@click.argument("model", metavar="MODEL")
@click.option("--data", "table", required=True, type=_file, help="Rows with known outcomes (CSV).")
@click.option("--target", required=True, help="The outcome's column: 0 or 1.")
@click.option(
    "--rows",
    type=click.IntRange(1, 20_000),
    default=1000,
    show_default=True,
    help="At most so many of them.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free port]")
@click.option("--stay", is_flag=True, help="Then go on serving the dashboards, until Ctrl-C.")
@data_dir_option
@told
def try_model(
    *, model: str, table: Path, target: str, rows: int, port: int, stay: bool, data_dir: Path | None
) -> None:
    """Serve a model, ask it about rows with known outcomes, report those, show both reports.

    A real server on this machine: each answer is recorded before it is given, and its receipt is
    checked here. What is recorded stays recorded.
    """
    from contextlib import ExitStack

    from service.trying import Trial, trial

    house = open_house(data_dir)
    with ExitStack() as stack:
        with progress_bar() as bar:
            task = bar.add_task("predictions", total=rows)
            given = Trial(model, table, target, rows, port)
            lines = stack.enter_context(trial(house, given, lambda count: bar.advance(task, count)))
        for line in lines:
            click.echo(line)
        if stay:
            click.echo("serving until Ctrl-C")
            _until_interrupted()


def _until_interrupted() -> None:
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nstopping")


@click.group()
def signer() -> None:
    """Keys that sign models: ours, and those of others that count here."""


@signer.command("list", epilog="Example: assay models signer list --data-dir house")
@data_dir_option
@told
def list_signers(data_dir: Path | None) -> None:
    """List the signers whose signatures count here, and until when."""
    from service.model_keys import trusted

    found = trusted(open_house(data_dir))
    if not found:
        click.echo("none yet: the house's own key is made when the first model is published")
    for name, one in found.items():
        click.echo(f"{name:<24} {one.hint[:16]}  {one.not_before} to {one.not_after}  {one.holder}")


@signer.command("renew", epilog="Example: assay models signer renew --holder 'model desk'")
@click.option("--holder", help="Whose key it is, as its statement says. [default: the log's name]")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=730,
    show_default=True,
    help="How long it counts.",
)
@data_dir_option
@told
def renew_signer(holder: str | None, days: int, data_dir: Path | None) -> None:
    """Make the house's next model signing key; earlier signatures keep their signer."""
    from datetime import timedelta

    from service.model_keys import renew

    house = open_house(data_dir)
    _, made = renew(house, holder=holder or house.ledger.origin, life=timedelta(days=days))
    click.echo(f"key {made.hint[:16]} of {made.holder} counts until {made.not_after}")


@signer.command("trust", epilog="Example: assay models signer trust vendor signer.json")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_dir_option
@told
def trust_signer(name: str, file: Path, data_dir: Path | None) -> None:
    """Count the signatures of another house's key.

    Get its statement by another way than the model: who can swap one can swap both.
    """
    from service.model_keys import trust

    made = trust(open_house(data_dir), name, file.read_bytes())
    click.echo(f"{name}: key {made.hint[:16]} of {made.holder} counts until {made.not_after}")


def progress_bar(*, transfer: bool = False) -> Progress:
    """A progress bar on standard error, gone when it is done; of bytes, or of things counted."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if transfer else MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
