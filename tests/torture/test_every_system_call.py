"""EIO, ENOSPC and SIGKILL at every system call of append, export and cosigning, one at a time.

`tests/ledger/test_system_faults.py` takes a sample; what is checked afterwards is the same. Each
sweep prints where it is. ASSAY_TORTURE_EVERY=5 takes every fifth call.
"""

import os

import pytest

from fault_acts import ACTS
from fault_promises import Bench
from faults import ON_FILES, points

EVERY = int(os.environ.get("ASSAY_TORTURE_EVERY", "1"))
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("faults"))
    yield made
    made.stop()


@pytest.mark.parametrize("fault", ON_FILES)
@pytest.mark.parametrize("act", ACTS)
def test_no_call_of_the_system_that_fails_breaks_a_promise(bench, swept, act, fault):
    every = points(bench.calls(act), [fault], every=EVERY)
    assert every
    for point in swept(every, f"{fault} at each call of {act}"):
        bench.disturb(act, point)
