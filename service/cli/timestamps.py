"""RFC 3161 time-stamps on seals: have one made, and check those of an export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.common import data_dir_option, open_house, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.layout import Source

roots_option = click.option(
    "--roots",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM certificates of the authorities you trust.",
)


@click.command(
    epilog="""\\b
Example:
  assay timestamp 5314 --tsa https://tsa.example/ --roots tsa-ca.pem --data-dir house
"""
)
@click.argument("leaf", type=click.IntRange(min=0))
@click.option("--tsa", required=True, metavar="URL", help="Where the authority answers.")
@roots_option
@click.option("--actor", default="cli", show_default=True, help="Who does it, as recorded.")
@data_dir_option
@told
def timestamp(leaf: int, tsa: str, roots: Path, actor: str, data_dir: Path | None) -> None:
    """Have the seal at LEAF time-stamped by an RFC 3161 authority, and record it."""
    from service.timestamps import load_roots, stamp

    house = open_house(data_dir)
    trusted = load_roots(roots.read_bytes())
    done = stamp(house, leaf, url=tsa, roots=trusted, actor_id=actor)
    click.echo(f"time-stamped; recorded at leaf {done}")


@click.command(
    "verify-timestamps",
    epilog="""\\b
Example:
  assay verify-timestamps house/export --roots tsa-ca.pem
Exit status: 0 all hold; 1 one does not; 2 there is none to check.
Audit the export first: this reads its entries and checks the time-stamps alone.
""",
)
@click.argument("export_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@roots_option
@told
def verify_timestamps(export_dir: Path, roots: Path) -> None:
    """Check every time-stamp in an audited export against the authorities you trust."""
    from ledger.layout import DirectorySource
    from service.errors import ServiceError
    from service.timestamps import check, load_roots

    trusted, failed, seen = load_roots(roots.read_bytes()), 0, 0
    for leaf, stamped, entry, reply in _stamps(DirectorySource(export_dir)):
        seen += 1
        try:
            click.echo(f"seal {stamped}: there by {check(reply, entry, trusted)} (entry {leaf})")
        except ServiceError as error:
            failed += 1
            click.echo(f"seal {stamped}: FAILED: {error.detail} (entry {leaf})")
    if not seen:
        click.echo("no time-stamp is recorded in this export")
    raise click.exceptions.Exit(1 if failed else 0 if seen else 2)


def _stamps(source: Source) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Of each `timestamp` entry: its leaf, the seal's leaf and bytes, the authority's reply.

    One bundle of entries is held at a time, and that of the seal.
    """
    from ledger.layout import blob_path
    from ledger.note import parse_checkpoint
    from ledger.record import unsigned_body
    from ledger.tiles import TILE_WIDTH, split_bundle, tile_path, width_at

    note = source.read("checkpoint").decode()
    size = parse_checkpoint(note.partition("\n\n")[0] + "\n").size

    def bundle(n: int) -> list[bytes]:
        width = width_at(0, n, size)
        return split_bundle(source.read(tile_path(None, n, width)), width)

    for n in range(-(-size // TILE_WIDTH)):
        for leaf, entry in enumerate(bundle(n), start=n * TILE_WIDTH):
            if b'"timestamp"' not in entry:  # as canonical JSON spells the type
                continue
            body: dict[str, Any] = unsigned_body(entry)
            if body["type"] == "timestamp":
                data = body["data"]
                of, place = divmod(data["leaf"], TILE_WIDTH)
                reply = source.read(blob_path(data["token_digest"]))
                yield leaf, data["leaf"], bundle(of)[place], reply
