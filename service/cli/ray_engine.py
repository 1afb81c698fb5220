"""Ray, wrapped: parts of a replay as tasks on many cores or machines. Only this file imports it.

What to know about it (2.60):

- it counts its use over the network unless told not to, which is done before the import;
- it starts processes of its own, for seconds and hundreds of megabytes: never on the request path
  (a test holds the server to that);
- a task whose worker dies is run again, here up to three times; nothing a part does is seen outside
  it, so once more does no harm;
- where OpenTelemetry is there in part (evidently brings its protocol alone) Ray's agent dies, and
  with it everything, after half a minute of silence: so that is looked for first;
- it raises plain `Exception` when it does not start;
- workers get one core each, and read the export by its path: on several machines that is a shared
  file system.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from service.cli.given import CouldNotCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.auditor.recorded import Part
    from service.auditor.replay import PartReplay
    from service.cli.audit_parts import Task, Workers

RETRIES: Final = 3
STARTS: Final = 2
IN_FLIGHT: Final = 3  # tasks handed out per worker: none waits for the driver, memory stays small


@contextmanager
def ray_workers(count: int, address: str | None = None) -> Iterator[Workers]:
    """Workers on this machine, or of the cluster at an address. Raises CouldNotCheck."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    try:
        import ray
    except ModuleNotFoundError as error:
        raise CouldNotCheck("--engine ray needs the extra: pip install 'assay[ray]'") from error
    if find_spec("opentelemetry") is not None and find_spec("opentelemetry.metrics") is None:
        raise CouldNotCheck("--engine ray needs one package more: pip install opentelemetry-sdk")
    where: dict[str, Any] = {"num_cpus": count, "include_dashboard": False}
    if address is not None:
        where = {"address": address}
    _start(ray, where)
    try:

        def run(task: Task, parts: Sequence[Part]) -> Iterator[tuple[int, PartReplay]]:
            return _run(ray, task, parts, at_once=count * IN_FLIGHT)

        yield run
    finally:
        ray.shutdown()


def _start(ray: Any, where: dict[str, Any]) -> None:  # noqa: ANN401 - the module
    """Start Ray or join it. On a busy machine its half minute may not do: then once more."""
    for left in reversed(range(STARTS)):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
        except Exception as error:
            ray.shutdown()
            if not left:
                told = " ".join(str(error).split())[:200]
                raise CouldNotCheck(f"--engine ray: it does not start: {told}") from error
        else:
            return


def _run(
    ray: Any,  # noqa: ANN401 - the module
    task: Task,
    parts: Sequence[Part],
    *,
    at_once: int,
) -> Iterator[tuple[int, PartReplay]]:
    """Results as they come, a bounded number of parts handed out at a time."""

    def run(part: Part) -> PartReplay:  # it takes plain functions alone
        return task(part)

    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(run)
    waiting = list(enumerate(parts))[::-1]
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            place, part = waiting.pop()
            running[remote.remote(part)] = place
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            place = running.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                leaves = f"leaves {parts[place].first} to {parts[place].end}"
                told = str(error).strip().rpartition("\n")[2][:200]
                raise CouldNotCheck(f"--engine ray: {leaves} could not be run: {told}") from error
            yield place, result
