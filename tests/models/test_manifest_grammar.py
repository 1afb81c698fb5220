"""A manifest has one text, one digest and a strict grammar."""

import dataclasses
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ManifestRefused
from models.hub.canonical import canonical_bytes, digest_of, parse_canonical
from models.hub.manifest import MANIFEST_MAX, Manifest
from models.hub.sample import parse_sample, sample_bytes


def write(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.fixture(
    params=["credit-default", "value-at-risk", "value-at-risk-baseline", "trade-signal"]
)
def manifest(request, packages):
    return packages[request.param].manifest


def test_what_is_written_is_read(manifest):
    again = Manifest.parse(manifest.to_bytes())
    assert again == manifest
    assert again.digest == manifest.digest == digest_of(manifest.to_bytes())


def test_bytes_are_rfc8785(manifest):
    assert rfc8785.dumps(json.loads(manifest.to_bytes())) == manifest.to_bytes()


def test_size_is_far_from_the_limit(manifest):
    assert len(manifest.to_bytes()) < MANIFEST_MAX // 8


def put(path, value):
    def change(body):
        *inner, last = path.split("/")
        for key in inner:
            body = body[int(key) if key.isdigit() else key]
        body[int(last) if last.isdigit() else last] = value

    return change


def drop(path):
    def change(body):
        *inner, last = path.split("/")
        for key in inner:
            body = body[key]
        del body[last]

    return change


# name: (change, the field that the refusal names)
EVIL = {
    "another-schema": (put("schema", "assay/model-manifest/v3"), "schema"),
    "second-schema-without-its-keys": (put("schema", "assay/model-manifest/v2"), "card_digest"),
    "missing-key": (drop("owner"), "owner"),
    "unknown-key": (put("comment", "hello"), "comment"),
    "unknown-key-inside": (put("decision/override", "approve"), "decision.override"),
    "empty-text": (put("owner", ""), "owner"),
    "endless-text": (put("task", "x" * 4001), "task"),
    "number-for-text": (put("owner", 5), "owner"),
    "null-for-text": (put("licence", None), "licence"),
    "name-with-a-path": (put("name", "../../etc"), "name"),
    "name-with-a-newline": (put("name", "credit\n"), "name"),
    "version-in-words": (put("version", "latest"), "version"),
    "unknown-kind": (put("kind", "astrology"), "kind"),
    "kind-is-a-list": (put("kind", ["credit"]), "kind"),
    "pickle-format": (put("format", "pickle"), "format"),
    "threshold-as-text": (put("decision/threshold_q16", "0"), "decision.threshold_q16"),
    "threshold-true": (put("decision/threshold_q16", True), "decision.threshold_q16"),
    "threshold-null": (put("decision/threshold_q16", None), "decision.threshold_q16"),
    "threshold-out-of-range": (put("decision/threshold_q16", 2**41), "decision.threshold_q16"),
    "decision-on-no-output": (put("decision/output", "other_q16"), "decision.output"),
    "both-sides-the-same": (put("decision/below", "decline"), "decision.below"),
    "no-features": (put("features", []), "features"),
    "features-not-a-list": (put("features", {}), "features"),
    "feature-twice": (put("features/1/name", "limit_bal"), "features"),
    "feature-of-unknown-type": (put("features/0/type", "string"), "features.0.type"),
    "feature-bounds-crossed": (put("features/0/minimum", 1 << 24), "vectors"),
    "feature-minimum-above-maximum": (put("features/1/minimum", 13), "features.1.minimum"),
    "feature-bound-too-large": (put("features/0/maximum", 2**24 + 1), "features.0.maximum"),
    "missing-is-a-number": (put("features/0/missing", 0), "features.0.missing"),
    "output-without-unit-in-its-name": (put("outputs/0/name", "margin"), "outputs.0.name"),
    "artifact-not-a-digest": (put("outputs/0/artifact", "model.ubj"), "outputs.0.artifact"),
    "artifact-digest-upper-case": (
        put("outputs/0/artifact", "sha256:" + "A" * 64),
        "outputs.0.artifact",
    ),
    "environment-not-a-digest": (put("environment_digest", "0" * 64), "environment_digest"),
    "unknown-reason-method": (put("reason_codes/method", "shap"), "reason_codes.method"),
    "five-reasons": (put("reason_codes/most", 5), "reason_codes.most"),
    "reason-of-an-unknown-feature": (
        put("reason_codes/groups/0/features/0", "age"),
        "reason_codes.groups.0.features",
    ),
    "feature-in-two-reasons": (
        put("reason_codes/groups/0/features/0", "limit_bal"),
        "reason_codes.groups",
    ),
    "reason-code-twice": (
        put("reason_codes/groups/1/code", "DELINQUENT_RECENT"),
        "reason_codes.groups",
    ),
    "reference-too-short": (put("reason_codes/reference", ["00000000"]), "reason_codes.reference"),
    "training-digest-missing": (drop("training/data_digest"), "training.data_digest"),
    "training-date-in-words": (put("training/last", "2006"), "training.last"),
    "recipe-with-a-number": (put("training/recipe/eta", 1), "training.recipe.eta"),
    "rounding-of-no-output": (put("rounding", {}), "rounding.margin_q16"),
    "rounding-of-another-output": (put("rounding/other_q16", {}), "rounding.other_q16"),
    "no-vectors": (put("vectors", []), "vectors"),
    "vector-of-other-width": (put("vectors/0/inputs", ["00000000"]), "vectors.0.inputs"),
    "vector-pattern-not-hex": (put("vectors/0/inputs/0", "zzzzzzzz"), "vectors.0.inputs"),
    "vector-without-output": (put("vectors/0/outputs", {}), "vectors.0.outputs.margin_q16"),
    "vector-output-as-text": (
        put("vectors/0/outputs/margin_q16", "1"),
        "vectors.0.outputs.margin_q16",
    ),
}
del EVIL["feature-bounds-crossed"]  # legal by itself; loading refuses it (test_loading_refusals)


@pytest.mark.parametrize("case", EVIL)
def test_evil_manifest_is_refused_by_field(case, packages):
    change, field = EVIL[case]
    body = json.loads(packages["credit-default"].manifest.to_bytes())
    change(body)
    with pytest.raises(ManifestRefused) as caught:
        Manifest.parse(write(body))
    assert caught.value.field == field


TEXTS = {
    "empty": b"",
    "not-json": b"{",
    "not-utf8": b'{"a":"\xff"}',
    "nan-threshold": b'{"threshold_q16":NaN}',
    "infinite-threshold": b'{"threshold_q16":Infinity}',
    "float": b'{"threshold_q16":1.0}',
    "exponent": b'{"threshold_q16":1e3}',
    "integer-beyond-2^53": b'{"threshold_q16":9007199254740992}',
    "integer-of-10000-digits": b'{"threshold_q16":' + b"9" * 10_000 + b"}",
    "key-twice": b'{"a":1,"a":2}',
    "space": b'{"a": 1}',
    "keys-unsorted": b'{"b":1,"a":2}',
    "escaped-slash": b'{"a":"\\/"}',
    "escaped-letter": b'{"a":"\\u0041"}',
    "lone-surrogate": b'{"a":"\\ud800"}',
    "key-not-ascii": '{"é":1}'.encode(),
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "newline-at-the-end": b"{}\n",
    "nested-too-deep": b"[" * 100_000 + b"]" * 100_000,
    "huge": b'"' + b"x" * MANIFEST_MAX + b'"',
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_that_is_not_canonical_is_refused(case):
    with pytest.raises(ManifestRefused):
        parse_canonical(TEXTS[case], limit=MANIFEST_MAX)


@pytest.mark.parametrize("data", [b"[]", b"null", b"{}", b"5", b'"manifest"'])
def test_canonical_text_that_is_no_manifest_is_refused(data):
    with pytest.raises(ManifestRefused):
        Manifest.parse(data)


def test_float_is_refused_by_its_place(packages):
    body = json.loads(packages["trade-signal"].manifest.to_bytes())
    body["decision"]["threshold_q16"] = float("nan")
    with pytest.raises(ManifestRefused) as caught:
        Manifest.parse(write(body))
    assert caught.value.field.endswith("decision.threshold_q16")


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=12)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_canonical_bytes_equal_rfc8785(value):
    data = canonical_bytes(value)
    assert data == rfc8785.dumps(value)
    assert parse_canonical(data, limit=1 << 20) == value


@given(st.data())
def test_any_changed_byte_of_a_manifest_is_refused_or_changes_the_digest(packages, data):
    whole = bytearray(packages["trade-signal"].manifest.to_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    old = whole[place]
    whole[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != old))
    try:
        changed = Manifest.parse(bytes(whole))
    except ManifestRefused:
        return
    assert changed.digest != packages["trade-signal"].manifest.digest


def test_manifest_with_a_float_inside_cannot_be_written(packages):
    manifest = packages["trade-signal"].manifest
    rule = dataclasses.replace(manifest.decision, threshold_q16=0.5)
    with pytest.raises(ManifestRefused):
        dataclasses.replace(manifest, decision=rule).to_bytes()


def test_sample_survives_and_missing_is_none():
    columns = {"a": [1.0, 2.5], "b": [float("nan"), -3.0]}
    assert parse_sample(sample_bytes(columns)) == {"a": [1.0, 2.5], "b": [None, -3.0]}


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"columns":{"a":"00"},"rows":1,"schema":"assay/feature-sample/v1"}',
        b'{"columns":{"a":7},"rows":1,"schema":"assay/feature-sample/v1"}',
        b'{"columns":[],"rows":1,"schema":"assay/feature-sample/v1"}',
        b'{"columns":{},"rows":0,"schema":"assay/feature-sample/v1"}',
    ],
)
def test_malformed_sample_is_refused(data):
    with pytest.raises(ManifestRefused):
        parse_sample(data)
