"""Parts of a replay, run anywhere and kept: what makes an audit divisible and resumable.

A part is run by `run_part` alone, with nothing but the export: here one after the other, or on
other machines (`ray_engine`). With a directory for it, each part's result is kept there under what
it depends on: the log, its tree, the policy and this program. An audit that was cut off reads those
back and runs the rest; one of another tree begins anew in another directory.

Results are put together in leaf order whoever finished first, so the report is the same bytes.
"""

from __future__ import annotations

import functools
import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.auditor.replay import PartReplay, replay_part
from service.cli.given import CouldNotCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from service.auditor.comparing import Rerun
    from service.auditor.recorded import Part
    from service.verification.policy import Policy

    Task = Callable[[Part], PartReplay]
    # Runs the task on every part, in any order; gives each part's place and result.
    Workers = Callable[[Task, Sequence[Part]], Iterable[tuple[int, PartReplay]]]

MODELS_KEPT: Final = 16  # loaded in one process
_PACKAGES: Final = ("ledger", "models", "service")


def in_order(task: Task, parts: Sequence[Part]) -> Iterator[tuple[int, PartReplay]]:
    """Run parts here, one after the other."""
    yield from ((place, task(part)) for place, part in enumerate(parts))


def run_part(part: Part, *, policy: Policy) -> PartReplay:
    """Run one part again, loading models from its export; those that loaded are kept."""
    from service.cli.auditing import loader

    load = loader(part.source)

    def kept(digest: str) -> Rerun:
        if digest not in _LOADED:
            made = load(digest)  # a model's digest covers all its bytes: any export's will do
            while len(_LOADED) >= MODELS_KEPT:
                _LOADED.pop(next(iter(_LOADED)))
            _LOADED[digest] = made
        return _LOADED[digest]

    return replay_part(part, kept, policy=policy)


_LOADED: dict[str, Rerun] = {}


def run_parts(
    task: Task,
    workers: Workers,
    kept: KeptParts | None,
    progress: Callable[[int], None] | None,
    parts: Sequence[Part],
) -> list[PartReplay]:
    """Every part's result, in leaf order; those that were kept are not run."""
    found: dict[int, PartReplay] = {}
    if kept is not None:
        for place, part in enumerate(parts):
            known = kept.read(part)
            if known is not None:
                found[place] = known
                if progress is not None:
                    progress(known.rows)
    missing = [place for place in range(len(parts)) if place not in found]
    for at, result in workers(task, [parts[place] for place in missing]):
        place = missing[at]
        found[place] = result
        if kept is not None:
            kept.keep(parts[place], result)
        if progress is not None:
            progress(result.rows)
    return [found[place] for place in range(len(parts))]


class KeptParts:
    """Finished parts of one audit in a directory."""

    def __init__(self, directory: Path, told: Mapping[str, str]) -> None:
        """Raises CouldNotCheck when the directory holds another audit's parts."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        job = directory / "audit.json"
        wanted = dict(told)
        try:
            found = json.loads(job.read_text("utf-8"))
        except FileNotFoundError:
            _write(job, wanted)
            return
        except (OSError, ValueError) as error:
            raise CouldNotCheck(f"--work: {job} cannot be read: {error}") from error
        if found != wanted:
            raise CouldNotCheck(
                f"--work: {directory} holds parts of another audit (log, tree, policy or program "
                f"differ); name another directory, or remove it: rm -r {directory}"
            )

    def read(self, part: Part) -> PartReplay | None:
        """A part that was finished before; None when it was not, or what was kept is damaged."""
        try:
            return PartReplay.from_json(json.loads(self._path(part).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, part: Part, result: PartReplay) -> None:
        """Put a finished part down, whole or not at all."""
        _write(self._path(part), result.to_json())

    def _path(self, part: Part) -> Path:
        return self._directory / f"{part.first}-{part.end}.json"


def _write(path: Path, value: Mapping[str, Any]) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(value, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(path)


@functools.cache
def program_digest() -> str:
    """SHA-256 over this program's own files: parts kept by another version are not gone on with."""
    root, hashed = Path(__file__).parents[2], sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            data = path.read_bytes()
            hashed.update(f"{path.relative_to(root).as_posix()} {len(data)}\n".encode() + data)
    return "sha256:" + hashed.hexdigest()
