"""An export published elsewhere: what is uploaded, in which order, and what is left alone."""

import hashlib

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from ledger.errors import LedgerInconsistent
from ledger.export import export
from ledger.layout import DirectorySource
from ledger.publishing import DestinationRefused, RemoteDestination, open_destination
from ledger.verify import verify_export
from logs import create_log, only_sqlite

NEVER_AGAIN = "the disk of somebody else is full"


class Recorder(MemoryFileSystem):
    """A memory file system of its own that tells what was done, and fails on demand."""

    cachable = False

    def __init__(self):
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]
        self.done, self.read, self.fail_after = [], [], None

    def pipe_file(self, path, value, **kwargs):
        if self.fail_after is not None and len(self.done) >= self.fail_after:
            raise OSError(NEVER_AGAIN)
        self.done.append(path.removeprefix("/site/"))
        super().pipe_file(path, value, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        if self.fail_after is not None and len(self.done) >= self.fail_after:
            raise OSError(NEVER_AGAIN)
        self.done.append(rpath.removeprefix("/site/"))
        super().put_file(lpath, rpath, **kwargs)

    def cat_file(self, path, **kwargs):
        data = super().cat_file(path, **kwargs)
        self.read.append(path.removeprefix("/site/"))
        return data

    def files(self):
        return {path.removeprefix("/site/"): self.cat_file(path) for path in self.find("/site")}


class Memory:
    """A source over the files of a recorder."""

    def __init__(self, filesystem):
        self.files = filesystem.files()

    def list(self):
        return sorted(self.files)

    def read(self, path):
        return self.files[path]

    def lines(self, path):
        yield from self.read(path).splitlines(keepends=True)


@pytest.fixture
def remote():
    return Recorder()


def grow(log, count):
    for n in range(count):
        log.predict([f"value {n}", f"other {n}"][: 1 + n % 2])


def publish(log, filesystem, vault=None):
    filesystem.done, filesystem.read = [], []
    place = RemoteDestination("memory://site", filesystem, "/site")
    return export(log.ledger, place, vault=vault or log.vault)


def test_a_published_export_is_the_one_a_directory_gets(log, remote, tmp_path):
    grow(log, 300)
    publish(log, remote)
    export(log.ledger, tmp_path / "x", vault=log.vault)
    local = DirectorySource(tmp_path / "x")
    assert remote.files() == {path: local.read(path) for path in local.list()}
    assert verify_export(Memory(remote), log.ledger.vkey).findings == ()


def test_the_index_comes_after_the_files_and_the_checkpoint_last(log, remote):
    grow(log, 5)
    publish(log, remote)
    assert remote.done[-2:] == ["index.json", "checkpoint"]


def test_a_refresh_uploads_what_is_new_and_reads_none_of_the_rest(log, remote):
    grow(log, 300)
    publish(log, remote)
    grow(log, 3)
    publish(log, remote)
    size = log.ledger.size
    assert set(remote.done) == {
        "checkpoint",
        "checkpoints.jsonl",
        "index.json",
        "openings/001.jsonl",
        "rows/001.jsonl",
        f"tile/0/001.p/{size - 256}",
        f"tile/entries/001.p/{size - 256}",
    }
    assert set(remote.read) <= {"checkpoint", "index.json"}
    assert verify_export(Memory(remote), log.ledger.vkey).findings == ()


def test_nothing_changed_nothing_uploaded(log, remote):
    grow(log, 3)
    publish(log, remote)
    publish(log, remote)
    assert remote.done == []


@pytest.mark.parametrize("after", [0, 1, 4, 6])
def test_an_upload_cut_off_leaves_the_old_checkpoint_and_is_made_up_for(log, remote, after):
    grow(log, 300)
    size = publish(log, remote)
    grow(log, 9)
    remote.fail_after = after
    with pytest.raises(OSError, match=NEVER_AGAIN):
        publish(log, remote)
    assert remote.files()["checkpoint"].decode().split("\n")[1] == str(size)
    remote.fail_after = None
    publish(log, remote)
    assert verify_export(Memory(remote), log.ledger.vkey).findings == ()


def test_a_file_that_got_lost_or_shorter_is_uploaded_again(log, remote):
    grow(log, 300)
    publish(log, remote)
    remote.rm_file("/site/tile/0/000")
    remote.pipe_file("/site/tile/entries/000", b"rotten")
    publish(log, remote)
    assert {"tile/0/000", "tile/entries/000"} <= set(remote.done)
    assert verify_export(Memory(remote), log.ledger.vkey).findings == ()


def test_a_file_of_the_same_length_and_another_content_is_uploaded(log, remote):
    grow(log, 3)
    publish(log, remote)
    place = RemoteDestination("memory://site", remote, "/site")
    held = remote.files()["openings/000.jsonl"]
    remote.done = []
    place.put("openings/000.jsonl", held, "sha256:" + hashlib.sha256(held).hexdigest())
    assert remote.done == []
    other = held.replace(b"value 0", b"value 9")
    place.put("openings/000.jsonl", other, "sha256:" + hashlib.sha256(other).hexdigest())
    assert remote.done == ["openings/000.jsonl"]


def test_files_of_somebody_else_are_left_alone(log, remote):
    remote.pipe_file("/site/thesis.txt", b"mine")
    with pytest.raises(LedgerInconsistent, match="memory://site holds files that are no export"):
        publish(log, remote)
    assert remote.files() == {"thesis.txt": b"mine"}


def test_a_longer_export_is_left_alone(log, remote, tmp_path):
    grow(log, 9)
    publish(log, remote)
    before = remote.files()
    shorter = create_log(tmp_path / "shorter")
    with pytest.raises(LedgerInconsistent, match="longer than the log"):
        publish(shorter, remote)
    assert remote.files() == before


class Slow(LocalFileSystem):
    """A file system that may show half a file: only drafts are written, then moved."""

    protocol = ("sftp",)
    written: list = []  # noqa: RUF012 - a class per test session is enough

    def pipe_file(self, path, value, **kwargs):
        self.written.append(path)
        super().pipe_file(path, value, **kwargs)


def test_where_uploads_are_not_whole_a_draft_is_moved_into_place(log, tmp_path):
    grow(log, 9)
    root = str(tmp_path / "share")
    export(log.ledger, RemoteDestination("sftp://host/x", Slow(), root), vault=log.vault)
    assert Slow.written
    assert all(path.endswith(".part") for path in Slow.written)
    found = verify_export(DirectorySource(tmp_path / "share"), log.ledger.vkey)
    assert found.findings == ()


def test_places_are_read_as_urls_or_directories(tmp_path):
    assert open_destination(str(tmp_path)) == tmp_path
    assert open_destination(f"file://{tmp_path}") == tmp_path
    assert str(open_destination("memory://a/b")) == "memory://a/b"
    with pytest.raises(DestinationRefused, match="nowhere://x: "):
        open_destination("nowhere://x")


def test_a_protocol_without_its_package_says_which(monkeypatch):
    def absent(*_args, **_kwargs):
        message = "Install s3fs to access S3"
        raise ImportError(message)

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(DestinationRefused, match=r"s3://b/x: Install s3fs .*the package for s3://"):
        open_destination("s3://b/x")


@only_sqlite  # one store, whatever the database: the stand-in keeps its buckets per process
def test_on_an_s3_server(log, monkeypatch):
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
    ):
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # or it is another test's server
    s3fs.S3FileSystem().mkdir("site")
    grow(log, 300)
    export(log.ledger, open_destination("s3://site/log"), vault=log.vault)
    grow(log, 2)
    place = open_destination("s3://site/log")
    export(log.ledger, place, vault=log.vault)
    files = Files({path: place.read(path) for path in place.names()})
    assert verify_export(files, log.ledger.vkey).findings == ()
    assert hashlib.sha256(place.read("checkpoint")).digest()
    running.stop()


class Files:
    def __init__(self, files):
        self.files = files

    def list(self):
        return sorted(self.files)

    def read(self, path):
        return self.files[path]

    def lines(self, path):
        yield from self.read(path).splitlines(keepends=True)
