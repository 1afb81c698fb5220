"""Which keys and signatures count: the three rules, and the files of private keys."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import KeyRefused, SignatureRefused
from ledger.keys import PublicKey, Role, SigningKey, key_id, load_key, save_key, verify_signature

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
SEED = bytes(range(32))
KEY = SigningKey(SEED)
D = -121665 * pow(121666, P - 2, P) % P


def encode(y, sign=0):
    return (y | sign << 255).to_bytes(32, "little")


def small_order_y():
    """Say the y of every point of small order, from the curve itself: doublings that reach (0, 1)."""
    found = {0, 1, P - 1}  # orders 4, 1 and 2
    # Order 8 doubles to y = 0: y^2 = -x^2, and the curve gives d*y^4 + 2*y^2 - 1 = 0.
    root = pow(1 + D, (P + 3) // 8, P)
    root = root if root * root % P == (1 + D) % P else root * pow(2, (P - 1) // 4, P) % P
    for sign in (1, -1):
        square = (-1 + sign * root) * pow(D, P - 2, P) % P
        y = pow(square, (P + 3) // 8, P)
        y = y if y * y % P == square else y * pow(2, (P - 1) // 4, P) % P
        if y * y % P == square:
            found |= {y, P - y}
    return found


def test_the_small_order_points_are_the_curves():
    assert len(small_order_y()) == 5
    for y in small_order_y():
        for sign in (0, 1):
            with pytest.raises(KeyRefused, match="small order"):
                PublicKey(encode(y, sign))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_an_encoding_past_p_is_refused(above, sign):
    with pytest.raises(KeyRefused):
        PublicKey(encode(P + above, sign))


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), KEY.public + b"\0"])
def test_a_key_of_another_length_is_refused(public):
    with pytest.raises(KeyRefused, match="bytes long"):
        verify_signature(public, b"", bytes(64))


def test_a_signature_counts():
    verify_signature(KEY.public, b"message", KEY.sign(b"message"))
    with pytest.raises(SignatureRefused):
        verify_signature(KEY.public, b"massage", KEY.sign(b"message"))
    with pytest.raises(SignatureRefused):
        verify_signature(SigningKey(bytes(32)).public, b"message", KEY.sign(b"message"))


@given(st.binary(max_size=100), st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_refused(message, bit):
    signature = bytearray(KEY.sign(message))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureRefused):
        verify_signature(KEY.public, message, bytes(signature))


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_a_signature_of_another_length_is_refused(length):
    with pytest.raises(SignatureRefused):
        verify_signature(KEY.public, b"", KEY.sign(b"").ljust(65, b"\0")[:length])


def test_a_second_signature_made_of_the_first_is_refused():
    signature = KEY.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + L
    with pytest.raises(SignatureRefused):
        verify_signature(KEY.public, b"message", signature[:32] + s.to_bytes(32, "little"))


def test_a_signature_whose_r_has_small_order_is_refused_though_the_library_takes_it():
    r = encode(1)  # the neutral element: S = H(R, A, M) * a
    scalar = bytearray(hashlib.sha512(SEED).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    a = int.from_bytes(scalar, "little")
    hashed = int.from_bytes(hashlib.sha512(r + KEY.public + b"message").digest(), "little")
    signature = r + (hashed * a % L).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(signature, b"message")
    with pytest.raises(SignatureRefused, match="its R has small order"):
        verify_signature(KEY.public, b"message", signature)


def test_a_keys_name_is_a_tagged_hash():
    assert KEY.key_id == hashlib.sha256(b"assay/key/v1\0" + KEY.public).hexdigest()[:32]
    assert PublicKey(KEY.public).key_id == key_id(KEY.public) == KEY.key_id


def test_the_seed_is_not_shown():
    assert repr(KEY) == f"SigningKey({KEY.key_id})"
    assert not hasattr(KEY, "__dict__")


def test_a_role_is_its_text():
    assert f"{Role.OUTCOME_SOURCE}.key" == "outcome_source.key"


# --- files -----------------------------------------------------------------------------------


def test_a_key_is_kept_for_its_owner_alone(tmp_path):
    path = tmp_path / "a.key"
    save_key(path, KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).public == KEY.public
    with pytest.raises(FileExistsError):
        save_key(path, SigningKey.generate())
    assert load_key(path).public == KEY.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "a.key"
    save_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyRefused, match="repair: chmod 600"):
        load_key(path)


def test_what_is_no_key_file_is_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    path = tmp_path / "a.key"
    with pytest.raises(KeyRefused, match="cannot be read"):
        load_key(path)
    other = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for content, reason in ((b"", "not a PEM"), (SEED, "not a PEM"), (other, "not an Ed25519")):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyRefused, match=reason):
            load_key(path)
