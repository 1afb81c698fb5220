"""Copies of a hub that nobody can switch off: mirror a whole one, pull one model from any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.common import told
from service.cli.given import verifier_key
from service.cli.hub_publish import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from models.hub.places import Place

key_option = click.option(
    "--key",
    required=True,
    metavar="VKEY",
    help="The log's verifier key, or its file; got by another way than from the hub.",
)
api_key_option = click.option(
    "--api-key",
    envvar="ASSAY_KEY",
    help="For a house's own routes (scope auditor, risk or admin). [default: $ASSAY_KEY]",
)


@click.command(
    epilog="""\b
Examples:
  assay models mirror https://house.example/v1/hub --to /srv/hub --key house.vkey
  assay models mirror /srv/hub --to s3://bucket/hub --key house.vkey
"""
)
@click.argument("source", metavar="URL")
@click.option("--to", "target", required=True, help="Directory or URL that the copy is kept at.")
@key_option
@api_key_option
@told
def mirror(source: str, target: str, key: str, api_key: str | None) -> None:
    """Copy a whole hub, every byte checked against the log; run it again to bring it up to date.

    Withdrawn models are copied too. An entry that the copy holds and the source no longer shows is
    told, and nothing is changed.
    """
    import tempfile

    from models.hub.index import HubIndex
    from models.hub.places import open_place
    from models.hub.store import BlobStore
    from service import mirroring

    vkey = verifier_key(key)
    origin, kept = open_place(source, key=api_key), open_place(target)
    click.get_current_context().call_on_close(origin.close)
    seen = mirroring.existing_index(kept)
    index = HubIndex.read(origin)
    checkpoint, book = mirroring.verify_index(index, vkey, source)
    if seen is not None:
        mirroring.verify_growth(seen, index, source)
    digests = mirroring.published(index)
    local = None if "://" in target else Path(target)
    with tempfile.TemporaryDirectory(prefix="assay-mirror-") as scratch, _bar("copied") as advance:
        store = BlobStore((local or Path(scratch)) / "blobs")
        places: list[Place] = [origin] if local else [kept, origin]
        done = mirroring.copy_models(
            index, book, digests, store=store, places=places, progress=advance
        )
        if local is None:
            blobs = [*done.fetched, *done.present]
            written, there = mirroring.replicate(index, blobs, store, kept)
        else:
            kept.write("hub.json", index.to_bytes())
            written, there = len(done.fetched), len(done.present)
    for text in done.refused:
        click.echo(text, err=True)
    click.echo(
        f"{target}: {len(digests)} models, {written} blobs copied, {there} were there; every blob "
        f"hashed, every entry checked under the checkpoint of {checkpoint.size} entries"
    )


@click.command(
    epilog="""\b
Examples:
  assay models pull credit-default --from https://house.example/v1/hub --key house.vkey
  assay models pull credit-default@shadow --from s3://bucket/hub --from /srv/hub --key house.vkey
"""
)
@click.argument("ref", metavar="NAME[@ALIAS|@DIGEST]")
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    help="A hub; may be repeated, tried in order.",
)
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("assay-hub"),
    show_default=True,
    help="Where it is kept, as a hub of its own.",
)
@key_option
@api_key_option
@told
def pull(
    ref: str, sources: tuple[str, ...], directory: Path, key: str, api_key: str | None
) -> None:
    """Fetch one model, from whichever hub has it; a pull that was cut off goes on where it was.

    Every byte is checked by digest and every entry against the log's key, so any hub will do. One
    that altered something is named and refused. Then, in Python:
    models.hub.load("credit-default@champion").
    """
    from models.errors import PlaceRefused, Withdrawn
    from models.hub.places import open_place
    from models.hub.store import BlobStore
    from service import mirroring

    vkey = verifier_key(key)
    places: list[Place] = []
    for source in sources:
        try:
            places.append(open_place(source, key=api_key))
            click.get_current_context().call_on_close(places[-1].close)
        except PlaceRefused as error:
            click.echo(f"not used: {error}", err=True)
    kept = open_place(str(directory))
    seen = mirroring.existing_index(kept)
    found = mirroring.first_index(places, vkey, seen)
    for text in found.told:
        click.echo(text, err=True)
    digest = mirroring.newest_of(found.index, ref)
    with _bar(ref) as advance:
        done = mirroring.copy_models(
            found.index,
            found.book,
            [digest],
            store=BlobStore(directory / "blobs"),
            places=found.places,
            progress=advance,
        )
    kept.write("hub.json", found.index.to_bytes())
    for text in done.refused:
        click.echo(text, err=True)
    click.echo(f"{ref}: {digest}")
    click.echo(
        f"  {len(done.fetched)} blobs fetched, {len(done.present)} were there; all hashed; entries "
        f"checked under the checkpoint of {found.checkpoint.size} entries"
    )
    try:
        found.index.catalog().resolve(digest)
    except Withdrawn as error:
        click.echo(f"  note: {error}; load it with withdrawn=True")


def _bar(label: str) -> AbstractContextManager[Callable[[int], None]]:
    """A bar that counts bytes."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Iterator[Callable[[int], None]]:
        with progress_bar(transfer=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda count: bar.advance(task, count)

    return shown()
