"""RFC 3161 time-stamps, made by a real authority (openssl ts) and checked again from the export."""

import http.server
import shutil
import subprocess
import threading

import pytest
from click.testing import CliRunner

from houses import make_house
from ledger.record import parse_entry
from outside import vectors
from service.cli import main
from service.cli.audit import audit_directory, exit_status
from service.errors import ServiceError
from service.exporting import export_house
from service.sealing import seal
from service.timestamps import check, load_roots, stamp

CONFIG = """
[tsa]
default_tsa = one
[one]
dir = .
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[stamping]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


class Authority:
    """An RFC 3161 authority: `openssl ts` behind a small HTTP server."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        (directory / "ts.cnf").write_text(CONFIG)
        (directory / "serial").write_text("01\n")
        new = ("req", "-new", "-newkey", "rsa:2048", "-nodes", "-batch")
        self._run(
            *new,
            "-x509",
            "-days",
            "9",
            "-subj",
            "/CN=Test CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-config",
            "ts.cnf",
            "-extensions",
            "ca",
        )
        self._run(
            *new,
            "-subj",
            "/CN=Test TSA",
            "-keyout",
            "tsa.key",
            "-out",
            "tsa.csr",
            "-config",
            "ts.cnf",
        )
        self._run(
            "x509",
            "-req",
            "-in",
            "tsa.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "9",
            "-out",
            "tsa.pem",
            "-extfile",
            "ts.cnf",
            "-extensions",
            "stamping",
        )
        self.spoil = lambda reply: reply
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                reply = outer.spoil(outer.reply(query))
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def reply(self, query):
        (self.directory / "query.tsq").write_bytes(query)
        self._run(
            "ts", "-reply", "-queryfile", "query.tsq", "-out", "reply.tsr", "-config", "ts.cnf"
        )
        return (self.directory / "reply.tsr").read_bytes()

    @property
    def roots(self):
        return load_roots((self.directory / "ca.pem").read_bytes())

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("tsa") / "tsa")
    yield made
    made.stop()


@pytest.fixture
def sealed(tmp_path):
    house = make_house(tmp_path / "house", models=())
    return house, seal(house, period="2026-11-24", actor_id="x").index


def stamped(sealed, authority):
    house, leaf = sealed
    return stamp(house, leaf, url=authority.url, roots=authority.roots, actor_id="x")


def test_a_seal_is_time_stamped_and_the_export_still_audits(sealed, authority):
    house, leaf = sealed
    at = stamped(sealed, authority)
    data = parse_entry(house.ledger.entry(at).entry).data
    assert data["leaf"] == leaf
    when = check(
        house.blobs.get(data["token_digest"]), house.ledger.entry(leaf).entry, authority.roots
    )
    assert when.startswith("20")
    directory = export_house(house, house.settings.data_dir / "export")
    assert exit_status(audit_directory(directory, house.ledger.vkey)) == 0


def test_the_command_checks_an_export(sealed, authority, tmp_path):
    house, leaf = sealed
    ca = str(authority.directory / "ca.pem")
    told = CliRunner().invoke(
        main,
        [
            "timestamp",
            str(leaf),
            "--tsa",
            authority.url,
            "--roots",
            ca,
            "--data-dir",
            str(house.settings.data_dir),
        ],
    )
    assert told.exit_code == 0, told.output
    directory = export_house(house, tmp_path / "export")
    told = CliRunner().invoke(main, ["verify-timestamps", str(directory), "--roots", ca])
    assert told.exit_code == 0, told.output
    assert f"seal {leaf}: there by 20" in told.output


def test_an_export_without_time_stamps_says_so(sealed, authority, tmp_path):
    house, _ = sealed
    directory = export_house(house, tmp_path / "export")
    ca = str(authority.directory / "ca.pem")
    told = CliRunner().invoke(main, ["verify-timestamps", str(directory), "--roots", ca])
    assert told.exit_code == 2
    assert "no time-stamp" in told.output


def test_an_authority_nobody_trusts_is_refused_and_nothing_recorded(
    sealed, authority, tmp_path_factory
):
    house, leaf = sealed
    stranger = Authority(tmp_path_factory.mktemp("stranger") / "tsa")
    size = house.ledger.size
    with pytest.raises(ServiceError, match="does not hold"):
        stamp(house, leaf, url=stranger.url, roots=authority.roots, actor_id="x")
    stranger.stop()
    assert house.ledger.size == size


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: reply[:-20] + bytes(20),
        lambda _: b"",
        lambda _: b"not DER",
        lambda reply: reply[: len(reply) // 2],
        lambda _: bytes(100_000),
    ],
    ids=["signature", "empty", "text", "cut", "long"],
)
def test_a_spoilt_reply_is_refused_and_nothing_recorded(sealed, authority, spoil):
    house, leaf = sealed
    size = house.ledger.size
    authority.spoil = spoil
    try:
        with pytest.raises(ServiceError):
            stamp(house, leaf, url=authority.url, roots=authority.roots, actor_id="x")
    finally:
        authority.spoil = lambda reply: reply
    assert house.ledger.size == size


def test_a_reply_to_another_request_is_refused(sealed, authority):
    """Yesterday's answer for the same bytes: its nonce is another one."""
    house, leaf = sealed
    at = stamped(sealed, authority)
    old = house.blobs.get(parse_entry(house.ledger.entry(at).entry).data["token_digest"])
    authority.spoil = lambda _: old
    try:
        with pytest.raises(ServiceError):
            stamp(house, leaf, url=authority.url, roots=authority.roots, actor_id="x")
    finally:
        authority.spoil = lambda reply: reply


def test_only_seals_are_time_stamped(sealed, authority):
    house, _ = sealed
    for leaf in (0, 10_000):
        with pytest.raises(ServiceError):
            stamp(house, leaf, url=authority.url, roots=authority.roots, actor_id="x")


def test_an_authority_that_is_not_there_is_told(sealed, authority):
    house, leaf = sealed
    with pytest.raises(ServiceError, match="127"):
        stamp(house, leaf, url="http://127.0.0.1:9/", roots=authority.roots, actor_id="x")


@pytest.mark.parametrize("path", vectors("rfc3161-fixtures", "test/fixtures/**/*.tsr"))
def test_a_published_reply_over_other_bytes_is_refused(path, authority):
    """The fixtures' messages are theirs; over one of our entries none of them may hold."""
    with pytest.raises(ServiceError):
        check(path.read_bytes(), b"an entry", authority.roots)
