"""A CycloneDX 1.6 bill of materials of one model (ML-BOM): what it is made of, by digest.

The model is a component of type machine-learning-model; its artifacts, card, source file, training
data and environment are data or file components it depends on. The same model gives the same
bytes: the serial number comes from the digest, the time from the caller.

cyclonedx-python-lib, wrapped here only. Quirk: it knows the component type but not the `modelCard`
object, so that one is added to its JSON; a test holds the whole against the schema it ships.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

    from models.hub.card import Card
    from models.hub.manifest import Manifest

NAMESPACE: Final = uuid.UUID("6f1d7d3c-52d5-5f0e-8a53-0c1f4f6a9b2e")  # ours, made once at random
TASKS: Final = {
    "credit": "classification",
    "signal": "classification",
    "value_at_risk": "regression",
}


def ml_bom(manifest: Manifest, card: Card | None, *, at: datetime, publisher: str) -> bytes:
    """The bill of materials as JSON."""
    from cyclonedx.model.bom import Bom  # noqa: PLC0415 - only this function needs the library
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.contact import OrganizationalEntity  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415

    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest.name,
        version=manifest.version,
        bom_ref=manifest.digest,
        description=manifest.task,
        publisher=publisher,
        supplier=OrganizationalEntity(name=manifest.vendor or manifest.owner),
        hashes=[_hash(manifest.digest)],
        licenses=_licences(manifest.licence),
        properties=_properties(manifest),
    )
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, manifest.digest))
    bom.metadata.timestamp = at
    bom.metadata.component = model
    parts = _parts(manifest)
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(model, parts)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    document: dict[str, Any] = json.loads(text)
    document["metadata"]["component"]["modelCard"] = _model_card(manifest, card)
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def _parts(manifest: Manifest) -> list[Any]:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    training = manifest.training
    named = [
        *((f"artifact of {o.name}", o.artifact, ComponentType.FILE) for o in manifest.outputs),
        ("training data", training.data_digest, ComponentType.DATA),
        ("reference sample", training.reference_digest, ComponentType.DATA),
        ("training environment", manifest.environment_digest, ComponentType.FILE),
    ]
    if manifest.card_digest:
        named.append(("model card", manifest.card_digest, ComponentType.FILE))
    if manifest.source:
        source = manifest.source
        named.append((f"source file ({source.form})", source.digest, ComponentType.FILE))
    unique = {digest: (name, kind) for name, digest, kind in reversed(named)}
    return [
        Component(type=kind, name=name, bom_ref=digest, hashes=[_hash(digest)])
        for digest, (name, kind) in unique.items()
    ]


def _properties(manifest: Manifest) -> list[Any]:
    from cyclonedx.model import Property  # noqa: PLC0415

    found = {
        "assay:format": manifest.format,
        "assay:intended_use": manifest.intended_use,
        "assay:owner": manifest.owner,
        "assay:preprocessing": manifest.preprocessing,
        "assay:training_rows": str(manifest.training.rows),
    }
    if manifest.decision:
        found["assay:threshold_q16"] = str(manifest.decision.threshold_q16)
    return [Property(name=name, value=value) for name, value in found.items()]


def _licences(text: str) -> list[Any]:
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415

    return [LicenseFactory().make_from_string(text)]


def _hash(digest: str) -> Any:  # noqa: ANN401 - the library's own
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415

    return HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))


def _model_card(manifest: Manifest, card: Card | None) -> dict[str, Any]:
    """CycloneDX's model card: parameters, what the author reports, and for whom it is."""
    found: dict[str, Any] = {
        "modelParameters": {
            "task": TASKS.get(manifest.kind, manifest.kind),
            "architectureFamily": manifest.format,
            "datasets": [{"ref": manifest.training.data_digest}],
            "inputs": [{"format": f"{f.name}: {f.type}"} for f in manifest.features],
            "outputs": [{"format": f"{o.name}: {o.unit}"} for o in manifest.outputs],
        },
        "considerations": {"useCases": [manifest.intended_use]},
    }
    if card and card.results:
        found["quantitativeAnalysis"] = {
            "performanceMetrics": [
                {"type": r.metric, "value": r.value, "slice": r.dataset or "as reported"}
                for r in card.results
                if r.value is not None
            ]
        }
    return found
