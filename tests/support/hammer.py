"""Writers and readers that work on one log for a while, each a process. Run as a program.

`write`: threads append; every third key is one that all writers use. Each answer is written to a
file as soon as it is there, as a client would keep its receipt.

`read`: takes checkpoints as they appear and asks for a consistency proof between each and every one
it took before; and for inclusion proofs. It ends with the first that does not hold.

`move`: moves SQLite's write-ahead log into the database as often as it can, as a second appender's
turn would, and outside of anybody's lock.
"""

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fault_acts import PRODUCER, open_anchored
from ledger.histories import verify_one_history
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import open_checkpoint
from ledger.store import truncate_wal
from logs import refusal

THREADS = 8
_PRINTING = threading.Lock()
ROOT = Path(__file__).parents[2]


class Worker:
    """One such process. `out` has what it told, a line each."""

    def __init__(self, what, directory, name, seconds, out):
        self.out = out
        with out.open("ab") as told:
            self.process = subprocess.Popen(
                [sys.executable, __file__, what, str(directory), name, str(seconds)],
                stdout=told,
                stderr=subprocess.PIPE,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
                },
            )

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def finish(self):
        _, said = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, said.decode()


def answers(out):
    """Every answer kept in a file, a last line cut off by its writer's death aside."""
    lines = out.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def write(directory, name, seconds):
    """Threads that append until the time is over; the first error ends the process with it."""
    log, end = open_anchored(directory), time.monotonic() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda thread: _write(log, f"{name}-{thread}", thread, end), range(THREADS)))


def _write(log, name, thread, end):
    for n in itertools.count():
        if time.monotonic() > end:
            return
        if n % 3 == 0:  # everybody's, at about the same time
            _keep([f"shared-{thread}-{n}"], [log.refuse(n, key=f"shared-{thread}-{n}")])
        elif n % 7 == 0:
            _keep([None], [log.predict([f"row {n}", f"row {n + 1}"], f"sub_{name}")])
        else:
            keys = [f"{name}-{n}-{k}" for k in range(1 + n % 4)]
            drafts = [(refusal(n, key=key), PRODUCER) for key in keys]
            _keep(keys, log.ledger.append_many(drafts))


def _keep(keys, done):
    with _PRINTING:
        for key, one in zip(keys, done, strict=True):
            told = {"key": key, "repeated": one.repeated, "receipt": one.receipt.to_json()}
            print(json.dumps(told), flush=True)


def read(directory, name, seconds):
    log, end = open_anchored(directory), time.monotonic() + seconds
    seen, proofs, rng = [], 0, random.Random(name)
    while time.monotonic() < end:
        note = log.ledger.checkpoint()
        now = open_checkpoint(note, log.ledger.vkey)
        if seen and seen[-1][0] == now.size:
            assert seen[-1][1] == note, "two checkpoints of one size"
            continue
        for size, old in seen:
            assert size < now.size, "the log went back"
            path = log.ledger.prove_consistency(size, now.size)
            verify_one_history(old, note, log.ledger.vkey, path)
            proofs += 1
        for index in {0, now.size - 1, rng.randrange(now.size)}:
            leaf = leaf_hash(log.ledger.entry(index).entry)
            path = log.ledger.prove(index, now.size)
            verify_inclusion(leaf, index, size=now.size, path=path, root=now.root)
        seen.append((now.size, note))
    print(json.dumps({"checkpoints": len(seen), "proofs": proofs}), flush=True)


def move(directory, _name, seconds):
    log, end = open_anchored(directory), time.monotonic() + seconds
    moved = 0
    while time.monotonic() < end:
        truncate_wal(log.engine)
        moved += 1
        time.sleep(0.002)
    print(json.dumps({"moved": moved}), flush=True)


if __name__ == "__main__":
    {"write": write, "read": read, "move": move}[sys.argv[1]](
        Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    )
