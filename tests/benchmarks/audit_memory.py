"""What an audit holds in memory, and what it fetches: a short log against one ten times as long.

Exports are written straight to disk, one prediction of one row with its opening per entry, one
checkpoint per 64 entries, one seal per 8,192. Each audit runs in a process of its own; memory is the most it ever held
(`ru_maxrss`), imports included, so the difference between two sizes is what the log costs. Over HTTP
the server is a thread of this process, on loopback.

By hand: python tests/benchmarks/audit_memory.py [SHORT LONG], in thousands of entries.
"""

import contextlib
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from harness import ROOT, Row

from ledger.canonical import canonical_bytes
from ledger.keys import Role
from ledger.layout import Index, openings_path
from ledger.merkle import Frontier, leaf_hash, root_of
from ledger.note import Checkpoint, sign_checkpoint
from ledger.record import Draft, assemble, encode_body, make_opening, row_object, signed_message
from ledger.tiles import TILE_WIDTH, encode_bundle, tile_path, tiles_for
from service.verification.policy import DEFAULT_POLICY

COMMAND = "make bench ARGS=audit"
SHORT, LONG, NEW = 10, 100, 1  # thousands of entries, made multiples of 256
BATCH = 64  # entries per checkpoint
DAY = 8_192  # entries per seal: a check keeps the leaf hashes since the last one
MEMORY_GOAL = 1.25  # of the short log's memory, for ten times the entries


def paper():
    """The auditor's paper log: keys, one published and approved model, and how to sign."""
    path = ROOT / "tests/service/auditor/conftest.py"
    spec = importlib.util.spec_from_file_location("bench_paper", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Growing:
    """An export on disk that grows by whole bundles."""

    def __init__(self, directory):
        self.directory, self.module = directory, paper()
        self.log = self.module.PaperLog()
        self.digest = self.log.publish()
        self.log.approve(self.digest)
        self.files, self.size, self.sealed = {}, 0, 0
        self.frontier, self.leaves = Frontier(), []
        self.entries, self.openings, self.notes = [], [], []
        for entry in self.log.entries:
            self._add(entry)
        for digest, data in self.log.blobs.items():
            self._write("blobs/" + digest.removeprefix("sha256:"), data)

    def grow(self, size):
        """Add predictions up to a size, a multiple of 256; then index and checkpoint."""
        while self.size < size:
            sealed = self.size % DAY == 0
            self._add(self._seal() if sealed else self._prediction(float(self.size % 7)))
        levels = [self.leaves]
        while len(levels[-1]) >= TILE_WIDTH:
            below = levels[-1]
            full = range(0, len(below) - TILE_WIDTH + 1, TILE_WIDTH)
            levels.append([root_of(below[i : i + TILE_WIDTH]) for i in full])
        for stale in [path for path in self.files if ".p/" in path]:
            (self.directory / stale).unlink()
            del self.files[stale]
        for tile in tiles_for(self.size):
            if tile.level is not None:
                first = tile.n * TILE_WIDTH
                self._write(str(tile), b"".join(levels[tile.level][first : first + tile.width]))
        self._write("checkpoints.jsonl", b"".join(self.notes))
        index = Index(self.module.ORIGIN, self.size, self.files)
        (self.directory / "index.json").write_bytes(index.to_bytes())
        (self.directory / "checkpoint").write_text(self.note)

    def _prediction(self, x):
        output = self.module.margin(x, 1.0)
        values = {"x": self.module.bits(x), "y": self.module.bits(1.0)}
        opening, inputs, outputs = make_opening(0, values, {"margin_q16": str(output)}, os.urandom)
        line = canonical_bytes({"leaf_index": self.size, "opening": opening.to_json()})
        self.openings.append(line + b"\n")
        data = {
            "model_digest": self.digest,
            "model_name": "trade-signal",
            "policy_digest": DEFAULT_POLICY.digest,
            "environment_digest": self.module.sha(self.module.ENVIRONMENT),
            "verification_mode": "signed",
            "as_of": None,
            "caller_reference": None,
            "row_count": 1,
            "row": row_object(0, inputs, outputs, self.module.decide(output)),
        }
        return self._signed("prediction", data, Role.PRODUCER)

    def _seal(self):
        first, self.sealed = self.sealed, self.size
        data = {
            "period": "2026-11-25",
            "first_index": first,
            "count": self.size - first,
            "root": root_of(self.leaves[first:]).hex(),
            "checkpoint_size": self.size,
        }
        return self._signed("seal", data, Role.REPORTER)

    def _signed(self, kind, data, role):
        key = self.log.keys[role]
        draft = Draft(type=kind, actor_id="bench", data=data, event_time=self.module.TIME)
        seq = self.log.seq.get(key.key_id, 0)
        self.log.seq[key.key_id] = seq + 1
        body = encode_body(draft, origin=self.module.ORIGIN, producer=key.key_id, seq=seq)
        return assemble(body, key.sign(signed_message(body)))

    def _add(self, entry):
        self.entries.append(entry)
        self.leaves.append(leaf_hash(entry))
        self.frontier.append(self.leaves[-1])
        self.size += 1
        if self.size % BATCH == 0:
            checkpoint = Checkpoint(self.module.ORIGIN, self.size, self.frontier.root())
            self.note = sign_checkpoint(checkpoint, self.log.signer)
            self.notes.append(canonical_bytes({"note": self.note, "size": self.size}) + b"\n")
        if self.size % TILE_WIDTH == 0:
            n = self.size // TILE_WIDTH - 1
            self._write(tile_path(None, n), encode_bundle(self.entries))
            self._write(openings_path(n), b"".join(self.openings))
            self.entries, self.openings = [], []

    def _write(self, path, data):
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        self.files[path] = "sha256:" + hashlib.sha256(data).hexdigest()


CHILD = """
import json, resource, sys, tempfile, time
from pathlib import Path
from ledger.layout import DirectorySource
from service.auditor.state import AuditState
from service.auditor.web import WebSource
from service.cli.auditing import Asked, audit_source

place, vkey, state, replay = sys.argv[1:]
kept = Path(state)
earlier = AuditState.parse(kept.read_bytes()) if kept.exists() else None
with tempfile.TemporaryDirectory() as spool:
    web = place.startswith("http")
    source = WebSource(place, Path(spool)) if web else DirectorySource(Path(place))
    began = time.perf_counter()
    audit = audit_source(source, vkey, Asked(replay=replay == "replay", earlier=earlier))
    wall = time.perf_counter() - began
assert audit.state is not None, audit.report.findings[:3]
kept.write_bytes(audit.state.to_bytes())
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"mib": most, "seconds": wall, "state_bytes": kept.stat().st_size}))
"""


def audit(place, vkey, state, *, replay=False):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, place, vkey, state, "replay" if replay else "no"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


@contextlib.contextmanager
def serving(directory):
    """A static file server that counts requests and bytes."""

    class Site(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def copyfile(self, source, outputfile):
            data = source.read()
            server.sent.append(len(data))
            outputfile.write(data)

        def log_message(self, *_):
            pass

    handler = functools.partial(Site, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.sent = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def measure(short, long):
    """Figures by name: both sizes from a directory, the long one over HTTP, then what is new."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        export = Growing(Path(scratch) / "export")
        vkey, place = export.log.vkey, str(export.directory)

        def state(name):
            return str(Path(scratch) / name)

        export.grow(short)
        found["short"] = audit(place, vkey, state("short"))
        found["short replayed"] = audit(place, vkey, state("short replayed"), replay=True)
        export.grow(long)
        found["long"] = audit(place, vkey, state("long"))
        found["long replayed"] = audit(place, vkey, state("long replayed"), replay=True)
        with serving(export.directory) as (url, sent):
            found["web"] = audit(url, vkey, state("web"))
            found["web"]["fetched"] = sum(sent)
            export.grow(long + TILE_WIDTH * (NEW * 1000 // TILE_WIDTH))
            sent.clear()
            found["resumed"] = audit(url, vkey, state("web"))
            found["resumed"]["fetched"] = sum(sent)
            found["resumed"]["files"] = len(sent)
    return found


def rows(short=SHORT, long=LONG):
    """The lines of the table."""
    low, high = (1000 * size // TILE_WIDTH * TILE_WIDTH for size in (short, long))
    found = measure(low, high)
    mib = {name: figures["mib"] for name, figures in found.items()}

    def flat(name, above, below):
        times = mib[above] / mib[below]
        told = f"{mib[above]:,.0f} MiB, {times:.2f}x"
        goal, met = f"<= {MEMORY_GOAL}x", times <= MEMORY_GOAL
        return Row("audit", f"{name}, against {low:,} entries", told, goal, met, COMMAND)

    yield flat(f"audit memory, {high:,} entries in a directory", "long", "short")
    yield flat(f"audit memory, {high:,} entries, models run", "long replayed", "short replayed")
    yield flat(f"audit memory, {high:,} entries over HTTP", "web", "short")
    share = found["resumed"]["fetched"] / found["web"]["fetched"]
    told = f"{found['resumed']['fetched'] / 1e6:,.1f} MB, {share:.1%}"
    name = f"fetched to go on by {NEW * 1000 // TILE_WIDTH * TILE_WIDTH} entries after {high:,}"
    yield Row("audit", name, told, "", None, COMMAND)
    rate = high / found["long"]["seconds"]
    yield Row(
        "audit", "audit without models, entries/s, one core", f"{rate:,.0f}", "", None, COMMAND
    )
    rate = high / found["web"]["seconds"]
    yield Row("audit", "the same over HTTP, entries/s", f"{rate:,.0f}", "", None, COMMAND)
    kept = found["long"]["state_bytes"]
    yield Row("audit", "state kept between audits, bytes", f"{kept:,}", "", None, COMMAND)


if __name__ == "__main__":
    for row in rows(*map(int, sys.argv[1:])):
        print(f"{row.name:<75} {row.value:>20}  {row.goal} {row.met}", flush=True)
