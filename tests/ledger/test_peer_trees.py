"""The same trees by others: pymerkle (GPL, tests only), merkletools, and Go's sumdb where it is.

Independent code that agrees on roots, inclusion and consistency at every size is the best evidence
that ours is RFC 9162's tree and not our own idea of it.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pymerkle
import pytest

from ledger.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.seal import RowTree

SIZE = 130
ENTRIES = [f"entry {n}".encode() for n in range(SIZE)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]
GO_MOD = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog")
GO = """package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

type stored []tlog.Hash

func (s *stored) ReadHashes(at []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(at))
	for i, x := range at {
		found[i] = (*s)[x]
	}
	return found, nil
}

func main() {
	var entries []string
	json.NewDecoder(os.Stdin).Decode(&entries)
	var kept stored
	roots := []string{}
	for n, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(n), []byte(entry), &kept)
		if err != nil {
			panic(err)
		}
		kept = append(kept, hashes...)
		root, err := tlog.TreeHash(int64(n+1), &kept)
		if err != nil {
			panic(err)
		}
		roots = append(roots, hex.EncodeToString(root[:]))
	}
	size := int64(len(entries))
	proofs := [][]string{}
	for n := int64(0); n < size; n++ {
		proof, err := tlog.ProveRecord(size, n, &kept)
		if err != nil {
			panic(err)
		}
		path := []string{}
		for _, h := range proof {
			path = append(path, hex.EncodeToString(h[:]))
		}
		proofs = append(proofs, path)
	}
	out, _ := json.Marshal(map[string]any{"roots": roots, "proofs": proofs})
	fmt.Println(string(out))
}
"""


@pytest.fixture(scope="module")
def peer():
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


def test_pymerkle_has_our_root_at_every_size(peer):
    for size in range(1, SIZE + 1):
        assert peer.get_root(size) == root_of(HASHES[:size])


def test_pymerkles_proofs_pass_our_check_and_ours_pass_pymerkles(peer):
    for size in (1, 2, 3, 64, 65, 100, SIZE):
        root = root_of(HASHES[:size])
        for index in range(size):
            theirs = peer.prove_inclusion(index + 1, size)
            ours = inclusion_path(HASHES[:size], index)
            # pymerkle puts the leaf itself before the siblings.
            assert [bytes(node) for node in theirs.path[1:]] == ours
            pymerkle.verify_inclusion(HASHES[index], root, theirs)
            verify_inclusion(HASHES[index], index, size=size, path=ours, root=root)


def test_pymerkle_accepts_our_growth_and_we_its(peer):
    for old in (1, 2, 3, 31, 64, 65, 129):
        old_root, new_root = root_of(HASHES[:old]), root_of(HASHES)
        pymerkle.verify_consistency(old_root, new_root, peer.prove_consistency(old, SIZE))
        verify_consistency(
            old_size=old,
            old_root=old_root,
            new_size=SIZE,
            new_root=new_root,
            path=consistency_path(HASHES, old),
        )


def test_merkletools_has_our_root_and_paths():
    for size in range(1, SIZE + 1):
        tree = RowTree(ENTRIES[:size])
        assert tree.root == root_of(HASHES[:size])
        for index in (0, size // 2, size - 1):
            assert tree.path(index) == inclusion_path(HASHES[:size], index)


def test_gos_sumdb_has_our_roots_and_proofs(tmp_path):
    if shutil.which("go") is None or not GO_MOD.is_dir():
        pytest.skip("Debian's golang-go and golang-golang-x-mod-dev are not installed")
    program = tmp_path / "main.go"
    program.write_text(GO)
    done = subprocess.run(
        ["go", "run", str(program)],
        input=json.dumps([entry.decode() for entry in ENTRIES]),
        capture_output=True,
        text=True,
        check=True,
        env={
            "GO111MODULE": "off",
            "GOPATH": "/usr/share/gocode",
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin:/usr/local/go/bin",
        },
    )
    theirs = json.loads(done.stdout)
    assert theirs["roots"] == [root_of(HASHES[:n]).hex() for n in range(1, SIZE + 1)]
    assert theirs["proofs"] == [
        [node.hex() for node in inclusion_path(HASHES, n)] for n in range(SIZE)
    ]
