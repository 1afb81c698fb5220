"""Four writers, readers that check consistency between every two checkpoints they see, kill -9.

On SQLite four processes of one host; on PostgreSQL two hosts, each with its own data directory.
ASSAY_TORTURE_SECONDS says how long each takes (60).
"""

import os

import pytest

from hammering import hammer

SECONDS = float(os.environ.get("ASSAY_TORTURE_SECONDS", "60"))
pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("kill_every", [None, 2.0], ids=["undisturbed", "kill -9 every 2 s"])
def test_a_hammered_log_stays_one_history(tmp_path, database, progress, kill_every):
    found = hammer(tmp_path, database, seconds=SECONDS, kill_every=kill_every, say=progress)
    told = (
        f"{found.entries} entries, {found.receipts} receipts looked up, {found.killed} writers "
        f"killed; {found.proofs} proofs between any two of {found.checkpoints} checkpoints"
    )
    progress(told, now=True)
    assert found.receipts > 10 * SECONDS
    assert found.proofs > 10 * SECONDS
    assert kill_every is None or found.killed >= SECONDS / kill_every / 2
