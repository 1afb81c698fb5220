"""The receipt in its standard second form: a COSE Receipt (RFC 9942, RFC 9943 section 6).

A COSE_Sign1 (RFC 9052) by the log's key whose detached payload is the tree's root, with the
inclusion proof in the unprotected header. Same leaf, same path, same tree as the JSON receipt; the
signature is another one, over another message, so neither form can be taken for the other.

Headers: alg -8 (EdDSA), kid (the log key's 16-byte id), vds 395 = 1 (RFC9162_SHA256), CWT claims
15 = {iss: the log's origin, sub: the entry's type and place, tree_size}. Only the root is signed of
a proof, and trees of several sizes can share a path's shape: so the claims say size and place too.

Not part of `verify`: an audit reads checkpoints. The one file that imports cbor2 (6.3); it is asked
for canonical CBOR (RFC 8949, 4.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cbor2

from ledger.errors import ReceiptError, SignatureRefused
from ledger.merkle import HASH_BYTES, inclusion_ranges, leaf_hash, node_hash, verify_inclusion
from ledger.record import unsigned_body

if TYPE_CHECKING:
    from ledger.keys import SigningKey
    from ledger.note import VerifierKey
    from ledger.receipt import Receipt

MEDIA_TYPE: Final = "application/cose"
COSE_MAX: Final = 64 << 10  # bytes; a path of 63 hashes has 2 KiB
_TAG: Final = 18  # COSE_Sign1
_ALG, _KID, _CWT, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA: Final = -8
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_ISS, _SUB = 1, 2
_TREE_SIZE: Final = "tree_size"


@dataclass(frozen=True, slots=True)
class CoseReceipt:
    """A COSE receipt read back and checked."""

    origin: str
    subject: str
    leaf_index: int
    tree_size: int


def to_cose(receipt: Receipt, *, key: SigningKey, origin: str) -> bytes:
    """The receipt of an entry as COSE, signed by the log's key."""
    body = unsigned_body(receipt.entry)
    protected = cbor2.dumps(
        {
            _ALG: _EDDSA,
            _KID: bytes.fromhex(key.key_id),
            _VDS: _RFC9162_SHA256,
            _CWT: {
                _ISS: origin,
                _SUB: f"{body['type']}/{receipt.leaf_index}",
                _TREE_SIZE: receipt.tree_size,
            },
        },
        canonical=True,
    )
    proof = cbor2.dumps([receipt.tree_size, receipt.leaf_index, list(receipt.path)], canonical=True)
    signature = key.sign(_signed(protected, _root(receipt)))
    parts = [protected, {_VDP: {_INCLUSION: [proof]}}, None, signature]
    return cbor2.dumps(cbor2.CBORTag(_TAG, parts), canonical=True)


def verify_cose(data: bytes, entry: bytes, vkey: VerifierKey) -> CoseReceipt:
    """Check a COSE receipt of an entry's exact bytes against the log's verifier key.

    Raises ReceiptError, InclusionError or SignatureRefused.
    """
    protected, proof, signature = _open(data)
    headers = _decoded(protected, dict, "protected header")
    if headers.get(_ALG) != _EDDSA or headers.get(_VDS) != _RFC9162_SHA256:
        raise ReceiptError("another algorithm or tree than EdDSA and RFC9162_SHA256")
    claims = headers.get(_CWT)
    if not isinstance(claims, dict) or claims.get(_ISS) != vkey.name:
        raise ReceiptError(f"not issued by {vkey.name}")
    size, index, path = _proof(proof)
    subject = str(claims.get(_SUB))
    if claims.get(_TREE_SIZE) != size or not subject.endswith(f"/{index}"):
        raise ReceiptError(f"the proof is of leaf {index} of {size}, the claims are not")
    root = _fold(leaf_hash(entry), index, size, path)
    verify_inclusion(leaf_hash(entry), index, size=size, path=path, root=root)
    vkey.key.verify(_signed(protected, root), signature)
    return CoseReceipt(vkey.name, subject, index, size)


def _signed(protected: bytes, root: bytes) -> bytes:
    """The Sig_structure (RFC 9052, section 4.4) over the detached payload."""
    return bytes(cbor2.dumps(["Signature1", protected, b"", root], canonical=True))


def _root(receipt: Receipt) -> bytes:
    return _fold(leaf_hash(receipt.entry), receipt.leaf_index, receipt.tree_size, receipt.path)


def _fold(leaf: bytes, index: int, size: int, path: tuple[bytes, ...]) -> bytes:
    """The root that a path of the right length leads to."""
    ranges = inclusion_ranges(index, size)
    if len(ranges) != len(path) or any(len(node) != HASH_BYTES for node in path):
        raise ReceiptError(f"a path of {len(path)} hashes for leaf {index} of {size}")
    root = leaf
    for (first, _), node in zip(ranges, path, strict=True):
        root = node_hash(node, root) if first < index else node_hash(root, node)
    return root


def _open(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Protected header, proof and signature of a COSE_Sign1 with a detached payload."""
    if len(data) > COSE_MAX:
        raise ReceiptError(f"{len(data)} bytes; at most {COSE_MAX}")
    tag = _decoded(data, cbor2.CBORTag, "COSE receipt")
    parts = tag.value
    if tag.tag != _TAG or not isinstance(parts, list | tuple) or len(parts) != 4:  # noqa: PLR2004
        raise ReceiptError("not a COSE_Sign1")
    protected, unprotected, payload, signature = parts
    if payload is not None:
        raise ReceiptError("the root must be detached")
    try:
        (proof,) = unprotected[_VDP][_INCLUSION]
    except (KeyError, TypeError, ValueError) as error:
        raise ReceiptError("not one inclusion proof") from error
    if not all(isinstance(part, bytes) for part in (protected, proof, signature)):
        raise ReceiptError("header, proof and signature must be byte strings")
    return protected, proof, signature


def _proof(data: bytes) -> tuple[int, int, tuple[bytes, ...]]:
    value = _decoded(data, list, "inclusion proof")
    if len(value) != 3 or type(value[0]) is not int or type(value[1]) is not int:  # noqa: PLR2004
        raise ReceiptError("an inclusion proof is size, index and path")
    size, index, path = value
    if not isinstance(path, list) or not all(isinstance(node, bytes) for node in path):
        raise ReceiptError("a path is a list of byte strings")
    if not 0 <= index < size < 1 << 63:
        raise ReceiptError(f"no leaf {index} in a tree of {size}")
    return size, index, tuple(path)


def _decoded(data: bytes, kind: type, what: str) -> Any:  # noqa: ANN401 - CBOR has no narrower type
    """CBOR in its canonical form and no other, of the expected kind."""
    try:
        value = cbor2.loads(data)
        same = cbor2.dumps(value, canonical=True) == data
    except (cbor2.CBORError, ValueError, RecursionError, TypeError) as error:
        raise ReceiptError(f"{what}: not CBOR") from error
    if not same or not isinstance(value, kind):
        raise ReceiptError(f"{what}: not canonical CBOR of the right kind")
    return value


__all__ = ["MEDIA_TYPE", "CoseReceipt", "SignatureRefused", "to_cose", "verify_cose"]
