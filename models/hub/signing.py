"""OpenSSF model signatures: one signature over every file of a model, checked offline with a key.

The files are the manifest and each blob that it names, called by the 64 hex digits of their
digests. What is signed is an in-toto statement over those names and digests, so the `model_signing`
command checks the same signature over the same directory, without this repository.

A key alone says nothing about who holds it or until when. So a `Signer` states both, and a house
trusts the signers it lists. When a signature was made is what the caller says: this house says the
time of the log entry that published the model.

model-signing, wrapped here only. Quirks: it reads files, not bytes, hence a directory of links to
nothing else; it needs an EC key on P-256, P-384 or P-521; it tells everything that is wrong as
ValueError, and a wrong signature as cryptography's own; it imports OpenSSL.
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.errors import ManifestRefused, SignatureExpired, SignatureMissing, SignatureWrong
from models.hub.canonical import canonical_bytes, digest_of, parse_canonical
from models.hub.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA: Final = "assay/model-signer/v1"
SIGNER_MAX: Final = 8 << 10  # bytes
BUNDLE_MAX: Final = 256 << 10  # bytes
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who holds a signing key, and from when until when its signatures count (both included)."""

    holder: str
    public_key: str  # PEM
    not_before: str
    not_after: str

    def to_bytes(self) -> bytes:
        """The statement as a file."""
        return canonical_bytes({"schema": SCHEMA, **asdict(self)}, "signer")

    @classmethod
    def parse(cls, data: bytes) -> Signer:
        """Read a statement. Raises ManifestRefused."""
        top = Reader(parse_canonical(data, limit=SIGNER_MAX, where="signer"), "signer")
        top.choice("schema", (SCHEMA,))
        found = cls(
            holder=top.text("holder"),
            public_key=top.text("public_key"),
            not_before=top.text("not_before", pattern=_TIME),
            not_after=top.text("not_after", pattern=_TIME),
        )
        top.done()
        for name in ("not_before", "not_after"):
            _moment(getattr(found, name), name)
        return found

    @property
    def hint(self) -> str:
        """What a signature calls this key: SHA-256 of its PEM text, 64 hex digits."""
        return digest_of(_normal(self.public_key)).removeprefix("sha256:")


def new_key(holder: str, *, not_before: str, not_after: str) -> tuple[bytes, Signer]:
    """A private key in PEM, and the statement about it."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signer = Signer(holder, _public_pem(private.public_key()).decode(), not_before, not_after)
    return pem, Signer.parse(signer.to_bytes())


def sign_files(files: Mapping[str, bytes], private_pem: bytes) -> bytes:
    """The signature of files by digest, as a sigstore bundle."""
    from model_signing import signing  # noqa: PLC0415 - a second, and serving never needs it

    with tempfile.TemporaryDirectory(prefix="assay-sign-") as name:
        place = Path(name)
        key, signature = place / "key.pem", place / "signature"
        key.touch(mode=0o600)
        key.write_bytes(private_pem)
        model = _directory(place, files)
        try:
            config = signing.Config()  # type: ignore[no-untyped-call]
            config.use_elliptic_key_signer(private_key=key).sign(model, signature)
        except ValueError as error:
            raise SignatureWrong("key", f"cannot sign: {error}") from error
        return signature.read_bytes()


def check_files(
    files: Mapping[str, bytes], bundle: bytes | None, signers: Iterable[Signer], *, at: str
) -> Signer:
    """Who signed these files, with a key that counted at a time.

    Raises SignatureMissing, SignatureWrong or SignatureExpired; each says which.
    """
    if bundle is None:
        raise SignatureMissing("no signature is recorded for this model")
    hint = _hint(bundle)
    signer = next((s for s in signers if s.hint == hint), None)
    if signer is None:
        raise SignatureWrong("key", f"signed by key {hint[:16]}…, which is not trusted here")
    _check_signature(files, bundle, signer)
    moment = _moment(at, "at")
    if moment < _moment(signer.not_before, "not_before"):
        raise SignatureExpired(signer.holder, f"it counts from {signer.not_before} on", at)
    if moment > _moment(signer.not_after, "not_after"):
        raise SignatureExpired(signer.holder, f"it counted until {signer.not_after}", at)
    return signer


def _check_signature(files: Mapping[str, bytes], bundle: bytes, signer: Signer) -> None:
    from model_signing import verifying  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="assay-verify-") as name:
        place = Path(name)
        key, signature = place / "key.pub", place / "signature"
        key.write_bytes(_normal(signer.public_key))
        signature.write_bytes(bundle)
        model = _directory(place, files)
        try:
            config = verifying.Config()  # type: ignore[no-untyped-call]
            config.use_elliptic_key_verifier(public_key=key).verify(model, signature)
        except InvalidSignature as error:
            raise SignatureWrong("signature", f"not made by {signer.holder}'s key") from error
        except ValueError as error:
            raise SignatureWrong("files", f"not the files that were signed: {error}") from error
        except Exception as error:
            raise SignatureWrong("signature", f"malformed ({type(error).__name__})") from error


def _directory(place: Path, files: Mapping[str, bytes]) -> Path:
    """The files as a directory, each called by the digits of its digest."""
    model = place / "model"
    model.mkdir()
    for digest, data in files.items():
        got = digest_of(data)
        if got != digest:
            raise SignatureWrong("files", f"{digest} is the digest of other bytes ({got})")
        (model / digest.removeprefix("sha256:")).write_bytes(data)
    return model


def _hint(bundle: bytes) -> str:
    """The key that a signature names; nothing is checked yet."""
    if len(bundle) > BUNDLE_MAX:
        raise SignatureWrong("signature", f"{len(bundle)} bytes; at most {BUNDLE_MAX}")
    try:
        value = json.loads(bundle)
        hint = value["verificationMaterial"]["publicKey"]["hint"]
        base64.b64decode(value["dsseEnvelope"]["payload"], validate=True)
    except (ValueError, LookupError, TypeError, binascii.Error, RecursionError) as error:
        raise SignatureWrong("signature", "malformed: not a sigstore bundle with a key") from error
    return str(hint)


def _normal(pem: str) -> bytes:
    """A public key in the one PEM text that signatures name it by."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ManifestRefused("signer.public_key", "is not a public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ManifestRefused("signer.public_key", "is not an EC key")
    return _public_pem(key)


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _moment(text: str, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ManifestRefused(f"signer.{name}", "is not a time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
