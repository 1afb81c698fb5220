"""From a trained package through the store to a loaded model; and everything loading refuses."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.errors import (
    ArtifactRefused,
    BlobMissing,
    DigestMismatch,
    ManifestRefused,
    ProvenanceRefused,
    SelfTestFailed,
)
from models.hub.canonical import digest_of
from models.hub.manifest import Manifest
from models.hub.provenance import (
    PAYLOAD_TYPE,
    check_provenance,
    open_envelope,
    pae,
    seal_envelope,
    statement_bytes,
)
from models.hub.publish import Package, publish
from models.hub.store import BlobStore
from models.runtime import load

KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)


def verify(key_id, message, signature):
    if key_id != "publisher":
        raise KeyError(key_id)
    KEY.public_key().verify(signature, message)


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def package(packages):
    return packages["credit-default"]


@pytest.fixture
def published(store, package):
    return publish(store, package, key_id="publisher", sign=KEY.sign)


# --- store -----------------------------------------------------------------------------------


def test_blob_comes_back_under_its_digest(store):
    digest = store.put(b"abc")
    assert digest == digest_of(b"abc") == store.put(b"abc")
    assert (store.get(digest), store.has(digest)) == (b"abc", True)


def test_store_leaves_no_drafts(store, tmp_path):
    digest = store.put(b"abc")
    assert [file.name for file in (tmp_path / "blobs").iterdir()] == [digest[7:]]


def test_changed_blob_is_refused(store, tmp_path):
    digest = store.put(b"abc")
    (tmp_path / "blobs" / digest[7:]).write_bytes(b"abd")
    with pytest.raises(DigestMismatch) as caught:
        store.get(digest)
    assert (caught.value.expected, caught.value.got) == (digest, digest_of(b"abd"))


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../../etc/passwd", "0" * 64, "sha256:" + "G" * 64]
)
def test_what_is_no_digest_reads_no_file(store, digest):
    store.put(b"abc")
    with pytest.raises(BlobMissing):
        store.get(digest)


def test_oversized_blob_is_refused(store, monkeypatch):
    monkeypatch.setattr("models.hub.store.BLOB_MAX", 2)
    with pytest.raises(ArtifactRefused):
        store.put(b"abc")


# --- publish and load ------------------------------------------------------------------------


def test_published_model_loads_from_the_store(store, published, predictors, replay_matrix):
    loaded = load(Manifest.parse(store.get(published.digest)), store.get)
    rows = replay_matrix[:50]
    assert loaded.run(rows) == predictors["credit-default"].run(rows)


@pytest.mark.parametrize("which", ["artifact", "reference"])
def test_incomplete_package_is_not_published(store, package, which):
    manifest = package.manifest
    gone = (
        manifest.outputs[0].artifact if which == "artifact" else manifest.training.reference_digest
    )
    blobs = {digest: blob for digest, blob in package.blobs.items() if digest != gone}
    with pytest.raises(ManifestRefused):
        publish(store, Package(manifest, blobs), key_id="publisher", sign=KEY.sign)


def test_package_with_another_blob_under_a_digest_is_not_published(store, package):
    blobs = dict.fromkeys(package.blobs, b"other")
    with pytest.raises(DigestMismatch):
        publish(store, Package(package.manifest, blobs), key_id="publisher", sign=KEY.sign)


def test_artifact_with_any_flipped_byte_is_refused(package):
    digest = package.manifest.outputs[0].artifact
    for place in range(0, len(package.blobs[digest]), 9973):
        changed = bytearray(package.blobs[digest])
        changed[place] ^= 1
        with pytest.raises(DigestMismatch):
            load(package.manifest, lambda _, data=bytes(changed): data)


def test_artifact_of_another_model_under_its_own_digest_is_refused(packages):
    """The digest fits the bytes; the features do not."""
    credit, risk = packages["credit-default"], packages["value-at-risk"]
    output = dataclasses.replace(
        credit.manifest.outputs[0], artifact=risk.manifest.outputs[0].artifact
    )
    manifest = dataclasses.replace(credit.manifest, outputs=(output,))
    with pytest.raises(ArtifactRefused, match="num_feature"):
        load(manifest, risk.blobs.__getitem__)


def test_format_and_artifact_must_agree(packages):
    credit = packages["credit-default"]
    for manifest, blobs in (
        (dataclasses.replace(credit.manifest, format="linear-q16/v1"), credit.blobs),
        (
            dataclasses.replace(packages["trade-signal"].manifest, format="tree-ensemble-q16/v1"),
            packages["trade-signal"].blobs,
        ),
    ):
        with pytest.raises(ArtifactRefused):
            load(manifest, blobs.__getitem__)


def test_model_that_does_not_repeat_its_vectors_is_refused(package):
    first, *rest = package.manifest.vectors
    wrong = dataclasses.replace(first, outputs={"margin_q16": first.outputs["margin_q16"] + 1})
    manifest = dataclasses.replace(package.manifest, vectors=(wrong, *rest))
    with pytest.raises(SelfTestFailed) as caught:
        load(manifest, package.blobs.__getitem__)
    assert (caught.value.vector, caught.value.output) == (0, "margin_q16")


def test_vector_outside_the_bounds_is_refused(package):
    features = package.manifest.features
    narrow = dataclasses.replace(features[0], minimum=1 << 24)
    manifest = dataclasses.replace(package.manifest, features=(narrow, *features[1:]))
    with pytest.raises(ManifestRefused):
        load(manifest, package.blobs.__getitem__)


def test_reasons_for_a_linear_model_are_refused(packages):
    package = packages["trade-signal"]
    spec = dataclasses.replace(
        packages["credit-default"].manifest.reason_codes, reference=("00000000",) * 5
    )
    manifest = dataclasses.replace(package.manifest, reason_codes=spec)
    with pytest.raises(ManifestRefused):
        load(manifest, package.blobs.__getitem__)


def test_missing_artifact_passes_the_readers_own_error_on(package):
    class NotInExportError(Exception):
        pass

    def read(_):
        raise NotInExportError

    with pytest.raises(NotInExportError):
        load(package.manifest, read)


# --- provenance ------------------------------------------------------------------------------


def test_statement_is_signed_and_about_the_model(store, published, package):
    statement = check_provenance(store.get(published.provenance_digest), package.manifest, verify)
    assert statement.key_id == "publisher"
    assert statement.subjects == (published.digest, package.manifest.outputs[0].artifact)


def test_pae_is_the_dsse_example():
    """From the DSSE specification, protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_envelope_and_statement_have_the_standard_form(store, published):
    envelope = json.loads(store.get(published.provenance_digest))
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert all(set(s) == {"name", "digest"} for s in statement["subject"])
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(statement["predicate"]) == {"buildDefinition", "runDetails"}


def test_statement_about_another_model_is_refused(store, published, packages):
    with pytest.raises(ProvenanceRefused, match="about"):
        check_provenance(
            store.get(published.provenance_digest), packages["trade-signal"].manifest, verify
        )


def test_statement_that_tells_other_training_is_refused(package):
    body = json.loads(statement_bytes(package.manifest))
    body["predicate"]["buildDefinition"]["internalParameters"]["eta"] = "0.5"
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    envelope = seal_envelope(payload, key_id="publisher", sign=KEY.sign)
    with pytest.raises(ProvenanceRefused, match="different training"):
        check_provenance(envelope, package.manifest, verify)


def test_any_flipped_byte_of_an_envelope_is_refused(store, published):
    whole = store.get(published.provenance_digest)
    for place in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises((ProvenanceRefused, InvalidSignature, KeyError)):
            open_envelope(bytes(changed), verify)


def envelope_with(**changes):
    parts = {
        "payload": base64.b64encode(b"{}").decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": "publisher",
                "sig": base64.b64encode(KEY.sign(pae(PAYLOAD_TYPE, b"{}"))).decode(),
            }
        ],
    }
    return json.dumps(parts | changes, sort_keys=True, separators=(",", ":")).encode()


MALFORMED = {
    "empty": b"",
    "list": b"[]",
    "signed-but-not-a-statement": envelope_with(),
    "no-signature": envelope_with(signatures=[]),
    "two-signatures": envelope_with(signatures=[{"keyid": "a", "sig": ""}] * 2),
    "signature-is-text": envelope_with(signatures=["abc"]),
    "key-id-is-a-number": envelope_with(signatures=[{"keyid": 1, "sig": ""}]),
    "signature-not-base64": envelope_with(signatures=[{"keyid": "publisher", "sig": "*"}]),
    "payload-not-base64": envelope_with(payload="*"),
    "payload-base64-not-canonical": envelope_with(payload="e31="),
    "another-payload-type": envelope_with(payloadType="text/plain"),
    "extra-key": envelope_with(comment="hello"),
    "huge": b'"' + b"x" * (256 << 10) + b'"',
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_envelope_is_refused(case):
    with pytest.raises(ProvenanceRefused):
        open_envelope(MALFORMED[case], verify)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": []},
        {"subject": [{"name": "x"}]},
        {"subject": 5},
        {"subject": None},
        {"subject": [{"name": "x", "digest": {"sha256": 5}}]},
        {"predicateType": "https://slsa.dev/provenance/v0.2"},
        {"predicate": []},
        {"_type": "https://in-toto.io/Statement/v0.1"},
    ],
)
def test_malformed_statement_is_refused_though_signed(package, change):
    body = json.loads(statement_bytes(package.manifest)) | change
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ProvenanceRefused):
        open_envelope(seal_envelope(payload, key_id="publisher", sign=KEY.sign), verify)


def test_matrix_of_another_shape_or_type_is_refused(predictors):
    from models.errors import InputRefused

    for matrix in (np.zeros((1, 3), np.float32), np.zeros(19, np.float32), np.zeros((1, 19))):
        for run in (predictors["credit-default"].run, predictors["credit-default"].reasons):
            with pytest.raises(InputRefused):
                run(matrix)
