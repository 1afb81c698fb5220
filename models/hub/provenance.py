"""How a model was made: an in-toto statement in a DSSE envelope, signed by the publisher.

Sources: in-toto Statement v1; DSSE v1.0 (the signature covers PAE, so the statement is not parsed
before it is checked); SLSA Build Provenance v1 as predicate. Signing and verifying are callables:
this package holds no key. A statement tells what its signer claims about training; it does not
re-run it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models.errors import ManifestRefused, ProvenanceRefused
from models.hub.canonical import canonical_bytes, parse_canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.hub.manifest import Manifest

    Sign = Callable[[bytes], bytes]
    Verify = Callable[[str, bytes, bytes], None]  # key id, message, signature; raises when wrong

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:assay:build:reference-training:v1"
DECLARED: Final = "urn:assay:build:declared-training:v1"  # trained elsewhere, as its publisher says
SIGNATURE: Final = "OpenSSF model signature"  # a by-product: the bundle over the model's files
ENVELOPE_MAX: Final = 256 << 10  # bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """What an envelope says, after its signature was checked."""

    key_id: str
    subjects: tuple[str, ...]  # digests, the manifest's first
    predicate: dict[str, Any]

    @property
    def signature_digest(self) -> str | None:
        """The bundle of the model's own signature, where the statement names one."""
        for item in self.predicate.get("runDetails", {}).get("byproducts", ()):
            if isinstance(item, dict) and item.get("name") == SIGNATURE:
                return "sha256:" + str(item.get("digest", {}).get("sha256"))
        return None


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def statement_bytes(manifest: Manifest, *, signature_digest: str | None = None) -> bytes:
    """The in-toto statement of a manifest and its artifacts, and of the files' own signature."""
    artifacts = {output.artifact: output.name for output in manifest.outputs}
    subjects = [(f"{manifest.name}.manifest", manifest.digest)]
    subjects += [(f"{manifest.name}.{name}", digest) for digest, name in artifacts.items()]
    training = manifest.training
    run: dict[str, object] = {"builder": {"id": "urn:assay:builder:house"}}
    if signature_digest is not None:
        run["byproducts"] = [{"name": SIGNATURE, "digest": _hashes(signature_digest)}]
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE if manifest.source is None else DECLARED,
            "externalParameters": {
                "name": manifest.name,
                "version": manifest.version,
                "seed": training.seed,
                "last": training.last,
            },
            "internalParameters": dict(training.recipe),
            "resolvedDependencies": [
                {"name": "training data", "digest": _hashes(training.data_digest)},
                {"name": "environment", "digest": _hashes(manifest.environment_digest)},
            ],
        },
        "runDetails": run,
    }
    return canonical_bytes(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": _hashes(digest)} for name, digest in subjects],
            "predicateType": PREDICATE,
            "predicate": predicate,
        },
        "statement",
    )


def seal_envelope(payload: bytes, *, key_id: str, sign: Sign) -> bytes:
    """The DSSE envelope of a statement, with one signature."""
    signature = sign(pae(PAYLOAD_TYPE, payload))
    return canonical_bytes(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        },
        "envelope",
    )


def open_envelope(envelope: bytes, verify: Verify) -> Statement:
    """Check the one signature, then read. Whatever `verify` raises passes through."""
    parts = _parse(envelope)
    if not isinstance(parts, dict) or set(parts) != {"payload", "payloadType", "signatures"}:
        raise ProvenanceRefused("not a DSSE envelope")
    if parts["payloadType"] != PAYLOAD_TYPE:
        raise ProvenanceRefused("the payload is not an in-toto statement")
    signatures = parts["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise ProvenanceRefused("expected exactly one signature")
    if not isinstance(signatures[0], dict) or set(signatures[0]) != {"keyid", "sig"}:
        raise ProvenanceRefused("a signature is malformed")
    key_id = signatures[0]["keyid"]
    if not isinstance(key_id, str):
        raise ProvenanceRefused("a key id is not text")
    payload = _decode(parts["payload"])
    verify(key_id, pae(PAYLOAD_TYPE, payload), _decode(signatures[0]["sig"]))
    return _statement(key_id, payload)


def check_provenance(envelope: bytes, manifest: Manifest, verify: Verify) -> Statement:
    """Check the signature and that the statement is exactly about this manifest and its artifacts.

    The data, environment and recipe that it names must be the manifest's own.
    """
    statement = open_envelope(envelope, verify)
    wanted = (manifest.digest, *dict.fromkeys(output.artifact for output in manifest.outputs))
    if statement.subjects != wanted:
        raise ProvenanceRefused(f"the statement is about {statement.subjects[0]}, not {wanted[0]}")
    signature = statement.signature_digest
    expected = parse_canonical(
        statement_bytes(manifest, signature_digest=signature), limit=ENVELOPE_MAX
    )
    if not isinstance(expected, dict) or statement.predicate != expected["predicate"]:
        raise ProvenanceRefused("the statement and the manifest tell different training")
    return statement


def _statement(key_id: str, payload: bytes) -> Statement:
    body = _parse(payload)
    keys = {"_type", "subject", "predicateType", "predicate"}
    if not isinstance(body, dict) or set(body) != keys or body["_type"] != STATEMENT:
        raise ProvenanceRefused("the payload is not an in-toto statement v1")
    if body["predicateType"] != PREDICATE or not isinstance(body["predicate"], dict):
        raise ProvenanceRefused("the predicate is not SLSA provenance v1")
    return Statement(key_id, tuple(_subjects(body["subject"])), body["predicate"])


def _subjects(value: object) -> Sequence[str]:
    try:
        found = ["sha256:" + item["digest"]["sha256"] for item in value]  # type: ignore[attr-defined]
    except (KeyError, TypeError) as error:
        raise ProvenanceRefused("a subject has no SHA-256 digest") from error
    if not found:
        raise ProvenanceRefused("the statement is about nothing")
    return found


def _parse(data: bytes) -> object:
    try:
        return parse_canonical(data, limit=ENVELOPE_MAX, where="envelope")
    except ManifestRefused as error:
        raise ProvenanceRefused(error.reason) from error


def _decode(text: object) -> bytes:
    try:
        if isinstance(text, str):
            found = base64.b64decode(text, validate=True)
            if base64.b64encode(found).decode() == text:
                return found
    except (binascii.Error, ValueError):
        pass
    raise ProvenanceRefused("a field is not base64")


def _hashes(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}
