"""Child processes of the demo: the same commands a customer types."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 60  # a cold start imports scipy from a cold disk
AUDIT_S = 300
DRIFT_S = 300


def command(*arguments: str) -> list[str]:
    """`assay ...` under this interpreter."""
    return [sys.executable, "-m", "service", *arguments]


def free_port(wanted: int | None) -> int:
    """The wanted port, or any free one on loopback. Raises ServiceError when it is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise ServiceError(
                409, "port-taken", f"port {wanted} is taken; choose another with --port N"
            ) from error
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def server(data_dir: Path, port: int) -> Iterator[str]:
    """`assay serve` on loopback, ready; stopped, with its requests drained, at the end."""
    log = (data_dir / "server.log").open("wb")
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        command("serve", "--data-dir", str(data_dir), "--port", str(port)),
        stdout=log,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(process, address, data_dir / "server.log")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=2).status_code == HTTPStatus.OK:
                return
        time.sleep(0.1)
    tail = log.read_text(errors="replace")[-600:]
    raise ServiceError(500, "server-not-ready", f"the server did not become ready; its log: {tail}")


def start_drift(data_dir: Path) -> subprocess.Popen[bytes]:
    """Measure drift in the scheduler's process while the demo goes on."""
    log = (data_dir / "scheduler.log").open("wb")
    with log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command("scheduler", "--data-dir", str(data_dir), "--once", "drift"),
            stdout=log,
            stderr=log,
        )


def wait_for_drift(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Wait until drift is recorded. Raises ServiceError, with the log's end, when it was not."""
    if process.wait(timeout=DRIFT_S):
        tail = (data_dir / "scheduler.log").read_text(errors="replace")[-600:]
        raise ServiceError(500, "drift-failed", f"assay scheduler --once drift failed: {tail}")


@dataclass(frozen=True, slots=True)
class Audited:
    """What `assay audit` said: exit status, its report, its printed text."""

    status: int
    report: dict[str, Any]
    text: str


def audit(export: Path, vkey: Path, report: Path) -> Audited:
    """Run `assay audit` in a process of its own, as an outsider would."""
    report.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        command("audit", str(export), "--key", str(vkey), "--json", str(report)),
        capture_output=True,
        text=True,
        timeout=AUDIT_S,
        check=False,
    )
    if not report.exists():
        raise ServiceError(500, "audit-failed", f"assay audit wrote no report: {done.stderr}")
    return Audited(done.returncode, json.loads(report.read_text("utf-8")), done.stdout)
