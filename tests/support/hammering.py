"""One log under several writers and readers at once, and what must hold when they are done."""

import itertools
import json
import shutil
import time
from dataclasses import dataclass

from fault_acts import ANCHOR, check_whole, make_template, open_anchored
from hammer import Worker, answers
from ledger.bound_tiles import BoundTiles
from ledger.export import export
from ledger.layout import DirectorySource
from ledger.note import VerifierKey, open_checkpoint
from ledger.receipt import Receipt
from ledger.verify import verify_export
from service.auditor.receipts import check_receipts, find_receipts

WRITERS = 4
READERS = 2


@dataclass(frozen=True)
class Hammered:
    """What came of it: entries, receipts kept, checkpoints and proofs that readers checked."""

    entries: int
    receipts: int
    checkpoints: int
    proofs: int
    killed: int


def hammer(directory, url, *, seconds, kill_every=None, say=lambda _: None):
    """Four writers and two readers for some seconds; with PostgreSQL, over two hosts.

    `kill_every`: so many seconds apart one writer gets SIGKILL, and another takes its place.
    """
    hosts = [directory / "east"]
    make_template(hosts[0], url)
    if url:
        hosts.append(_another_host(hosts[0], directory / "west"))
    kept = directory / "receipts"
    kept.mkdir()
    places, began = itertools.cycle(hosts), time.monotonic()
    end = began + seconds

    def writer(n):
        left = max(0.5, end - time.monotonic())
        return Worker("write", next(places), f"w{n}", left, kept / f"{n}.jsonl")

    writers = [writer(n) for n in range(WRITERS)]
    readers = [
        Worker("read", next(places), f"r{n}", seconds, directory / f"reader-{n}")
        for n in range(READERS)
    ]
    if not url:
        readers.append(Worker("move", hosts[0], "m", seconds, directory / "mover"))
    killed, next_kill = 0, began + (kill_every or seconds + 1)
    while time.monotonic() < end:
        time.sleep(0.2)
        say(f"hammered for {time.monotonic() - began:.0f} of {seconds} s, {killed} writers killed")
        if time.monotonic() > next_kill:
            writers[killed % WRITERS].kill()
            writers[killed % WRITERS] = writer(WRITERS + killed)
            killed += 1
            next_kill += kill_every
    for worker in (*writers, *readers):
        worker.finish()
    checked = [json.loads(r.out.read_text()) for r in readers[:READERS]]
    entries, receipts = _settle(directory, hosts, kept)
    return Hammered(
        entries,
        receipts,
        sum(c["checkpoints"] for c in checked),
        sum(c["proofs"] for c in checked),
        killed,
    )


def _another_host(first, directory):
    """A data directory of its own; the anchor too is copied, and followed from there."""
    directory.mkdir()
    for name in (ANCHOR, "database.url"):
        shutil.copy(first / name, directory / name)
    return directory


def _settle(directory, hosts, kept):
    """The log has no findings; every receipt is in it; a key is one entry for whoever used it."""
    found = [answer for out in sorted(kept.iterdir()) for answer in answers(out)]
    leaves = {}
    for answer in found:
        leaf = answer["receipt"]["leaf_index"]
        if answer["key"] is not None:
            assert leaves.setdefault(answer["key"], leaf) == leaf, "one key, two entries"
    log = open_anchored(hosts[0])
    check_whole(log, [Receipt.from_json(answer["receipt"]) for answer in found[::50]])
    place = directory / "export"
    export(log.ledger, place, vault=log.vault)
    checked = verify_export(DirectorySource(place), log.ledger.vkey)
    assert (checked.findings, checked.tree_size) == ((), log.ledger.size)
    _complete(place, kept, found, log.ledger.vkey)
    size = log.ledger.size
    log.engine.dispose()
    return size, len(found)


def _complete(place, kept, found, vkey):
    """Every receipt that was kept is in the exported log, as `assay audit --receipts` finds it."""
    shutil.rmtree(kept)
    kept.mkdir()
    (kept / "all.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in found))
    source = DirectorySource(place)
    checkpoint = open_checkpoint(source.read("checkpoint").decode(), vkey)
    tiles = BoundTiles(checkpoint, source.read)
    told = check_receipts(find_receipts(kept), VerifierKey.parse(vkey), tiles)
    (check,) = told.checks
    assert (check.examined, check.failed, check.unchecked) == (len(found), 0, 0), told.findings
