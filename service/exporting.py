"""The static bundle of this house: the log, and what replay needs, for an entitled auditor."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, TypeVar

from ledger.export import export
from ledger.record import parse_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
        manifest = assembly.inventory.manifest(data["model_digest"])
        found |= {data["model_digest"], data["provenance_digest"]}
        found |= {output.artifact for output in manifest.outputs}
    for stored in assembly.ledger.entries(type="prediction"):
        found.add(parse_entry(stored.entry).body["data"]["environment_digest"])
    for stored in assembly.ledger.entries(type="report"):
        found.add(parse_entry(stored.entry).body["data"]["report_digest"])
    for stored in assembly.ledger.entries(type="drift"):
        data = parse_entry(stored.entry).body["data"]
        found |= {data["result_digest"], data["reference_digest"], data["configuration_digest"]}
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
    export(
        assembly.ledger,
        destination,
        vault=assembly.vault if openings else None,
        blobs=(referenced_blobs(assembly), assembly.blobs.get),
        progress=progress,
    )
    return destination


def tar_stream(directory: Path) -> Iterator[bytes]:
    """The directory as a tar, a piece at a time; `checkpoint` is the last member."""
    buffer = io.BytesIO()
    paths = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != "checkpoint")
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in [*paths, directory / "checkpoint"]:
            tar.add(path, arcname=str(path.relative_to(directory)), recursive=False)
            if buffer.tell() >= CHUNK:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()
