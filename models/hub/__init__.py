"""Which models exist, as bytes named by digest, and who let them in.

Read in this order:

1. `canonical`   one text for one value, so that a manifest has one digest.
2. `manifest`    everything a reader must know of a model; its digest is the model's name.
3. `store`       blobs by SHA-256; reading checks.
4. `card`        what its author says of it: front matter and Markdown, as people write them.
5. `intake`      a model file of xgboost, scikit-learn or ONNX becomes a package.
6. `provenance`, `signing`, `bom`   how it was made, in-toto; who signed its files, OpenSSF; parts.
7. `publish`     put the blobs, sign the statement, return two digests.
8. `catalog`     what may run: folded from lifecycle events, never stored. `names`: which are free.
9. `index`, `places`, `copying`   a hub as files, anywhere, copied by whoever wants to.
10. `loading`    `models.hub.load("credit-default@champion")`: out of a copy, ready to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.hub.loading import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    """`load`, when it is asked for: the runtime imports this package, and `load` the runtime."""
    if name != "load":
        raise AttributeError(name)
    from models.hub.loading import load  # noqa: PLC0415 - a circle otherwise

    return load
