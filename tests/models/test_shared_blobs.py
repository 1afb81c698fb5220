"""Blobs behind a directory: shared over S3 or any fsspec place, hashed when they come back."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from models.errors import ArtifactRefused, BlobMissing, DigestMismatch, PlaceRefused
from models.hub import store as stores
from models.hub.canonical import digest_of
from models.hub.places import FilePlace, open_place, read_whole
from models.hub.store import BlobStore


@pytest.fixture(params=["memory", "file"])
def behind(request, tmp_path):
    if request.param == "file":
        return open_place(str(tmp_path / "shared"))
    filesystem = MemoryFileSystem()
    filesystem.store, filesystem.pseudo_dirs = {}, [""]
    return FilePlace("memory://shared", filesystem, "/shared")


def test_one_host_stores_and_another_reads(tmp_path, behind):
    digest = BlobStore(tmp_path / "one", behind).put(b"a model")
    other = BlobStore(tmp_path / "two", behind)
    assert other.has(digest)
    assert other.get(digest) == b"a model"
    assert (tmp_path / "two" / digest[7:]).read_bytes() == b"a model"  # kept: asked for once


def test_what_was_altered_behind_is_refused_and_not_kept(tmp_path, behind):
    digest = BlobStore(tmp_path / "one", behind).put(b"a model")
    behind.write(f"blobs/{digest[7:]}", b"another")
    with pytest.raises(DigestMismatch, match="blob at"):
        BlobStore(tmp_path / "two", behind).get(digest)
    assert not (tmp_path / "two").exists()


def test_what_is_nowhere(tmp_path, behind):
    store = BlobStore(tmp_path / "one", behind)
    assert not store.has(digest_of(b"x"))
    with pytest.raises(BlobMissing):
        store.get(digest_of(b"x"))


def test_a_blob_too_large_is_stored_nowhere(tmp_path, behind, monkeypatch):
    monkeypatch.setattr(stores, "BLOB_MAX", 3)
    with pytest.raises(ArtifactRefused):
        BlobStore(tmp_path / "one", behind).put(b"four")
    assert behind.size(f"blobs/{digest_of(b'four')[7:]}") is None


def test_nothing_is_kept_here_that_could_not_be_shared(tmp_path, behind, monkeypatch):
    def full(*_):
        raise PlaceRefused("shared", "the disk is full")

    monkeypatch.setattr(type(behind), "write", full)
    with pytest.raises(PlaceRefused):
        BlobStore(tmp_path / "one", behind).put(b"a model")
    assert not BlobStore(tmp_path / "one").has(digest_of(b"a model"))


def test_a_place_reads_from_anywhere_and_to_a_limit(behind):
    behind.write("blobs/x", b"0123456789")
    assert b"".join(behind.read("blobs/x", 4)) == b"456789"
    assert b"".join(behind.read("blobs/x", 10)) == b""
    assert behind.size("blobs/x") == 10
    with pytest.raises(PlaceRefused, match="longer than 3"):
        read_whole(behind, "blobs/x", 3)
    with pytest.raises(FileNotFoundError):
        list(behind.read("blobs/y"))


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 63, "../../etc/passwd", "sha256:../x", ""])
def test_no_digest_leads_out_of_the_directory(tmp_path, digest):
    with pytest.raises(BlobMissing):
        BlobStore(tmp_path).get(digest)
