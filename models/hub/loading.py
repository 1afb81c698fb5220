"""`models.hub.load("credit-default@champion")`: a model out of a hub on this machine, ready to run.

The hub is a directory that `assay models pull` or `mirror` filled, and checked against the log's
key when it did. Every blob is hashed again here, and the model repeats its own test vectors. A
withdrawn model is refused by name; an auditor loads it by its digest, and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.hub.copying import BLOBS
from models.hub.index import HubIndex
from models.hub.manifest import Manifest
from models.hub.places import open_place
from models.hub.store import BlobStore
from models.runtime.predictor import load as load_predictor

if TYPE_CHECKING:
    from models.runtime import Predictor

HUB: Final = "assay-hub"  # where `assay models pull` puts models unless told otherwise


def load(ref: str, *, hub: str | Path = HUB, withdrawn: bool = False) -> Predictor:
    """The predictor of `name`, `name@alias`, `name@sha256:...` or a digest.

    Raises UnknownModel, NotApproved, Withdrawn, DigestMismatch and whatever loading raises.
    """
    directory = Path(hub)
    catalog = HubIndex.read(open_place(str(directory))).catalog()
    digest = catalog.digest_of(ref)
    if not withdrawn:
        catalog.resolve(digest)
    store = BlobStore(directory / BLOBS)
    return load_predictor(Manifest.parse(store.get(digest)), store.get)
