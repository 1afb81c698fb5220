"""`assay serve` as a child process in a process group of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest


class Server:
    """One server with its workers. `settings` are ASSAY_* variables without the prefix."""

    def __init__(self, directory, port, workers, **settings):
        self.address = f"http://127.0.0.1:{port}"
        told = {f"ASSAY_{name.upper()}": str(value) for name, value in settings.items()}
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "service", "serve", "--data-dir", str(directory)),
                *("--port", str(port), "--workers", str(workers)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **told},
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the server stopped"
            try:
                if httpx.get(f"{self.address}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail("the server did not become ready")

    def wait_for_workers(self, count):
        """Until so many workers run; it answers as soon as the first does."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        deadline = time.monotonic() + 60
        while len(children.read_text().split()) != count:
            assert time.monotonic() < deadline, "not all workers came up"
            time.sleep(0.05)

    def kill(self):
        """SIGKILL to the master and every worker at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self):
        """SIGTERM: requests in flight get their receipts."""
        self._process.terminate()
        self._process.wait(60)


def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
