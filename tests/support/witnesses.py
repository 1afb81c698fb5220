"""`assay witness` as a real process, and policy files that name such witnesses."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from ledger.witness import Witness
from service.assembly import assemble
from service.witness import wall_clock


class WitnessProcess:
    """A witness served by child processes; `kill` is kill -9."""

    def __init__(self, directory, name, *, logs=()):
        self.directory = directory
        self.state = Witness.create(directory, name, wall_clock)
        for vkey in logs:
            self.state.add_log(vkey)
        self.vkey = self.state.vkey
        self._processes = []

    def start(self):
        """One more process over the same state; its address."""
        port = free_port()
        command = [sys.executable, "-m", "service", "witness", "serve"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data-dir", str(self.directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._processes.append(process)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, "the witness stopped"
            try:
                if httpx.get(f"{address}/healthz", timeout=2).status_code == 200:
                    return address
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail("the witness did not become ready")

    def kill(self):
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def held(self):
        (log,) = self.state.logs()
        return log.held

    def evidence(self):
        (log,) = self.state.logs()
        return log.evidence


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def policy_file(path, house, witnesses, quorum="any"):
    """A policy over `(vkey, url)` pairs called w1, w2, …; returns its path."""
    lines = [f"log {house.ledger.vkey}"]
    lines += [f"witness w{n} {vkey} {url or ''}" for n, (vkey, url) in enumerate(witnesses, 1)]
    names = " ".join(f"w{n}" for n in range(1, len(witnesses) + 1))
    path.write_text(
        "\n".join([*lines, f"group all-of-them {quorum} {names}", "quorum all-of-them\n"])
    )
    return path


def with_policy(house, path):
    """The same house, opened again with a witness policy."""
    house.engine.dispose()
    return assemble(house.settings.model_copy(update={"witness_policy": path}))
