"""Private keys behind signer URIs, with the signer of securesystemslib that needs no network."""

import base64

import pytest

from ledger.errors import KeyRefused, LedgerUnavailable, SignatureRefused
from ledger.keys import SigningKey, save_key, verify_signature
from ledger.kms import UriKey, load_uri, uri_file

pytest.importorskip("securesystemslib", reason="the extra `kms` is not installed")
KEY = SigningKey(b"\7" * 32)


@pytest.fixture
def uri(tmp_path):
    save_key(tmp_path / "elsewhere.pem", KEY)
    return f"file2:{tmp_path / 'elsewhere.pem'}"


def test_a_key_elsewhere_signs_the_same_bytes_as_here(uri, tmp_path):
    (tmp_path / "producer.uri").write_text(uri_file(uri, KEY.public))
    key = load_uri(tmp_path / "producer.uri")
    assert (key.public, key.key_id) == (KEY.public, KEY.key_id)
    assert key.sign(b"message") == KEY.sign(b"message")
    verify_signature(key.public, b"message", key.sign(b"message"))
    assert "\7" * 8 not in repr(key)
    with pytest.raises(KeyRefused, match="is not here"):
        key.to_pem()


def test_a_public_key_that_is_not_the_signers_is_refused(uri):
    with pytest.raises(KeyRefused):
        UriKey(uri, SigningKey(b"\5" * 32).public)


@pytest.mark.parametrize("public", [bytes(32), (2**255 - 19 + 3).to_bytes(32, "little")])
def test_a_weak_public_key_is_refused_before_anything_signs(uri, public):
    with pytest.raises(KeyRefused, match=r"small order|not canonical"):
        UriKey(uri, public)


@pytest.mark.parametrize("scheme", ["file2:/nowhere.pem", "nonsense:x", "awskms:alias/x"])
def test_a_uri_that_opens_nothing_is_refused_and_named(scheme):
    with pytest.raises(KeyRefused, match=scheme.partition(":")[0]):
        UriKey(scheme, KEY.public)


FILES = {
    "empty": "",
    "no key": "file2:/x.pem\n",
    "a key that is no base64": "file2:/x.pem\nnonsense!\n",
    "three lines": "a:b\n" * 2 + base64.b64encode(KEY.public).decode(),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_of_another_form_is_refused(tmp_path, content):
    (tmp_path / "producer.uri").write_text(content)
    with pytest.raises(KeyRefused, match="a line each"):
        load_uri(tmp_path / "producer.uri")
    with pytest.raises(KeyRefused, match="cannot be read"):
        load_uri(tmp_path / "nowhere.uri")


class Broken:
    """A service that answers something else than it did when the key was opened."""

    def __init__(self, answer):
        self.answer = answer

    def sign(self, _):
        if isinstance(self.answer, Exception):
            raise self.answer
        return type("Signature", (), {"signature": self.answer})


def test_a_service_that_is_away_stops_signing_and_a_wrong_signature_never_leaves(uri):
    key = UriKey(uri, KEY.public)
    key._signer = Broken(ConnectionError("gone"))
    with pytest.raises(LedgerUnavailable, match="gone"):
        key.sign(b"message")
    key._signer = Broken(KEY.sign(b"another message").hex())
    with pytest.raises(SignatureRefused):
        key.sign(b"message")
    key._signer = Broken("not hex")
    with pytest.raises(LedgerUnavailable):
        key.sign(b"message")
