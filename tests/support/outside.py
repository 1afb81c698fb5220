"""Evidence made by others, in a folder beside the checkout. Where it is absent, tests say so."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"
VECTORS = SHARED / "vectors"


def vectors(name, pattern):
    """Every file of a source that matches, sorted; the test skips when the source is not there."""
    found = sorted(path for path in (VECTORS / name).glob(pattern) if path.is_file())
    if not found:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no ../shared/vectors/{name}"))]
    return [pytest.param(path, id=str(path.relative_to(VECTORS / name))) for path in found]
