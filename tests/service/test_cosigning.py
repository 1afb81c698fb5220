"""The publisher against witnesses that lie, stall, ramble or are not there; and its policy file."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from houses import make_house
from ledger.cosignature import Cosigner, WitnessKey, verify_cosignatures
from ledger.cosigned import cosigned, cosigned_sizes, keep_cosignature, last_cosigned
from ledger.keys import SigningKey
from ledger.witness_request import parse_request
from service import jobs, witness_client
from service.assembly import assemble, initialise
from service.cli import main
from service.cosigning import PAUSE_MAX_S, TRIES_MAX, Cosigning
from service.errors import ServiceError
from service.sealing import seal
from service.settings import Settings
from service.witness_client import ANSWER_MAX, SIZE_TYPE, ask, open_client
from witnesses import policy_file, with_policy

ME = Cosigner("w.example/1", SigningKey(bytes(range(32))))
STRANGER = Cosigner("w.example/2", SigningKey(bytes(range(1, 33))))
NOW = 1_795_000_000


class Hostile:
    """An HTTP server that answers add-checkpoint as it is told; keeps what it was asked."""

    def __init__(self, answer):
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append(parse_request(body))
                answer(self, outer.asked[-1])

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def answering(status, body, kind="text/plain", **headers):
    def answer(handler, request):
        data = body(request) if callable(body) else body
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


@pytest.fixture
def plain(tmp_path):
    made = make_house(tmp_path / "house", models=())
    yield made
    made.engine.dispose()


@pytest.fixture
def facing(tmp_path, plain):
    """A house whose one witness is whatever a test makes of it."""
    opened = []

    def face(answer):
        server = Hostile(answer)
        path = policy_file(tmp_path / "policy", plain, [(ME.vkey, server.url)])
        house = with_policy(plain, path)
        opened.append((server, house))
        return server, house

    yield face
    for server, house in opened:
        server.close()
        house.engine.dispose()


def honest(request):
    return ME.cosign(request.text, NOW).encode()


def test_an_honest_answer_is_kept_and_told(facing):
    server, house = facing(answering(200, honest))
    assert str(house.cosigning.collect()) == f"checkpoint {house.ledger.size}: cosigned by w1"
    assert house.receipt(0).state == "witnessed"
    assert [request.old_size for request in server.asked] == [0]
    seal(house, period="p", actor_id="x")
    house.cosigning.collect()
    assert server.asked[-1].old_size == house.ledger.size - 1  # it grows from what was signed last


def other_text(request):
    return ME.cosign(request.text.replace("\n6\n", "\n7\n"), NOW).encode()


LIES = {
    "another tree": (answering(200, other_text), "does not verify"),
    "somebody else's signature": (
        answering(200, lambda r: STRANGER.cosign(r.text, NOW).encode()),
        "without a cosignature of the key in the policy",
    ),
    "a page": (answering(200, b"<html>hello</html>"), "malformed signature line"),
    "nothing": (answering(200, b""), "malformed signature line"),
    "time 0": (
        answering(200, lambda r: ME.cosign(r.text, 0).encode()),
        "has the time 0",
    ),
    "a flood": (answering(200, b"x" * (ANSWER_MAX + 1)), "more than"),
    "409 without a size": (answering(409, b"later", SIZE_TYPE), "409 without its size"),
    "409 with a huge size": (answering(409, b"9" * 30, SIZE_TYPE), "409 without its size"),
    "409 in other digits": (
        answering(409, "\N{ARABIC-INDIC DIGIT ONE}\n".encode(), SIZE_TYPE),
        "409 without its size",
    ),
    "409 without the type": (answering(409, b"5\n"), "the log forked, or two logs sign"),
    "a longer log": (answering(409, b"99\n", SIZE_TYPE), "saw 99 entries of this log, here are 6"),
    "a size that never fits": (answering(409, b"3\n", SIZE_TYPE), f"moved {TRIES_MAX} times"),
    "a redirect": (answering(307, b"", Location="http://127.0.0.1:9/"), "status 307"),
    "an error": (answering(500, b"\x1b[31mred\n"), "(status 500: [31mred)"),
    "not found": (answering(404, b"?"), "does not know this log"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_no_cosignature_is_not_kept_and_told(facing, name):
    answer, told = LIES[name]
    server, house = facing(answer)
    done = house.cosigning.collect()
    assert done.cosigned == ()
    assert told in done.failed["w1"]
    assert len(server.asked) <= TRIES_MAX
    assert house.cosigning.checkpoint() == house.ledger.checkpoint()
    assert house.receipt(0).state == "published"
    assert house.cosigning.flush() is None


def test_a_witness_that_trickles_is_given_up(facing, monkeypatch):
    monkeypatch.setattr(witness_client, "ANSWER_TIMEOUT_S", 0.5)

    def trickle(handler, request):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(40):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    _, house = facing(trickle)
    begun = time.monotonic()
    assert "took longer than" in house.cosigning.collect().failed["w1"]
    assert time.monotonic() - begun < 1.5


def test_a_failing_witness_is_asked_ever_more_rarely(plain, tmp_path):
    now = [0.0]
    path = policy_file(tmp_path / "policy", plain, [(ME.vkey, "http://127.0.0.1:9")])
    house = with_policy(plain, path)
    patient = Cosigning(
        house.cosigning.policy, house.ledger, house.engine, monotonic=lambda: now[0]
    )
    pauses, last = [], 0.0
    while len(pauses) < 12:
        if patient.collect().failed:
            pauses.append(now[0] - last)
            last = now[0]
        now[0] += 1
    assert pauses[1:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert pauses[10:] == [PAUSE_MAX_S, PAUSE_MAX_S]
    house.engine.dispose()


def test_a_witness_without_an_address_counts_and_is_not_asked(plain, tmp_path):
    house = with_policy(plain, policy_file(tmp_path / "policy", plain, [(ME.vkey, None)]))
    assert str(house.cosigning.collect()) == ""
    assert house.receipt(0).state == "published"
    note = house.ledger.checkpoint()
    line = ME.cosign(note.partition("\n\n")[0] + "\n", NOW)
    (brought,) = verify_cosignatures(note + line, [WitnessKey.parse(ME.vkey)])
    keep_cosignature(house.engine, house.ledger.size, brought)  # came by another way
    assert house.receipt(0).state == "witnessed"
    house.engine.dispose()


# --- what is kept ------------------------------------------------------------------------------


def test_cosignatures_are_kept_once_and_for_good(tmp_path, database):
    house = make_house(tmp_path / "house", models=(), database_url=database or "")
    engine, size, note = house.engine, house.ledger.size, house.ledger.checkpoint()
    lines = [ME.cosign(note.partition("\n\n")[0] + "\n", NOW + n) for n in range(2)]
    first, second = verify_cosignatures(note + "".join(lines), [WitnessKey.parse(ME.vkey)])
    assert last_cosigned(engine, first.witness) == 0
    assert keep_cosignature(engine, size, first)
    assert not keep_cosignature(engine, size, second)
    assert cosigned(engine, size, note) == note + lines[0]
    assert cosigned_sizes(engine, above=-1, limit=5) == [size]
    assert cosigned_sizes(engine, above=size, limit=5) == []
    assert last_cosigned(engine, first.witness) == size
    for statement in ("UPDATE ledger_cosignature SET time = 1", "DELETE FROM ledger_cosignature"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def test_a_checkpoint_of_the_history_has_no_cosignatures_in_it(facing):
    """Cosignatures come later; files that name a checkpoint by its bytes must not change."""
    _, house = facing(answering(200, honest))
    before = list(house.ledger.checkpoints())
    house.cosigning.collect()
    assert list(house.ledger.checkpoints()) == before


# --- the policy file ---------------------------------------------------------------------------


def test_a_policy_that_cannot_serve_stops_the_start(plain, tmp_path):
    missing = tmp_path / "missing"
    broken = tmp_path / "broken"
    broken.write_text("quorum w1\n")
    foreign = tmp_path / "foreign"
    vkey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    foreign.write_text(f"log {vkey}\nquorum none\n")
    for path, told in (
        (missing, "No such file"),
        (broken, "line 1: w1 is not defined"),
        (foreign, "names other logs"),
    ):
        with pytest.raises(ServiceError, match=told):
            with_policy(plain, path)


def test_without_a_policy_nothing_is_asked_and_nothing_said(plain):
    assert plain.cosigning is None
    assert jobs.run_once(plain, ["cosign"]) == [""]
    assert plain.receipt(0).state == "published"


def test_status_says_how_far_witnesses_have_come(facing, monkeypatch):
    _, house = facing(answering(200, honest))
    monkeypatch.setenv("ASSAY_WITNESS_POLICY", str(house.settings.witness_policy))
    told = []
    for _ in range(2):
        arguments = ["status", "--data-dir", str(house.settings.data_dir)]
        told.append(CliRunner().invoke(main, arguments).output)
        house.cosigning.collect()
    assert "witnessed      nothing yet, by this policy" in told[0]
    assert f"witnessed      up to {house.ledger.size} entries" in told[1]


def test_a_quorum_of_nobody_makes_no_receipt_witnessed(plain, tmp_path):
    path = tmp_path / "policy"
    path.write_text("quorum none\n")
    house = with_policy(plain, path)
    assert house.receipt(0).state == "published"
    assert house.cosigning.flush() is None
    house.engine.dispose()


def test_a_house_is_made_before_its_policy_can_name_it(tmp_path):
    settings = Settings(data_dir=tmp_path / "house", witness_policy=tmp_path / "later")
    house = initialise(settings)
    assert house.cosigning is None
    house.engine.dispose()
    with pytest.raises(ServiceError, match="No such file"):
        assemble(settings)


# --- one question ------------------------------------------------------------------------------


def test_an_address_that_is_none_is_a_failure_not_a_crash():
    with open_client() as client:
        for prefix in ("", "w.example", "ftp://w.example", "http://[", "http://127.0.0.1:99999"):
            with pytest.raises(witness_client.WitnessFailed):
                ask(client, prefix, b"")
