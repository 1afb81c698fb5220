"""The same over PostgreSQL: connections cut at every send and receive; a server whose disk fails.

A server's process that is killed, or cannot sync, takes all its connections down and recovers, which
takes seconds: every fourth call, unless ASSAY_TORTURE_EVERY says otherwise (1 is each).
"""

import os

import pytest

from fault_postgres import ClientBench, ServerBench
from faults import ONCE, points

EVERY = int(os.environ.get("ASSAY_TORTURE_EVERY", "4"))
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def server(postgres_server):
    return postgres_server


# A send that fails while the connection goes on is nothing that happens: the client would wait for
# an answer to what it never sent, until the server gives up on it.
@pytest.mark.parametrize("fault", ["SIGKILL", "ECONNRESET"])
def test_a_connection_that_breaks_at_any_call_breaks_no_promise(server, tmp_path, swept, fault):
    bench = ClientBench(tmp_path, server)
    try:
        calls = bench.calls("append")
        if fault == "ECONNRESET":
            del calls["sendto"]
        every = points(calls, [fault], every=EVERY)
        for point in swept(every, f"{fault} at each call of a client's append"):
            bench.disturb("append", point)
        assert bench.met >= len(every) / 2
    finally:
        bench.stop()


@pytest.mark.parametrize("fault", ONCE)
def test_a_server_that_fails_at_any_call_breaks_no_promise(server, tmp_path, swept, fault):
    bench = ServerBench(tmp_path, server)
    try:
        every = points(bench.calls("append"), [fault], every=EVERY)
        for point in swept(every, f"{fault} at each call of the server for an append"):
            bench.disturb("append", point)
        assert bench.met >= len(every) / 2
    finally:
        bench.stop()
