"""The n-th system call of a kind fails, or kills its process: `strace` injects, a whole check follows.

`Stand` is a process with everything imported; each attempt is a fork of it, so a sweep over hundreds
of calls costs a hundredth of a second for each and not a second. A fork prepares itself (opens the
log, warms up), waits until it is traced, then does one thing of `fault_acts.py` and tells each
receipt at once, so that what it had told before it died is known.

`when` counts per system call, so a sweep first traces one run to the end (`Stand.calls`), and then
fails each of the calls seen there. What is traced and what is not: `CALLS`. Reading is not: a
database that cannot be read answers nothing, which other tests hold.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
# What changes a file, or opens one. strace takes a regular expression, so that an architecture
# without one of the calls is none the worse.
CALLS = "openat|p?write(64|v)?|f(data)?sync|ftruncate|rename(at2?)?|unlink(at)?|mkdir(at)?|flock"
SOCKETS = "sendto|recvfrom"  # what a PostgreSQL client asks of the system
SERVER_CALLS = "openat|p?write(64|v)?|fallocate|f(data)?sync"  # and its server, for one client
# What strace injects at the n-th call; with a plus, at each from there on: a disk stays full.
FAULTS = {
    "SIGKILL": "signal=SIGKILL:when={}",
    "EIO": "error=EIO:when={}",
    "ENOSPC": "error=ENOSPC:when={}",
    "EIO from then on": "error=EIO:when={}+",
    "ENOSPC from then on": "error=ENOSPC:when={}+",
    "ECONNRESET": "error=ECONNRESET:when={}",
}
ON_FILES = ("SIGKILL", "EIO", "ENOSPC", "EIO from then on", "ENOSPC from then on")
ONCE = ("SIGKILL", "EIO", "ENOSPC")
WAIT_S = 60
MESSAGE_MAX = 1 << 20
_CALL = re.compile(r"^(\d+) +(\w+)\(")


@dataclass(frozen=True)
class Point:
    """One system call of a run: the n-th of its name, and what happens to it."""

    call: str
    nth: int
    fault: str

    def __str__(self):
        return f"{self.fault} at {self.call} {self.nth}"


@dataclass(frozen=True)
class Outcome:
    """What an attempt told before it ended, and how it ended."""

    told: list
    error: tuple | None  # class and words of what it raised
    killed: bool
    injected: bool
    trace: str


def why_not():
    """Why nothing can be injected here, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return f"strace may not trace: {tried.stderr.strip()[:200]}" if tried.returncode else ""


class Stand:
    """A process to fork attempts from. One attempt at a time."""

    def __init__(self):
        reason = why_not()
        if reason:
            pytest.skip(reason)
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._here.settimeout(WAIT_S)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, str(SUPPORT / "fault_acts.py"), str(there.fileno())],
                pass_fds=[there.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)])},
            )
        self._scratch = tempfile.TemporaryDirectory(prefix="assay-faults-")

    def stop(self):
        self._here.close()
        self._process.kill()
        self._process.wait()
        self._scratch.cleanup()

    def calls(self, act, directory, **how):
        """How often each system call is made by an act that nothing disturbs, at most by one."""
        outcome = self.attempt(act, directory, **how)
        assert (outcome.error, outcome.killed) == (None, False), outcome
        names = (_CALL.match(line) for line in outcome.trace.splitlines())
        wanted = re.compile(how.get("traced", CALLS))
        made = Counter((m[2], m[1]) for m in names if m and wanted.fullmatch(m[2]))
        most = Counter()
        for (call, _), count in made.items():
            most[call] = max(most[call], count)
        return most

    def attempt(self, act, directory, point=None, *, tag="0", traced=CALLS, others=None):
        """Run an act on a directory; with a point, disturbed there. `tag`: of what it records.

        `others()`: the processes to trace in place of the one that acts, once it is ready.
        """
        self._send({"act": act, "directory": str(directory), "tag": tag})
        first = self._take()
        assert "ready" in first, "the attempt could not be prepared"
        pids = others() if others else [first["ready"]]
        trace = Path(self._scratch.name) / "trace"
        inject = [] if point is None else ["-e", f"inject={point.call}:{_fault(point)}"]
        tracer = subprocess.Popen(
            [
                *("strace", "-f", "-o", str(trace), "-e", f"trace=/^({traced})$"),
                *inject,
                *(f"--attach={pid}" for pid in pids),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for _ in pids:
                told = tracer.stderr.readline()
                if "ermitted" in told:
                    pytest.skip(f"strace may not trace: {told}")
                assert "attached" in told, told
            self._send("go")
            answers = [self._take()]
            while "exit" not in answers[-1]:
                answers.append(self._take())
        finally:
            if others and tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)  # it may trace somebody who stays
            tracer.communicate(timeout=WAIT_S)
        text = trace.read_text("utf-8", "replace")
        status = answers.pop()["exit"]
        errors = [(a["error"], a["text"]) for a in answers if "error" in a]
        killed = status < 0
        assert killed or status == 0, f"the attempt ended with status {status}"
        return Outcome(
            [answer["told"] for answer in answers if "told" in answer],
            errors[0] if errors else None,
            killed,
            "(INJECTED)" in text or "killed by SIGKILL" in text,
            text,
        )

    def _send(self, value):
        self._here.send(json.dumps(value).encode())

    def _take(self):
        return json.loads(self._here.recv(MESSAGE_MAX))


def _fault(point):
    return FAULTS[point.fault].format(point.nth)


def points(calls, faults, every=1):
    """Each call of a traced run under each fault, or a sample: every n-th of them."""
    every_one = [
        Point(call, nth, fault)
        for fault in faults
        for call in sorted(calls)
        for nth in range(1, calls[call] + 1)
    ]
    return every_one[::every]


def copy_of(template, directory):
    """A fresh directory as the template is."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(template, directory)
    return directory
