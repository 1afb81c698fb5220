"""The static bundle of this house: the log, and what replay needs, for an entitled auditor.

One export of a house is written at a time. Its own directory, `<data_dir>/export`, is refreshed by
reports and downloads alike, so whoever reads it does so in `exported`, or takes a copy there: an
audit of files that another export is replacing would accuse the log of what is not so.
"""

from __future__ import annotations

import tarfile
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TypeVar

from ledger.export import export
from ledger.record import parse_entry
from models.errors import ModelError
from service.locks import EXPORT, held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.destination import Destination
    from service.assembly import Assembly

    Place = TypeVar("Place", Path, Path | Destination)

CHUNK = 1 << 18  # bytes of tar sent at a time


def referenced_blobs(assembly: Assembly) -> list[str]:
    """Digests an auditor will want: manifests, envelopes, artifacts, environments, reports."""
    found: set[str] = set()
    for stored in assembly.ledger.entries(type="model.published"):
        data = parse_entry(stored.entry).body["data"]
        found |= {data["model_digest"], data["provenance_digest"]}
        if _intact(assembly, data["model_digest"]):
            manifest = assembly.inventory.manifest(data["model_digest"])
            found |= {output.artifact for output in manifest.outputs}
            found |= {manifest.card_digest} if manifest.card_digest else set()
    for stored in assembly.ledger.entries(type="model.validated"):
        report = parse_entry(stored.entry).body["data"]["report_digest"]
        found |= {report} if report else set()
    for stored in assembly.ledger.entries(type="prediction"):
        found.add(parse_entry(stored.entry).body["data"]["environment_digest"])
    for stored in assembly.ledger.entries(type="report"):
        found.add(parse_entry(stored.entry).body["data"]["report_digest"])
    for stored in assembly.ledger.entries(type="timestamp"):
        found.add(parse_entry(stored.entry).body["data"]["token_digest"])
    for stored in assembly.ledger.entries(type="drift"):
        data = parse_entry(stored.entry).body["data"]
        found |= {data["result_digest"], data["reference_digest"], data["configuration_digest"]}
    for stored in assembly.ledger.entries(type="alarm"):
        digest = parse_entry(stored.entry).body["data"]["evidence_digest"]
        found |= {digest} if digest else set()
    return sorted(digest for digest in found if assembly.blobs.has(digest))


def export_house(
    assembly: Assembly,
    destination: Place,
    progress: Callable[[int, int], None] | None = None,
    *,
    openings: bool = True,
) -> Place:
    """Write or refresh the export at `destination`; the checkpoint comes last.

    Openings show every recorded input: leave them out of whatever strangers can read.
    """
    with held(assembly.settings, EXPORT):
        _write(assembly, destination, progress, openings=openings)
    return destination


@contextmanager
def exported(assembly: Assembly) -> Iterator[Path]:
    """The house's own export, refreshed; nobody else touches it while the block runs."""
    directory = assembly.settings.data_dir / "export"
    with held(assembly.settings, EXPORT):
        _write(assembly, directory, None, openings=True)
        yield directory


def _write(
    assembly: Assembly,
    destination: Path | Destination,
    progress: Callable[[int, int], None] | None,
    *,
    openings: bool,
) -> None:
    # As of what the witnesses just signed; of the newest checkpoint where their quorum is not met.
    note = None if assembly.cosigning is None else assembly.cosigning.flush()

    def write(digests: Sequence[str]) -> None:
        export(
            assembly.ledger,
            destination,
            vault=assembly.vault if openings else None,
            blobs=(digests, assembly.blobs.get),
            progress=progress,
            note=note,
        )

    digests = referenced_blobs(assembly)
    try:
        write(digests)
    except ModelError:
        # A file of the house rotted. The log goes out all the same: an audit says what is missing.
        write([digest for digest in digests if _intact(assembly, digest)])


def _intact(assembly: Assembly, digest: str) -> bool:
    try:
        assembly.blobs.get(digest)
    except ModelError:
        return False
    return True


def export_tar(assembly: Assembly) -> IO[bytes]:
    """The house's own export as a tar in a nameless file, read from its start.

    A copy, so that a slow reader holds up nobody and gets one state of the log. `checkpoint` is its
    last member.
    """
    file = tempfile.TemporaryFile(dir=assembly.settings.data_dir)  # noqa: SIM115 - the reader closes it
    with (
        exported(assembly) as directory,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        paths = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != "checkpoint")
        for path in [*paths, directory / "checkpoint"]:
            tar.add(path, arcname=str(path.relative_to(directory)), recursive=False)
    file.seek(0)
    return file


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The file, a piece at a time; closed at the end."""
    with file:
        while piece := file.read(CHUNK):
            yield piece
