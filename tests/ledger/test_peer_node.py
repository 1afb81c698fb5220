"""The same trees by npm's `merkle-tools` (Tierion), where node, npm and a registry are.

It builds trees over closed sets, as the Python package of the same house does; what it hashes two
nodes with is replaced by RFC 9162's, behind 0x01. Its shape, roots and paths are its own, and each
side's proofs must pass the other's check.
"""

import json
import shutil
import subprocess

import pytest

from ledger.merkle import inclusion_path, leaf_hash, root_of, verify_inclusion

PACKAGE = "merkle-tools@1.4.1"
INSTALL_S = 120
SIZES = [*range(1, 70), 100, 127, 128, 129, 255, 256, 257]
HASHES = [leaf_hash(f"entry {n}".encode()) for n in range(max(SIZES))]
PROGRAM = """
const crypto = require('crypto')
const real = crypto.createHash
// The package hands the name of a hash on to node; under this one, two nodes are hashed behind 0x01.
crypto.createHash = (name, ...more) => name !== 'rfc9162' ? real(name, ...more) : {
  update: bytes => real('sha256').update(Buffer.concat([Buffer.from([1]), bytes])),
}
const MerkleTools = require('merkle-tools')
const { sizes, leaves, ours } = JSON.parse(require('fs').readFileSync(0))
const trees = sizes.map((size, place) => {
  const tree = new MerkleTools({ hashType: 'rfc9162' })
  tree.addLeaves(leaves.slice(0, size))
  tree.makeTree()
  const root = tree.getMerkleRoot().toString('hex')
  const proofs = Array.from({ length: size }, (_, index) => tree.getProof(index))
  const accepts = proof => tree.validateProof(proof.path, leaves[proof.index], ours[place].root)
  return { root, proofs, accepted: ours[place].proofs.map(accepts) }
})
console.log(JSON.stringify(trees))
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """What merkle-tools makes of the trees, and which of our proofs it accepts."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    place = tmp_path_factory.mktemp("node")
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix", str(place))
    try:
        subprocess.run(
            ["npm", "install", *quiet, PACKAGE],
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
            timeout=INSTALL_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install {PACKAGE} here: {str(error.stderr)[-200:]}")
    done = subprocess.run(
        ["node", "-e", PROGRAM],
        cwd=place,
        input=json.dumps(
            {"sizes": SIZES, "leaves": [h.hex() for h in HASHES], "ours": list(map(ours, SIZES))}
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(SIZES, json.loads(done.stdout), strict=True))


def ours(size):
    """Our root and every proof, in the package's own form; each proof once more with a flipped bit."""
    hashes = HASHES[:size]
    proofs = []
    for index in range(size):
        path = steps(index, size, inclusion_path(hashes, index))
        proofs.append({"index": index, "path": path})
        if path:
            side, node = next(iter(path[-1].items()))
            bent = f"{int(node[0], 16) ^ 1:x}{node[1:]}"
            proofs.append({"index": index, "path": [*path[:-1], {side: bent}]})
    return {"root": root_of(hashes).hex(), "proofs": proofs}


def steps(index, size, path):
    """A path with the side of each sibling, by RFC 9162's index and size."""
    found, last, nodes = [], size - 1, iter(path)
    while last:
        if index % 2:
            found.append({"left": next(nodes).hex()})
        elif index < last:
            found.append({"right": next(nodes).hex()})
        index, last = index // 2, last // 2
    assert next(nodes, None) is None
    return found


def test_merkle_tools_has_our_roots_and_paths(theirs):
    for size, tree in theirs.items():
        hashes = HASHES[:size]
        assert tree["root"] == root_of(hashes).hex()
        for index, proof in enumerate(tree["proofs"]):
            path = [bytes.fromhex(next(iter(step.values()))) for step in proof]
            assert path == inclusion_path(hashes, index)
            verify_inclusion(hashes[index], index, size=size, path=path, root=root_of(hashes))


def test_merkle_tools_accepts_our_proofs_and_none_that_is_bent(theirs):
    for size, tree in theirs.items():
        wanted = [True] if size == 1 else [True, False] * size
        assert tree["accepted"] == wanted
