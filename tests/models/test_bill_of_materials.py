"""The bill of materials: CycloneDX's own schema accepts it, and it names every blob of a model."""

import json
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from models.hub.bom import ml_bom
from models.hub.card import parse_card
from models.hub.intake.draft import Terms, draft
from models.hub.intake.table import read_table
from userfiles import CARD, csv_bytes, skops_bytes

AT = datetime(2026, 11, 25, 3, 20, tzinfo=UTC)
REPORTED = CARD.replace(
    "datasets: [made up]",
    "datasets: [made up]\nmodel-index:\n- name: m\n  results:\n  - metrics:\n"
    "    - {type: auc, value: 0.81}",
)


@pytest.fixture(
    scope="module", params=["apache-2.0", "MIT OR Apache-2.0", "our own terms", "other"]
)
def made(request):
    package = draft(
        skops_bytes("scaled-logistic"),
        "model.skops",
        table=read_table(csv_bytes(), target="default"),
        card=parse_card(REPORTED.replace("apache-2.0", request.param)),
        terms=Terms("mine", "1.0.0", "credit", "a desk", 0.4, vendor="a vendor"),
        environment_digest="sha256:" + "0" * 64,
    )
    card = parse_card(REPORTED)
    return package.manifest, ml_bom(package.manifest, card, at=AT, publisher="dana")


def test_the_schema_accepts_it(made):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made[1].decode()) is None


def test_a_broken_one_is_refused_by_the_schema(made):
    value = json.loads(made[1])
    value["metadata"]["component"]["modelCard"]["modelParameters"]["trees"] = 3
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(value)) is not None


def test_every_blob_is_named_by_its_digest(made):
    manifest, text = made
    value = json.loads(text)
    named = {c["bom-ref"] for c in value["components"]}
    assert named == {*manifest.blobs, manifest.training.data_digest}
    top = value["metadata"]["component"]
    assert top["type"] == "machine-learning-model"
    assert top["hashes"] == [{"alg": "SHA-256", "content": manifest.digest[7:]}]
    figures = top["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert figures == [{"type": "auc", "value": "0.81", "slice": "as reported"}]


def test_the_same_model_gives_the_same_bytes(made):
    again = ml_bom(made[0], parse_card(REPORTED), at=AT, publisher="dana")
    assert again == made[1]
