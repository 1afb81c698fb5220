"""EIO, ENOSPC and SIGKILL at system calls of append, export and cosigning: a sample of each.

`make torture` goes through every call; this takes a few in turn. Afterwards the stored log has no
findings, what was told is there and holds, nothing is recorded twice, the next append, export and
cosignature go through.
"""

import pytest

from fault_acts import ACTS
from fault_promises import Bench
from faults import ON_FILES, points

SPREAD = 2  # points of each act and fault, beside the last write


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("faults"))
    yield made
    made.stop()


@pytest.mark.parametrize("fault", ON_FILES)
@pytest.mark.parametrize("act", ACTS)
def test_a_call_of_the_system_that_fails_breaks_no_promise(bench, act, fault):
    calls = bench.calls(act)
    assert calls["fsync"] + calls["fdatasync"] > 3, "what is durable goes through these"
    every = points(calls, [fault])
    last_write = [point for point in every if "write" in point.call][-1]
    for point in (*every[:: len(every) // SPREAD][:SPREAD], last_write):
        bench.disturb(act, point)
