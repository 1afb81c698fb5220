"""One log on SQLite and on PostgreSQL, written by one process and by four.

PostgreSQL is a fresh server on the same disk, over a Unix socket, `fsync` and `synchronous_commit` on.
Processes append single entries from 32 threads in all for the same seconds; all start together.
"""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from harness import Row, interleave, median_wall, ratio

import postgres
from ledger.keys import Role
from logs import create_log, key_of, open_log, refusal

COMMAND = "make bench ARGS=ledger"
ROUNDS = 5
THREADS = 32
SECONDS = 4

# Told to begin by a line; appends single entries by some threads for some seconds; prints how many.
APPENDER = """
import sys, threading, time
from pathlib import Path
from ledger_stores import draft
from logs import Role, key_of, open_log
threads, seconds = int(sys.argv[2]), float(sys.argv[3])
log, counts, key = open_log(Path(sys.argv[1])), [0] * threads, key_of(Role.PRODUCER)
log.ledger.append(draft(), key)
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + seconds
def work(n):
    while time.monotonic() < end:
        log.ledger.append(draft(), key)
        counts[n] += 1
workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print(sum(counts), flush=True)
"""


def draft():
    """A record of about 1 KiB."""
    made = refusal()
    return type(made)(
        type=made.type,
        actor_id="bench",
        data={**made.data, "detail": "x" * 560},
        event_time=made.event_time,
    )


def batches(sqlite, server):
    """Durable appends a second by batch, side by side."""
    key, rows = key_of(Role.PRODUCER), []
    for batch, commits in ((1, 40), (64, 10), (512, 3)):

        def append(log, batch=batch, commits=commits):
            for _ in range(commits):
                log.ledger.append_many([(draft(), key)] * batch)

        found = interleave({"sqlite": lambda: append(sqlite), "pg": lambda: append(server)}, ROUNDS)
        rate = commits * batch / median_wall(found["pg"])
        rows += [
            Row(
                "ledger",
                f"durable appends/s, PostgreSQL, batch {batch}",
                f"{rate:,.0f}",
                "",
                None,
                COMMAND,
            ),
            Row(
                "ledger",
                f"PostgreSQL's time over SQLite's, batch {batch}",
                f"{ratio(found, 'pg', 'sqlite'):.2f}x",
                "",
                None,
                COMMAND,
            ),
        ]
    return rows


def appended_by(directory, processes):
    """Entries a second that some processes append together."""
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    command = f"import sys; sys.path[:0] = {path!r}\n{APPENDER}"
    arguments = [str(directory), str(THREADS // processes), str(SECONDS)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    return sum(int(child.communicate()[0]) for child in children) / SECONDS


def processes(name, directory):
    """One process against four, taking turns."""
    rates = {count: [] for count in (1, 4)}
    for turn in range(3):
        for count in (1, 4) if turn % 2 == 0 else (4, 1):
            rates[count].append(appended_by(directory, count))
    middle = {count: sorted(found)[1] for count, found in rates.items()}
    return [
        Row(
            "ledger",
            f"durable appends/s, {name}, {count} process{'es' if count > 1 else ''}, {THREADS} threads",
            f"{middle[count]:,.0f}",
            "",
            None,
            COMMAND,
        )
        for count in (1, 4)
    ]


@contextmanager
def server():
    programs, _ = postgres.find_programs()
    if programs is None:
        yield None
        return
    started = postgres.Server(programs)
    try:
        yield started
    finally:
        started.stop()


def rows(directory):
    """Every row; PostgreSQL's are left out where it is not installed."""
    found = []
    sqlite = create_log(directory / "stores-sqlite")
    with server() as running:
        if running is not None:
            with running.database() as url:
                log = create_log(directory / "stores-pg", url)
                found += batches(sqlite, log)
                found += processes("PostgreSQL", directory / "stores-pg")
                check(directory / "stores-pg")
        found += processes("SQLite", directory / "stores-sqlite")
        check(directory / "stores-sqlite")
    sqlite.engine.dispose()
    return found


def check(directory):
    """What was measured was one log: every leaf is there once."""
    log = open_log(directory)
    assert [stored.index for stored in log.ledger.entries()] == list(range(log.ledger.size))
    log.engine.dispose()
