"""Nobody's switch: a hub is copied by whoever wants to, and no copy can lie about a model.

Copies are made over real HTTP, in directories and in S3; the origin goes away; mirrors alter bytes,
entries, or hold back what was seen.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from click.testing import CliRunner

import models.hub
from houses import Api, make_house
from ledger.checkpoint import Checkpoint
from ledger.merkle import Frontier, leaf_hash, paths_for_batch, root_of
from ledger.note import NoteSigner, sign_checkpoint
from models.errors import DigestMismatch, PlaceRefused, TamperedCopy, UnknownModel, Withdrawn
from models.hub.index import NAME, HubIndex, Proved
from models.hub.places import open_place
from servers import Server, free_port
from service import lifecycle
from service.assembly import initialise
from service.auth import Scope
from service.cli import main
from service.intake import Submission, submit
from service.mirroring import build_index, verify_growth, verify_index
from service.settings import Settings
from userfiles import CARD, csv_bytes, skops_bytes

MODEL = "somebody-s-default-model"


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A house with two versions of a model, the first withdrawn; and their digests."""
    at = tmp_path_factory.mktemp("origin")
    (at / "train.csv").write_bytes(csv_bytes())
    (at / "card.md").write_text(CARD)
    house = make_house(at / "house", models=())
    digests = []
    said = {"reason": "a test", "actor_id": "anna"}
    for name in ("forest", "scaled-logistic"):
        (at / f"{name}.skops").write_bytes(skops_bytes(name))
        files = (at / f"{name}.skops", at / "card.md", at / "train.csv")
        digests.append(submit(house, Submission(*files, "dana", target="default")).digest)
        lifecycle.approve(house, digest=digests[-1], **said)
        lifecycle.promote(house, digest=digests[-1], alias="champion", **said)
    lifecycle.withdraw(house, digest=digests[0], reason="leaks the target", actor_id="anna")
    yield house, digests
    house.engine.dispose()


@pytest.fixture(scope="module")
def kept(origin, tmp_path_factory):
    """A mirror in a directory, made over HTTP from a real server that is gone since."""
    house, _ = origin
    target = tmp_path_factory.mktemp("mirrors") / "hub"
    key = house.callers.issue("mirror", [Scope.AUDITOR])
    server = Server(house.settings.data_dir, free_port(), 1)
    try:
        done = run("mirror", f"{server.address}/v1/hub", *at(house, target), "--api-key", key)
    finally:
        server.stop()
    assert done.exit_code == 0, done.output
    assert "2 models" in done.output
    return target


@pytest.fixture
def mirror(kept, tmp_path):
    """A copy of the mirror that a test may spoil."""
    return Path(copytree(kept, tmp_path / "mirror"))


def at(house, target):
    return "--to", target, "--key", house.settings.data_dir / "log.vkey"


def run(*words):
    return CliRunner().invoke(main, ["models", *map(str, words)])


def artifact_of(hub, digest):
    return json.loads((hub / "blobs" / digest[7:]).read_bytes())["outputs"][0]["artifact"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# --- the origin is gone --------------------------------------------------------------------------


def test_a_model_is_pulled_and_loaded_from_a_mirror_alone(origin, kept, tmp_path):
    house, digests = origin
    done = run("pull", MODEL, "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert digests[1] in done.output
    predictor = models.hub.load(f"{MODEL}@champion", hub=tmp_path / "mine")
    served = house.inventory.predictor(digests[1])
    rows = np.linspace(-1, 1, 25, dtype=np.float32).reshape(5, 5)
    assert predictor.run(rows) == served.run(rows)


def test_a_withdrawn_model_stays_retrievable_by_digest(origin, kept, tmp_path):
    house, digests = origin
    done = run("pull", f"{MODEL}@{digests[0]}", "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert "was withdrawn by entry" in done.output
    with pytest.raises(Withdrawn):
        models.hub.load(digests[0], hub=tmp_path / "mine")
    assert models.hub.load(digests[0], hub=tmp_path / "mine", withdrawn=True)


def test_an_unreachable_origin_is_told_and_the_mirror_used(origin, kept, tmp_path):
    house, _ = origin
    gone = f"http://127.0.0.1:{free_port()}/v1/hub"
    done = run("pull", MODEL, "--from", gone, "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert f"not used: {gone}" in done.output


def test_a_mirror_of_a_mirror_in_s3(origin, kept, tmp_path, monkeypatch):
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
    s3fs.S3FileSystem().mkdir("bucket")
    house, digests = origin
    first = run("mirror", kept, *at(house, "s3://bucket/hub"))
    assert first.exit_code == 0, first.output
    again = run("mirror", kept, *at(house, "s3://bucket/hub"))
    assert "0 blobs copied" in again.output, again.output
    done = run("pull", MODEL, "--from", "s3://bucket/hub", *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert models.hub.load(digests[1], hub=tmp_path / "mine")
    running.stop()


def test_a_second_run_copies_only_what_is_new(origin, mirror, tmp_path):
    house, _ = origin
    run("mirror", mirror, *at(house, tmp_path / "second"))
    done = run("mirror", mirror, *at(house, tmp_path / "second"))
    assert "0 blobs copied" in done.output, done.output


def test_a_copy_that_rotted_is_mended(origin, kept, mirror):
    house, digests = origin
    flip(mirror / "blobs" / artifact_of(mirror, digests[1])[7:])
    done = run("mirror", kept, *at(house, mirror))
    assert "1 blobs copied" in done.output, done.output
    assert models.hub.load(MODEL, hub=mirror)


# --- mirrors that lie ----------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["manifest", "artifact"])
def test_an_altered_blob_is_refused_and_its_mirror_named(origin, kept, mirror, tmp_path, part):
    house, digests = origin
    digest = digests[1] if part == "manifest" else artifact_of(mirror, digests[1])
    flip(mirror / "blobs" / digest[7:])
    alone = run("pull", MODEL, "--from", mirror, *at(house, tmp_path / "mine"))
    assert alone.exit_code == 1
    assert f"{mirror} altered {digest}" in alone.output
    assert not list((tmp_path / "mine").rglob(digest[7:] + "*"))
    done = run("pull", MODEL, "--from", mirror, "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert f"REFUSED: {mirror} altered {digest}" in done.output
    assert models.hub.load(MODEL, hub=tmp_path / "mine")


def spoilt(name, index, digests):
    """The index, spoilt in one way."""
    entries = index["entries"]
    promoted = [e for e in entries if '"model.promoted"' in e["entry"]]
    if name == "another-champion":
        promoted[-1]["entry"] = promoted[-1]["entry"].replace(digests[1], digests[0])
    elif name == "another-leaf":
        promoted[-1]["leaf_index"] += 1000
    elif name == "another-path":
        promoted[-1]["path"][0] = "0" * 64
    elif name == "an-entry-twice":
        entries.append(entries[-1])
    elif name == "no-keys":
        index["entries"] = [e for e in entries if '"key.' not in e["entry"]]
    elif name == "another-checkpoint":
        lines = index["checkpoint"].split("\n")
        lines[1] = str(int(lines[1]) + 1)
        index["checkpoint"] = "\n".join(lines)
    elif name == "another-signature":
        text = promoted[-1]["entry"]
        place = text.index('"sig":"') + 10
        promoted[-1]["entry"] = (
            text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        )
    return index


SPOILT = (
    "another-champion",
    "another-leaf",
    "another-path",
    "an-entry-twice",
    "no-keys",
    "another-checkpoint",
    "another-signature",
)


@pytest.mark.parametrize("name", SPOILT)
def test_an_altered_index_is_refused_and_its_mirror_named(origin, kept, mirror, tmp_path, name):
    house, digests = origin
    index = json.loads((mirror / NAME).read_text())
    (mirror / NAME).write_text(json.dumps(spoilt(name, index, digests)))
    done = run("pull", MODEL, "--from", mirror, *at(house, tmp_path / "mine"))
    assert done.exit_code == 1
    assert f"REFUSED: {mirror} altered" in done.output
    assert not (tmp_path / "mine").exists()
    assert run("mirror", mirror, *at(house, tmp_path / "other")).exit_code == 1
    both = run("pull", MODEL, "--from", mirror, "--from", kept, *at(house, tmp_path / "mine"))
    assert both.exit_code == 0, both.output


def test_an_entry_that_was_seen_cannot_vanish(origin, mirror, tmp_path):
    """A mirror that holds the withdrawal back is noticed by whoever pulled before."""
    house, _ = origin
    run("pull", MODEL, "--from", mirror, *at(house, tmp_path / "mine"))
    index = json.loads((mirror / NAME).read_text())
    index["entries"] = [e for e in index["entries"] if '"model.withdrawn"' not in e["entry"]]
    (mirror / NAME).write_text(json.dumps(index))
    done = run("pull", MODEL, "--from", mirror, *at(house, tmp_path / "mine"))
    assert done.exit_code == 1
    assert "which was seen before: got it is missing" in done.output
    done = run("mirror", mirror, *at(house, tmp_path / "mine"))
    assert done.exit_code == 1
    assert "seen before" in done.output


def test_another_log_is_refused(origin, kept, tmp_path):
    other = initialise(Settings(data_dir=tmp_path / "other", database_url=""))
    done = run("pull", MODEL, "--from", kept, *at(other, tmp_path / "mine"))
    other.engine.dispose()
    assert done.exit_code == 1
    assert "REFUSED" in done.output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format":"assay/hub/v9","entries":[]}',
        '{"format":"assay/hub/v1","origin":"o","vkey":"v","checkpoint":"c","entries":[1]}',
        "[" * 100_000,
    ],
)
def test_an_index_that_cannot_be_read(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(PlaceRefused, match=r"hub\.json"):
        HubIndex.read(open_place(str(tmp_path)))


def test_a_directory_that_is_no_hub_and_a_protocol_nobody_knows(tmp_path):
    with pytest.raises(PlaceRefused, match="not a hub"):
        HubIndex.read(open_place(str(tmp_path)))
    with pytest.raises(PlaceRefused):
        open_place("nothing://x")


def test_a_model_the_hub_does_not_have(origin, kept, tmp_path):
    house, _ = origin
    done = run("pull", "nothing", "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 1
    assert f"which has {MODEL}" in done.output
    with pytest.raises(UnknownModel):
        models.hub.load("nothing", hub=kept)


def test_what_rots_after_it_was_pulled_is_not_loaded(origin, mirror):
    flip(mirror / "blobs" / artifact_of(mirror, origin[1][1])[7:])
    with pytest.raises(DigestMismatch):
        models.hub.load(MODEL, hub=mirror)


# --- the index itself ----------------------------------------------------------------------------


def test_a_house_s_own_index_holds_and_only_grows(origin):
    house, _ = origin
    index = build_index(house)
    checkpoint, _ = verify_index(index, house.ledger.vkey, "us")
    assert checkpoint.size == house.ledger.size
    shorter = HubIndex(index.origin, index.vkey, index.checkpoint, index.entries[:-1])
    verify_growth(shorter, index, "us")
    with pytest.raises(TamperedCopy, match="it is missing"):
        verify_growth(index, shorter, "us")


def test_a_key_that_may_not_publish_is_noticed(origin):
    """The checkpoint holds, the inclusion holds, and the signer was of another role."""
    house, _ = origin
    index = build_index(house)
    keys = [e for e in index.entries if '"role":"approver"' not in e.entry]
    with pytest.raises(TamperedCopy, match="not introduced before"):
        verify_index(
            HubIndex(index.origin, index.vkey, index.checkpoint, tuple(keys)),
            house.ledger.vkey,
            "us",
        )


def test_a_signature_that_was_never_made_is_noticed_in_a_log_that_holds(origin):
    """The log's own operator puts it in: tree and checkpoint hold, the publisher signed nothing."""
    house, _ = origin
    entries = list(build_index(house).entries)
    assert [one.leaf for one in entries] == list(range(len(entries)))  # no other entry in between
    at = next(i for i, one in enumerate(entries) if '"model.published"' in one.entry)
    text = entries[at].entry
    place = text.rindex('"sig":"') + 20
    forged = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    entries[at] = Proved(at, forged, ())
    leaves = [leaf_hash(one.entry.encode()) for one in entries]
    paths = paths_for_batch(Frontier(), leaves)
    proved = tuple(
        Proved(one.leaf, one.entry, tuple(node.hex() for node in path))
        for one, path in zip(entries, paths, strict=True)
    )
    checkpoint = Checkpoint(house.ledger.origin, len(leaves), root_of(leaves))
    note = sign_checkpoint(checkpoint, NoteSigner(house.ledger.origin, house.signers.log))
    index = HubIndex(house.ledger.origin, house.ledger.vkey, note, proved)
    with pytest.raises(TamperedCopy, match=rf"entry {at}: got .*signature"):
        verify_index(index, house.ledger.vkey, "us")


# --- over HTTP ---------------------------------------------------------------------------------


def test_routes_of_the_hub(origin):
    house, digests = origin
    api = Api(house)
    index = api.trader.get("/v1/hub/hub.json").get_json()
    assert index["format"] == "assay/hub/v1"
    blob = f"/v1/hub/blobs/{digests[1][7:]}"
    assert api.trader.get(blob).status_code == 403
    whole = api.auditor.get(blob)
    assert whole.data == house.blobs.get(digests[1])
    part = api.auditor.client.get(
        blob, headers={"Authorization": f"Bearer {api.auditor.key}", "Range": "bytes=10-"}
    )
    assert (part.status_code, part.data) == (206, whole.data[10:])
    report = house.blobs.put(b"a report that no model names")
    assert api.auditor.get(f"/v1/hub/blobs/{report[7:]}").status_code == 404
    assert api.auditor.get("/v1/hub/blobs/xyz").status_code == 422


class Slow(BaseHTTPRequestHandler):
    """A static hub that sends a kilobyte and waits; it remembers the ranges it was asked for."""

    root: Path
    wait = 0.0
    ranges: list

    def do_GET(self):
        path = self.root / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        wanted = self.headers.get("Range")
        start = int(wanted[6:-1]) if wanted else 0
        if start:
            self.ranges.append((path.name, start))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        try:
            for place in range(start, len(data), 1024):
                self.wfile.write(data[place : place + 1024])
                self.wfile.flush()
                if len(data) > 50_000:
                    time.sleep(self.wait)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_):
        pass


def test_a_pull_that_was_killed_goes_on_where_it_was(origin, kept, tmp_path):
    """Kill -9 in the middle of a blob; the second run asks for the rest only."""
    house, digests = origin
    handler = type("Handler", (Slow,), {"root": kept, "wait": 0.02, "ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        command = [
            *(sys.executable, "-m", "service", "models", "pull", f"{MODEL}@{digests[0]}"),
            *("--from", address, "--to", str(tmp_path / "mine")),
            *("--key", str(house.settings.data_dir / "log.vkey")),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (parts := large_parts(tmp_path / "mine")):
            assert process.poll() is None, "the pull ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        name, there = parts[0].name[1:65], parts[0].stat().st_size
        handler.wait = 0.0
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert [start for asked, start in handler.ranges if asked == name] == [there]
    assert not list((tmp_path / "mine").rglob("*.part"))
    assert models.hub.load(digests[0], hub=tmp_path / "mine", withdrawn=True)


def large_parts(directory):
    """Files being fetched that hold something already."""
    found = directory.rglob(".*.part")
    return [path for path in found if path.stat().st_size > 2_000]


def test_rubbish_left_by_another_mirror_is_thrown_away(origin, kept, tmp_path):
    house, digests = origin
    digest = artifact_of(kept, digests[1])
    part = tmp_path / "mine" / "blobs" / f".{digest[7:]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"rubbish")
    done = run("pull", MODEL, "--from", kept, *at(house, tmp_path / "mine"))
    assert done.exit_code == 0, done.output
    assert models.hub.load(MODEL, hub=tmp_path / "mine")
