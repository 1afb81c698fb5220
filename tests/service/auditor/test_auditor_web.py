"""An export behind a web server: honest, broken, slow, moving and hostile ones."""

import contextlib
import functools
import http.server
import shutil
import socket
import threading

import pytest
from click.testing import CliRunner

from ledger.layout import DirectorySource, Index
from service.auditor import web
from service.auditor.web import ExportMoved, Fetcher, Unreachable, WebSource, limit_of
from service.cli import main
from service.cli.audit import audit_directory
from service.cli.auditing import Asked, audit_source


class Site(http.server.SimpleHTTPRequestHandler):
    """A static file server that tells what was asked, and can be told to answer otherwise."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; else each answer takes 40 ms

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.clients.add(self.client_address)
        answer = self.server.answers.get(self.path)
        if answer is None:
            super().do_GET()
        else:
            answer(self)

    def log_message(self, *_):
        pass


def reply(status=200, body=b"", **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextlib.contextmanager
def serving(directory):
    handler = functools.partial(Site, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # clients that hang up are what is tested
    server.asked, server.clients, server.answers = [], set(), {}
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def export(house, tmp_path):
    return house.write(tmp_path / "site" / "export")


@pytest.fixture
def site(export):
    with serving(export.parent) as server:
        yield server


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(web, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Whatever a test opens is closed after it."""
    opened = []
    begin = Fetcher.__init__

    def remember(self, url):
        opened.append(self)
        begin(self, url)

    monkeypatch.setattr(Fetcher, "__init__", remember)
    yield
    for fetcher in opened:
        if hasattr(fetcher, "url"):
            fetcher.close()


def open_site(site, spool):
    return WebSource(f"{site.url}/export", spool)


def assay(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_an_address_gives_the_report_of_the_directory(site, export, house, spool):
    audit = audit_source(open_site(site, spool), house.vkey, Asked())
    assert audit.report.to_bytes() == audit_directory(export, house.vkey).to_bytes()
    assert audit.report.failed == 0


def test_every_file_is_fetched_once_over_one_connection(site, export, house, spool):
    audit_source(open_site(site, spool), house.vkey, Asked())
    files = {f"/export/{path}" for path in DirectorySource(export).list()}
    assert sorted(site.asked) == sorted(files)
    assert len(site.clients) == 1


def test_the_command_takes_an_address_and_goes_on_from_its_state(site, house, tmp_path):
    state = tmp_path / "state.json"
    arguments = ("audit", f"{site.url}/export/", "--key", house.vkey, "--state", state)
    done = assay(*arguments)
    assert done.exit_code == 0, done.output
    site.asked.clear()
    done = assay(*arguments)
    assert done.exit_code == 0, done.output
    assert "not read again" in done.stdout
    assert not [path for path in site.asked if path.startswith("/export/blobs")]


def test_a_changed_byte_is_found_over_the_wire(site, export, house, spool):
    tile = next(p for p in (export / "tile/entries").rglob("*") if p.is_file())
    tile.write_bytes(tile.read_bytes().replace(b'"as_of":null', b'"as_of":nulL', 1))
    report = audit_source(open_site(site, spool), house.vkey, Asked()).report
    assert ("leaf", 8) in {(f.check, f.leaf) for f in report.findings}


def test_a_server_cannot_answer_twice_in_two_ways(site, export, house, spool):
    source = open_site(site, spool)
    path = next(p for p in source.list() if p.startswith("blobs/"))
    first = source.read(path)
    (export / path).write_bytes(b"something else")
    assert source.read(path) == first
    assert site.asked.count(f"/export/{path}") == 1


def test_a_missing_file_is_a_finding_not_an_error(site, export, house):
    next((export / "blobs").iterdir()).unlink()
    done = assay("audit", f"{site.url}/export", "--key", house.vkey, "--no-replay")
    assert done.exit_code == 1
    assert "file: expected" in done.stdout


def test_nothing_there_is_could_not_check(site, house):
    done = assay("audit", f"{site.url}/elsewhere", "--key", house.vkey)
    assert done.exit_code == 2
    assert "checkpoint" in done.stderr


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x", "ftp://example.org/", "http:///x"]
)
def test_an_address_that_cannot_be_reached_is_could_not_check(address, house):
    done = assay("audit", address, "--key", house.vkey)
    assert done.exit_code == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    "address", ["http://me:secret@host/x", "http://host/x?token=1", "http://host/#x"]
)
def test_an_address_with_more_than_a_path_is_refused(address):
    with pytest.raises(Unreachable, match="no user, query or fragment"):
        Fetcher(address)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again_and_then_given_up(site, spool, status):
    path = "/export/index.json"
    site.answers[path] = reply(status)
    with pytest.raises(Unreachable, match=f"status {status}"):
        open_site(site, spool)
    assert site.asked.count(path) == web.TRIES


def test_a_server_that_recovers_is_read_on(site, export, spool):
    calls = []

    def once(handler):
        calls.append(1)
        if len(calls) == 1:
            handler.close_connection = True  # no answer at all
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            reply(200, (export / "index.json").read_bytes())(handler)

    site.answers["/export/index.json"] = once
    assert open_site(site, spool).read("index.json") == (export / "index.json").read_bytes()


@pytest.mark.parametrize("status", [401, 403, 206, 418])
def test_other_answers_say_nothing_about_the_log(site, spool, status):
    site.answers["/export/checkpoint"] = reply(status)
    with pytest.raises(Unreachable, match=f"status {status}"):
        open_site(site, spool)


def test_redirects_are_followed_within_the_host_only(site, export, spool):
    site.answers["/export/checkpoint"] = reply(302, Location="/export/../export/index.json")
    site.answers["/export/index.json"] = reply(302, Location="http://example.org/index.json")
    with pytest.raises(Unreachable, match=r"redirects to another host, example\.org"):
        open_site(site, spool)
    site.answers["/export/index.json"] = reply(308, Location="/moved.json")
    site.answers["/moved.json"] = reply(200, (export / "index.json").read_bytes())
    site.answers["/export/checkpoint"] = None
    assert open_site(site, spool).read("index.json") == (export / "index.json").read_bytes()
    site.answers["/moved.json"] = reply(302, Location="/moved.json")
    with pytest.raises(Unreachable, match="more than 3 redirects"):
        Fetcher(f"{site.url}/export").get("index.json", 1 << 20)


def test_a_file_beyond_its_size_is_refused_without_being_kept(site, spool, monkeypatch):
    monkeypatch.setattr(web, "NOTE_MAX", 1000)
    site.answers["/export/checkpoint"] = reply(200, b"x" * 1001)
    with pytest.raises(Unreachable, match="longer than 1,000 bytes"):
        Fetcher(f"{site.url}/export").get("checkpoint", 1000)


def test_a_stream_without_end_is_cut(site):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 65536)

    site.answers["/export/checkpoint"] = endless
    with pytest.raises(Unreachable, match="longer than"):
        Fetcher(f"{site.url}/export").get("checkpoint", 1 << 20)


def test_a_trickle_is_given_up(site, monkeypatch):
    monkeypatch.setattr(web, "FILE_SECONDS_MAX", -1)
    with pytest.raises(Unreachable, match="takes longer"):
        Fetcher(f"{site.url}/export").get("checkpoint", 1 << 20)


def test_a_body_cut_off_is_asked_for_again(site):
    site.answers["/export/checkpoint"] = reply(
        200, b"short", Content_Length="99", Connection="close"
    )
    with pytest.raises(Unreachable):
        Fetcher(f"{site.url}/export").get("checkpoint", 1 << 20)
    assert site.asked == ["/export/checkpoint"] * web.TRIES


def test_a_content_encoding_is_refused(site):
    site.answers["/export/checkpoint"] = reply(200, b"", Content_Encoding="gzip")
    with pytest.raises(Unreachable, match="content encoding gzip"):
        Fetcher(f"{site.url}/export").get("checkpoint", 1 << 20)


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "http://example.org/x", "tile/0/0", "blobs/x", ".", ""]
)
def test_an_index_cannot_make_the_auditor_ask_for_other_paths(site, path):
    assert limit_of(path) == 0
    assert Fetcher(f"{site.url}/export").get(path, limit_of(path)) is None
    assert site.asked == []


def test_a_path_of_no_export_is_a_finding(site, export, house):
    index = Index.parse((export / "index.json").read_bytes())
    files = {**index.files, "../secret": "sha256:" + "0" * 64}
    (export / "index.json").write_bytes(Index(index.origin, index.tree_size, files).to_bytes())
    done = assay("audit", f"{site.url}/export", "--key", house.vkey)
    assert done.exit_code == 1
    assert "../secret" in done.stdout
    assert not [path for path in site.asked if "secret" in path]


# An export that is refreshed while it is read.


@pytest.fixture
def moving(house, tmp_path):
    """The site now, and the same log twenty entries later."""
    for n in range(250):
        house.predict(house.digest, (float(n % 5), 1.0))
    now = house.write(tmp_path / "site" / "export")
    for n in range(20):
        house.predict(house.digest, (float(n), 1.0))
    return now, house.write(tmp_path / "later")


def refresh(now, later):
    shutil.rmtree(now)
    shutil.copytree(later, now)


def test_an_audit_is_of_the_checkpoint_it_began_with(moving, house, spool):
    now, later = moving
    before = audit_directory(now, house.vkey).to_bytes()
    with serving(now.parent) as site:
        source = open_site(site, spool)
        refresh(now, later)
        assert audit_source(source, house.vkey, Asked()).report.to_bytes() == before


def test_files_that_grew_before_the_checkpoint_did_are_read_as_far_as_listed(moving, house, spool):
    now, later = moving
    before = audit_directory(now, house.vkey).to_bytes()
    with serving(now.parent) as site:
        for path in ("checkpoints.jsonl", "openings/001.jsonl"):
            assert (later / path).read_bytes() != (now / path).read_bytes()
            site.answers[f"/export/{path}"] = reply(200, (later / path).read_bytes())
        source = open_site(site, spool)
        assert audit_source(source, house.vkey, Asked()).report.to_bytes() == before


def test_a_refresh_between_checkpoint_and_index_is_read_again(moving, house, spool):
    now, later = moving
    old = (now / "checkpoint").read_bytes()
    refresh(now, later)
    with serving(now.parent) as site:
        stale = [old]

        def checkpoint(handler):
            data = stale.pop() if stale else (later / "checkpoint").read_bytes()
            reply(200, data)(handler)

        site.answers["/export/checkpoint"] = checkpoint
        source = open_site(site, spool)
        assert audit_source(source, house.vkey, Asked()).report.tree_size == len(house.entries)


def test_an_export_that_moves_faster_than_it_is_read_is_could_not_check(moving, house, spool):
    now, later = moving
    notes = [(now / "checkpoint").read_bytes(), (later / "checkpoint").read_bytes()]
    refresh(now, later)
    index = Index.parse((now / "index.json").read_bytes())
    (now / "index.json").write_bytes(Index(index.origin, 999, index.files).to_bytes())
    with serving(now.parent) as site:
        asked = []

        def checkpoint(handler):
            asked.append(1)
            reply(200, notes[len(asked) % 2])(handler)

        site.answers["/export/checkpoint"] = checkpoint
        with pytest.raises(ExportMoved):
            open_site(site, spool)
        done = assay("audit", f"{site.url}/export", "--key", house.vkey)
        assert done.exit_code == 2
        assert "run the audit again" in done.stderr


def test_a_file_that_a_refresh_took_away_is_no_finding(moving, house, spool):
    now, later = moving
    blob = next(p.relative_to(now).as_posix() for p in sorted((now / "blobs").iterdir()))
    with serving(now.parent) as site:
        source = open_site(site, spool)
        refresh(now, later)
        (now / blob).unlink()
        with pytest.raises(ExportMoved, match=blob):
            source.read(blob)


def test_a_broken_file_is_no_excuse_of_a_refresh(moving, house, spool):
    now, _ = moving
    (now / "tile/0/000").write_bytes(b"x" * 8192)
    with serving(now.parent) as site:
        report = audit_source(open_site(site, spool), house.vkey, Asked()).report
        assert report.failed
