"""What the ledger costs: appends against a plain table and against pymerkle, proofs, audit.

All sides write entries of about 1 KiB to SQLite with `synchronous=FULL`; a batch is one commit.
"""

import os
import tempfile
import threading
from pathlib import Path

import ledger_stores
import pymerkle
from harness import Row, interleave, median_wall, ratio

from ledger.export import export
from ledger.keys import Role, SigningKey
from ledger.layout import DirectorySource
from ledger.log import Ledger
from ledger.merkle import Frontier, leaf_hash, root_of
from ledger.record import Draft
from ledger.store import create_schema, open_engine, writer
from ledger.tiles import TILE_WIDTH, inclusion_from_tiles, split_bundle, tile_path
from ledger.vault import Vault
from ledger.verify import verify_export
from service.signers import introduction

COMMAND = "make bench ARGS=ledger"
TIME = "2026-11-25T03:20:00.123Z"
PADDING = "x" * 560  # brings an entry to about 1 KiB
ROUNDS = 7


def draft():
    """A record of about 1 KiB."""
    return Draft(
        type="refusal",
        actor_id="bench",
        data={"cause": "Bench", "model_digest": "sha256:" + "0" * 64, "detail": PADDING},
        event_time=TIME,
    )


class Ours:
    """A ledger of its own."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        self.engine = open_engine(f"sqlite:///{directory / 'ours.db'}")
        create_schema(self.engine)
        key = SigningKey.generate()
        self.log = Ledger.create(
            self.engine, origin="bench.example/log", log_key=key, data_dir=directory
        )
        operator, self.producer = SigningKey.generate(), SigningKey.generate()
        for role, made in ((Role.OPERATOR, operator), (Role.PRODUCER, self.producer)):
            self.log.append(introduction(made, role, "bench", event_time=TIME), operator)

    def append(self, commits, batch):
        """Signed, in the tree, under a signed checkpoint, durable, with receipts."""
        for _ in range(commits):
            self.log.append_many([(draft(), self.producer)] * batch)

    def append_by_threads(self, threads, each):
        """Single appends by many threads: group commit."""
        workers = [threading.Thread(target=self.append, args=(each, 1)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


class Plain:
    """The table people write without a ledger: id and bytes, same durability, no proof."""

    def __init__(self, directory):
        self.engine = open_engine(f"sqlite:///{directory / 'plain.db'}")
        with writer(self.engine).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB)")

    def append(self, commits, batch):
        """Insert and commit."""
        body = os.urandom(1024)
        for _ in range(commits):
            with writer(self.engine).begin() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO record (body) VALUES (?)", [(body,)] * batch
                )


class Peer:
    """pymerkle on SQLite: one commit per entry is all it offers."""

    def __init__(self, directory):
        self.tree = pymerkle.SqliteTree(str(directory / "peer.db"))

    def append(self, entries):
        """Append single entries."""
        for _ in range(entries):
            self.tree.append_entry(os.urandom(1024))


def appends(directory):
    """Rates by batch, and the two ratios with goals."""
    rows = []
    ours, plain, peer = Ours(directory / "a"), Plain(directory), Peer(directory)
    for batch, commits in ((1, 60), (64, 12), (512, 3)):
        found = interleave(
            {
                "ours": lambda c=commits, b=batch: ours.append(c, b),
                "plain": lambda c=commits, b=batch: plain.append(c, b),
            },
            ROUNDS,
        )
        rate = commits * batch / median_wall(found["ours"])
        cost = ratio(found, "ours", "plain")
        goal = "<= 2" if batch == 64 else ""
        met = cost <= 2 if batch == 64 else None
        rows.append(
            Row(
                "ledger",
                f"durable appends/s, SQLite, batch {batch}",
                f"{rate:,.0f}",
                "",
                None,
                COMMAND,
            )
        )
        rows.append(
            Row(
                "ledger",
                f"cost over a plain durable insert, batch {batch}",
                f"{cost:.2f}x",
                goal,
                met,
                COMMAND,
            )
        )
    found = interleave(
        {"ours": lambda: ours.append(1, 64), "peer": lambda: peer.append(64)}, ROUNDS
    )
    faster = ratio(found, "peer", "ours")
    rows.append(
        Row(
            "ledger",
            "64 appends against pymerkle's (SQLite)",
            f"{faster:.1f}x faster",
            ">= 20x",
            faster >= 20,
            COMMAND,
        )
    )
    found = interleave({"32 threads": lambda: ours.append_by_threads(32, 16)}, 3)
    rate = 32 * 16 / median_wall(found["32 threads"])
    rows.append(
        Row(
            "ledger",
            "durable appends/s, 32 threads, one entry each",
            f"{rate:,.0f}",
            "",
            None,
            COMMAND,
        )
    )
    return rows


def audits(directory):
    """Entries a second: every signature and hash; and hashes and root alone."""
    ours = Ours(directory / "b")
    ours.append(20, 512)
    target = directory / "export"
    export(ours.log, target, vault=Vault(os.urandom(32), ours.engine))
    size = ours.log.size

    def whole():
        findings = verify_export(DirectorySource(target), ours.log.vkey)
        assert findings.failed == 0

    def roots():
        frontier = Frontier()
        for first in range(0, size, TILE_WIDTH):
            width = min(TILE_WIDTH, size - first)
            bundle = (target / tile_path(None, first // TILE_WIDTH, width)).read_bytes()
            frontier.extend(leaf_hash(entry) for entry in split_bundle(bundle, width))
        assert frontier.size == size

    found = interleave({"whole": whole, "roots": roots}, 5)
    rate, bare = (size / median_wall(found[name]) for name in ("whole", "roots"))
    return [
        Row(
            "ledger",
            "audit, every signature, hash and form: entries/s, one core",
            f"{rate:,.0f}",
            ">= 10,000",
            rate >= 10_000,
            COMMAND,
        ),
        Row(
            "ledger",
            "audit, leaf hashes and root alone: entries/s, one core",
            f"{bare:,.0f}",
            "",
            None,
            COMMAND,
        ),
    ]


def proofs():
    """An inclusion proof in a tree of a million leaves, out of tiles in memory."""
    size = 1_000_000
    level = [leaf_hash(n.to_bytes(4, "big")) for n in range(size)]
    tiles, depth = {}, 0
    while level:
        for n in range(0, len(level), TILE_WIDTH):
            tiles[depth, n // TILE_WIDTH] = b"".join(level[n : n + TILE_WIDTH])
        full = len(level) // TILE_WIDTH
        level = [root_of(level[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]) for n in range(full)]
        depth += 1

    def prove():
        for index in range(0, size, size // 500):
            inclusion_from_tiles(index, size, lambda at, n, width: tiles[at, n][: 32 * width])

    found = interleave({"prove": prove}, 5)
    each = 1000 * median_wall(found["prove"]) / 500
    return [
        Row("ledger", "inclusion proof at 1 million entries, ms", f"{each:.2f}", "", None, COMMAND)
    ]


def rows():
    """Every row of this area."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        return [
            *appends(directory),
            *ledger_stores.rows(directory),
            *audits(directory),
            *proofs(),
        ]
