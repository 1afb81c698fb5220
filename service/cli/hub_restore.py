"""`assay models restore`: files of models brought back from an export."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.common import data_dir_option, open_house, told


@click.command(epilog="Example: assay models restore house/export --data-dir house")
@click.argument("export_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_dir_option
@told
def restore(export_dir: Path, data_dir: Path | None) -> None:
    """Put back model files that are missing or rotted here, from any export that has them.

    Each is taken by its digest, so it does not matter whose copy it is. A server that runs loads a
    restored model at its next request.
    """
    from rich.progress import Progress

    from service.restoring import restore_blobs

    house = open_house(data_dir)
    with Progress(transient=True) as bar:
        task = bar.add_task("restore", total=None)
        done = restore_blobs(
            house,
            export_dir,
            lambda count, total: bar.update(task, completed=count, total=total),
        )
    for what, digests in (("was missing", done.missing), ("was rotten", done.rotten)):
        for digest in digests:
            click.echo(f"restored {digest}, which {what}")
    for digest in done.refused:
        click.echo(f"{digest} is rotten in {export_dir} too", err=True)
    click.echo(f"{done.whole} files were whole")
    if done.refused:
        raise click.ClickException(f"{len(done.refused)} files need another export")
