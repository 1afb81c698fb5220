"""OpenSSF signatures of a model: ours and the library's own command agree; each fault has a name."""

import json
import subprocess
import sys

import pytest

from models.errors import ManifestRefused, SignatureExpired, SignatureMissing, SignatureWrong
from models.hub.canonical import digest_of
from models.hub.signing import BUNDLE_MAX, Signer, check_files, new_key, sign_files

FROM, NOW, UNTIL = (f"202{n}-01-01T00:00:00.000Z" for n in (5, 6, 7))
FILES = {digest_of(data): data for data in (b"manifest", b"artifact", b"card")}


@pytest.fixture(scope="module")
def key():
    return new_key("model desk", not_before=FROM, not_after=UNTIL)


@pytest.fixture(scope="module")
def bundle(key):
    return sign_files(FILES, key[0])


def test_a_signature_names_its_signer(key, bundle):
    assert check_files(FILES, bundle, [key[1]], at=NOW) == key[1]


def test_missing(key):
    with pytest.raises(SignatureMissing, match="signature missing"):
        check_files(FILES, None, [key[1]], at=NOW)


@pytest.mark.parametrize(
    ("at", "told"),
    [("2024-12-31T23:59:59.999Z", "it counts from"), ("2027-01-01T00:00:00.001Z", "counted until")],
)
def test_expired_or_not_yet(key, bundle, at, told):
    with pytest.raises(SignatureExpired, match=f"signature expired: by model desk's.*{told}"):
        check_files(FILES, bundle, [key[1]], at=at)


def test_wrong_key(key, bundle):
    other = new_key("somebody else", not_before=FROM, not_after=UNTIL)[1]
    with pytest.raises(SignatureWrong, match="not trusted here"):
        check_files(FILES, bundle, [other], at=NOW)


def test_a_key_that_only_claims_to_be_the_trusted_one(key):
    impostor, other = new_key("impostor", not_before=FROM, not_after=UNTIL)
    forged = sign_files(FILES, impostor).decode().replace(other.hint, key[1].hint)
    with pytest.raises(SignatureWrong, match="not made by model desk's key"):
        check_files(FILES, forged.encode(), [key[1]], at=NOW)


@pytest.mark.parametrize("change", ["more", "less", "other"])
def test_other_files(key, bundle, change):
    files = dict(FILES)
    if change != "more":
        files.pop(digest_of(b"card"))
    if change != "less":
        files[digest_of(b"new")] = b"new"
    with pytest.raises(SignatureWrong, match="not the files that were signed"):
        check_files(files, bundle, [key[1]], at=NOW)


def test_a_file_under_another_digest(key, bundle):
    with pytest.raises(SignatureWrong, match="digest of other bytes"):
        check_files({**FILES, digest_of(b"card"): b"other"}, bundle, [key[1]], at=NOW)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{}",
        b"[]",
        b"x" * (BUNDLE_MAX + 1),
        b'{"verificationMaterial":{"publicKey":{"hint":1}}}',
    ],
)
def test_malformed(key, broken):
    with pytest.raises(SignatureWrong, match="signature wrong"):
        check_files(FILES, broken, [key[1]], at=NOW)


def test_every_flipped_byte_of_the_payload_is_noticed(key, bundle):
    value = json.loads(bundle)
    text = value["dsseEnvelope"]["payload"]
    for at in range(0, len(text) - 4, max(1, len(text) // 12)):
        other = "A" if text[at] != "A" else "B"
        value["dsseEnvelope"]["payload"] = text[:at] + other + text[at + 1 :]
        with pytest.raises(SignatureWrong):
            check_files(FILES, json.dumps(value).encode(), [key[1]], at=NOW)


def test_the_library_s_own_command_is_of_the_same_opinion(key, bundle, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for digest, data in FILES.items():
        (model / digest.removeprefix("sha256:")).write_bytes(data)
    (tmp_path / "model.sig").write_bytes(bundle)
    (tmp_path / "key.pub").write_text(key[1].public_key)
    command = [
        *(sys.executable, "-m", "model_signing", "verify", "key", str(model)),
        *("--signature", str(tmp_path / "model.sig"), "--public_key", str(tmp_path / "key.pub")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (model / digest_of(b"card").removeprefix("sha256:")).write_bytes(b"other")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_signer_reads_back(key):
    assert Signer.parse(key[1].to_bytes()) == key[1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"public_key": "x"}, None),
        ({"not_after": "soon"}, "signer.not_after"),
        ({"not_after": "2025-99-01T00:00:00.000Z"}, "signer.not_after"),
        ({"more": "x"}, "signer.more"),
    ],
)
def test_a_signer_that_cannot_be_read(key, change, field):
    from models.hub.canonical import canonical_bytes

    value = {**json.loads(key[1].to_bytes()), **change}
    with pytest.raises(ManifestRefused) as refused:
        Signer.parse(canonical_bytes(value)).hint  # noqa: B018 - reads the key
    assert field is None or refused.value.field == field
