"""Four writers and readers for a second; `make torture` does it for minutes, with kill -9.

The readers ask for a consistency proof between every two checkpoints they see.
"""

import pytest

from hammering import hammer


@pytest.mark.slow
def test_a_hammered_log_stays_one_history(tmp_path, database):
    found = hammer(tmp_path, database, seconds=1.5)
    assert found.entries > 100
    assert found.proofs >= 3
