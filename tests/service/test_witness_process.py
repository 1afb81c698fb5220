"""Witnesses as real processes: receipts become witnessed, kill -9, and two histories under one key."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from click.testing import CliRunner

from houses import Api, make_house
from ledger.cosignature import WitnessKey, verify_cosignatures
from ledger.note import open_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.witness_request import REQUEST_MAX, format_request
from ledger.witness_state import origin_hash
from service.assembly import assemble
from service.cli import main
from service.exporting import export_house
from service.sealing import seal
from witnesses import WitnessProcess, policy_file, with_policy

CLIENTS = 8


def assay(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def plain(tmp_path):
    """A house without models: its log is all that matters here."""
    made = make_house(tmp_path / "plain", models=())
    yield made
    made.engine.dispose()


@pytest.fixture
def witness(tmp_path, plain):
    made = WitnessProcess(tmp_path / "w1", "w.example/1", logs=[plain.ledger.vkey])
    yield made
    made.kill()


@pytest.fixture
def watched(tmp_path, plain, witness):
    """The house, and one witness in a process of its own as the quorum."""
    path = policy_file(tmp_path / "policy", plain, [(witness.vkey, witness.start())])
    made = with_policy(plain, path)
    yield made
    made.engine.dispose()


def grow(house, entries=1):
    """Append a few entries: seals, which need nothing."""
    for n in range(entries):
        seal(house, period=f"period {n}", actor_id="x")


def proof_of(house, old, new):
    return house.ledger.prove_consistency(old, new) if 0 < old < new else []


def submit(address, house, old, new):
    body = format_request(old, proof_of(house, old, new), house.ledger.checkpoint(new))
    return httpx.post(f"{address}/add-checkpoint", content=body, timeout=10)


# --- from published to witnessed ---------------------------------------------------------------


def test_a_receipt_is_published_at_once_and_witnessed_later(tmp_path, house, witness):
    witness.state.add_log(house.ledger.vkey)
    policy = policy_file(tmp_path / "policy", house, [(witness.vkey, witness.start())])
    house = with_policy(house, policy)
    api = Api(house)
    answer = api.predict().get_json()
    assert answer["receipt"]["state"] == "published"
    path = f"/v1/predictions/{answer['prediction_id']}/receipt"
    assert api.trader.get(path).get_json()["state"] == "published"
    assert house.cosigning.collect().cosigned == ("w1",)
    later = api.trader.get(path).get_json()
    assert later["state"] == "witnessed"
    receipt = Receipt.from_json(later)
    assert receipt.entry.decode() == answer["receipt"]["entry"]
    verify_receipt(receipt, house.ledger.vkey, house.cosigning.policy)
    note = api.auditor.get("/v1/ledger/checkpoint").get_data(as_text=True)
    assert verify_cosignatures(note, [WitnessKey.parse(witness.vkey)])
    # New entries are published under newer checkpoints; this one stays witnessed under its own.
    again = api.predict().get_json()["prediction_id"]
    assert api.trader.get(f"/v1/predictions/{again}/receipt").get_json()["state"] == "published"
    assert api.trader.get(path).get_json()["state"] == "witnessed"
    entry = api.auditor.get(f"/v1/ledger/entries/{answer['leaf_index']}").get_json()
    assert entry["receipt"]["state"] == "witnessed"
    house.engine.dispose()


def test_the_scheduler_collects_by_itself(watched, witness):
    """Three real processes: the witness, the scheduler, and this one, which appends."""
    policy = watched.settings.witness_policy
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "service", "scheduler", "--data-dir", watched.settings.data_dir],
        env={**os.environ, "ASSAY_WITNESS_POLICY": str(policy)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(2):
            grow(watched)
            leaf, deadline = watched.ledger.size - 1, time.monotonic() + 60
            while watched.receipt(leaf).state != "witnessed" and time.monotonic() < deadline:
                assert scheduler.poll() is None, "the scheduler stopped"
                time.sleep(0.1)
            assert watched.receipt(leaf).state == "witnessed"
            assert witness.held().size == leaf + 1
    finally:
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(30) == 0


def test_nothing_is_asked_twice_and_a_dead_witness_costs_no_answer(tmp_path, plain, witness):
    alive = (witness.vkey, witness.start())
    dead = WitnessProcess(tmp_path / "w2", "w.example/2")
    pairs = [alive, (dead.vkey, "http://127.0.0.1:9")]
    house = with_policy(plain, policy_file(tmp_path / "policy", plain, pairs, quorum="all"))
    done = house.cosigning.collect()
    assert done.cosigned == ("w1",)
    assert "refused" in done.failed["w2"]
    assert str(house.cosigning.collect()) == ""  # one has signed, one is left alone for a while
    assert house.receipt(0).state == "published"  # the quorum is both
    grow(house)  # appending asks nobody
    assert house.cosigning.collect().cosigned == ("w1",)
    house.engine.dispose()


def test_a_witness_learned_of_late_or_asked_by_others_is_caught_up_with(watched, witness, tmp_path):
    grow(watched, 3)
    watched.cosigning.collect()
    (address,) = [w.url for w in watched.cosigning.policy.witnesses]
    grow(watched)
    size = watched.ledger.size
    assert submit(address, watched, size - 1, size).status_code == 200  # somebody else was faster
    assert watched.cosigning.collect().cosigned == ("w1",)
    grow(watched)
    assert submit(address, watched, size, size + 1).status_code == 200
    grow(watched)  # our memory says `size`, the witness is further: 409 tells where it is
    assert watched.cosigning.collect().cosigned == ("w1",)
    assert witness.held().size == size + 2


# --- the protocol over HTTP --------------------------------------------------------------------


def test_statuses_are_those_of_the_standard(watched, witness, tmp_path):
    (address,) = [w.url for w in watched.cosigning.policy.witnesses]
    grow(watched, 2)
    size = watched.ledger.size
    assert submit(address, watched, 0, size - 1).status_code == 200
    stale = submit(address, watched, 0, size)
    assert (stale.status_code, stale.text) == (409, f"{size - 1}\n")
    assert stale.headers["Content-Type"] == "text/x.tlog.size"
    unproved = format_request(size - 1, [], watched.ledger.checkpoint(size))
    bodies = {
        400: b"old x\n\n",
        403: format_request(
            0, [], watched.ledger.checkpoint(size).replace("\u2014 ", "\u2014 x", 1)
        ),
        404: format_request(0, [], watched.ledger.checkpoint(size).replace("test.", "no.")),
        413: b"x" * (REQUEST_MAX + 1),
        422: unproved,
    }
    for status, body in bodies.items():
        answer = httpx.post(f"{address}/add-checkpoint", content=body)
        assert answer.status_code == status, answer.text
        assert "\u2014" not in answer.text
    assert httpx.get(f"{address}/add-checkpoint").status_code == 405
    assert httpx.get(f"{address}/").status_code == 404
    chunks = iter(
        [format_request(size - 1, proof_of(watched, size - 1, size), watched.ledger.checkpoint())]
    )
    assert httpx.post(f"{address}/add-checkpoint", content=chunks).status_code == 200  # chunked
    note = httpx.get(f"{address}/{origin_hash(watched.ledger.origin)}/checkpoint").text
    assert open_checkpoint(note, watched.ledger.vkey).size == size
    assert verify_cosignatures(note, [WitnessKey.parse(witness.vkey)])
    assert httpx.get(f"{address}/{'0' * 64}/checkpoint").status_code == 404


def test_a_connection_is_kept_for_the_next_question(watched):
    (address,) = [w.url for w in watched.cosigning.policy.witnesses]
    with httpx.Client() as client:
        sockets = set()
        for _ in range(3):
            with client.stream("GET", f"{address}/healthz") as answer:
                sockets.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
                answer.read()
    assert len(sockets) == 1


def test_the_witness_process_holds_nothing_of_the_house():
    code = (
        "import sys, service.witness, service.cli.witness, ledger.witness, gunicorn.app.base\n"
        "heavy = {'flask', 'sqlalchemy', 'sqlmodel', 'pydantic', 'numpy', 'models', 'monitoring',"
        " 'dashboards', 'httpx'}\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in heavy))\n"
        "print(sorted(m for m in sys.modules if m.startswith('service.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['service.cli', 'service.cli.witness', 'service.witness']\n"


# --- crashes and races -------------------------------------------------------------------------


def test_two_processes_and_many_clients_never_roll_a_witness_back(watched, witness):
    addresses = [witness.start(), witness.start()]
    grow(watched, 30)
    sizes = range(1, watched.ledger.size + 1)
    notes = {size: watched.ledger.checkpoint(size) for size in sizes if _has(watched, size)}
    signed, barrier = [], threading.Barrier(CLIENTS)

    def client(number):
        barrier.wait()
        old = 0
        for size in [size for size in notes if size % CLIENTS == number] + [max(notes)]:
            body = format_request(old, proof_of(watched, old, size), notes[size])
            if old > size:
                continue
            with httpx.Client() as http:
                answer = http.post(f"{addresses[number % 2]}/add-checkpoint", content=body)
            if answer.status_code == 200:
                signed.append((time.monotonic(), size))
                old = size
            else:
                assert answer.status_code == 409, answer.text
                old = int(answer.text)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    assert witness.held().size == max(size for _, size in signed)
    assert witness.evidence() == ()


def _has(house, size):
    return any(at == size for at, _ in house.ledger.checkpoints())


def test_killed_at_any_moment_a_witness_holds_what_it_signed(watched, witness):
    key = WitnessKey.parse(witness.vkey)
    (address,) = [w.url for w in watched.cosigning.policy.witnesses]
    for _ in range(3):
        signed, stop = [witness.held().size], threading.Event()

        def burst(address=address, signed=signed, stop=stop):
            while not stop.is_set():
                grow(watched)
                size = watched.ledger.size
                try:
                    answer = submit(address, watched, signed[-1], size)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    assert verify_cosignatures(watched.ledger.checkpoint(size) + answer.text, [key])
                    signed.append(size)
                elif answer.status_code == 409:
                    signed.append(int(answer.text))

        thread = threading.Thread(target=burst)
        thread.start()
        while len(signed) < 3:
            time.sleep(0.01)
        witness.kill()
        stop.set()
        thread.join()
        assert witness.held().size >= signed[-1]  # at most one more, signed and never answered
        assert witness.evidence() == ()
        address = witness.start()


# --- two histories under one key ---------------------------------------------------------------


@pytest.fixture
def split(tmp_path, watched):
    """Two houses with one log key: the same beginning, then each its own entries."""
    grow(watched)
    watched.cosigning.collect()
    watched.engine.dispose()
    directory = tmp_path / "other-house"
    shutil.copytree(watched.settings.data_dir, directory)
    ours = assemble(watched.settings)
    theirs = assemble(watched.settings.model_copy(update={"data_dir": directory}))
    seal(ours, period="shown to the auditor", actor_id="x")
    seal(theirs, period="shown to the client", actor_id="x")
    yield ours, theirs
    ours.engine.dispose()
    theirs.engine.dispose()


def test_the_witness_catches_a_split_at_the_same_size(split, witness):
    ours, theirs = split
    assert ours.cosigning.collect().cosigned == ("w1",)
    failed = theirs.cosigning.collect().failed["w1"]
    assert "the log forked, or two logs sign under this key" in failed
    (kept,) = witness.evidence()
    assert kept.split
    roots = [open_checkpoint(note, ours.ledger.vkey).root for note in (kept.held, kept.note)]
    assert roots[0] != roots[1]
    told = assay("witness", "status", "--evidence", "--data-dir", witness.directory)
    assert "two roots     1" in told.output
    assert kept.note in told.output
    assert theirs.receipt(theirs.ledger.size - 1).state == "published"


def test_the_witness_catches_a_split_that_has_grown(split, witness):
    ours, theirs = split
    ours.cosigning.collect()
    grow(theirs, 3)
    assert "was not convinced" in theirs.cosigning.collect().failed["w1"]
    (kept,) = witness.evidence()
    assert not kept.split
    assert witness.held().root == open_checkpoint(ours.ledger.checkpoint(), ours.ledger.vkey).root


def test_the_house_that_was_rolled_back_is_told_by_its_witness(split, watched):
    ours, theirs = split
    grow(ours, 3)
    ours.cosigning.collect()
    failed = theirs.cosigning.collect().failed["w1"]  # the copy is a backup from before
    assert f"saw {ours.ledger.size} entries of this log, here are {theirs.ledger.size}" in failed
    assert "rolled back" in failed


def test_the_auditor_with_an_older_checkpoint_catches_a_split(split, tmp_path):
    ours, theirs = split
    kept = tmp_path / "seen-before"
    kept.write_text(ours.ledger.checkpoint())
    key = tmp_path / "log.vkey"
    key.write_text(ours.ledger.vkey)
    for house, status in ((ours, 0), (theirs, 1)):  # as long as what was seen
        export = export_house(house, tmp_path / f"as-long-{status}")
        assert assay("audit", export, "--key", key, "--since", kept).exit_code == status
    grow(ours)
    grow(theirs)
    honest = export_house(ours, tmp_path / "ours")
    done = assay("audit", honest, "--key", key, "--since", kept)
    assert done.exit_code == 0, done.output
    other = export_house(theirs, tmp_path / "theirs")
    assert assay("audit", other, "--key", key).exit_code == 0  # by itself nothing is wrong with it
    done = assay("audit", other, "--key", key, "--since", kept)
    assert done.exit_code == 1
    assert "the log forked" in done.output
    # An export that is shorter than what was seen is no better.
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(ours.ledger.receipt(0).to_json()))
    short = export_house(ours, tmp_path / "short")
    grow(ours)
    receipt.write_text(json.dumps({"receipt": ours.ledger.receipt(0).to_json()}))
    done = assay("audit", short, "--key", key, "--since", receipt)
    assert done.exit_code == 1
    assert "which is shorter" in done.output


def test_the_auditor_with_a_witness_policy_catches_a_split(split, tmp_path, watched):
    ours, theirs = split
    policy, key = watched.settings.witness_policy, tmp_path / "log.vkey"
    key.write_text(ours.ledger.vkey)
    done = assay(
        "audit", export_house(ours, tmp_path / "ours"), "--key", key, "--witness-policy", policy
    )
    assert done.exit_code == 0, done.output
    report = tmp_path / "report.json"
    other = export_house(theirs, tmp_path / "theirs")
    done = assay("audit", other, "--key", key, "--witness-policy", policy, "--json", report)
    assert done.exit_code == 1
    assert "quorum not met, no cosignature of w1" in done.output
    (check,) = [c for c in json.loads(report.read_text())["checks"] if c["check"] == "witnesses"]
    assert check["verdict"] == "FAILED"


def test_clients_who_compare_receipts_catch_a_split(split, tmp_path):
    ours, theirs = split
    key = tmp_path / "log.vkey"
    key.write_text(ours.ledger.vkey)
    files = {}
    for name, house in (("ours", ours), ("theirs", theirs)):
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(house.ledger.receipt(0).to_json()))
    one, other = files["ours"], files["theirs"]
    assert assay("verify-receipt", one, "--key", key).exit_code == 0  # each by itself is in order
    assert assay("verify-receipt", other, "--key", key).exit_code == 0
    assert assay("verify-receipt", one, "--key", key, "--against", one).exit_code == 0
    done = assay("verify-receipt", one, "--key", key, "--against", other)
    assert done.exit_code == 1
    assert "signed two histories" in done.output

    first = theirs.ledger.size
    grow(theirs)
    second = theirs.ledger.size
    grown = tmp_path / "grown.json"
    grown.write_text(json.dumps(theirs.ledger.receipt(0).to_json()))
    done = assay("verify-receipt", grown, "--key", key, "--against", one)
    assert done.exit_code == 2
    assert f"consistency?first={first}&second={second}" in done.output
    proof = tmp_path / "proof.json"
    path = [node.hex() for node in theirs.ledger.prove_consistency(first, second)]
    proof.write_text(json.dumps({"first": first, "second": second, "path": path}))
    arguments = ("verify-receipt", grown, "--key", key, "--proof", proof, "--against")
    assert assay(*arguments, other).exit_code == 0
    assert assay(*arguments, one).exit_code == 1


# --- what is told ------------------------------------------------------------------------------


def test_a_receipt_that_says_witnessed_is_not_taken_at_its_word(watched, witness, tmp_path):
    key, policy = tmp_path / "log.vkey", watched.settings.witness_policy
    key.write_text(watched.ledger.vkey)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps({**watched.ledger.receipt(0).to_json(), "state": "witnessed"}))
    done = assay("verify-receipt", file, "--key", key)
    assert done.exit_code == 0
    assert "It says `witnessed`; that was not checked" in done.output
    done = assay("verify-receipt", file, "--key", key, "--witness-policy", policy)
    assert done.exit_code == 1
    assert "no cosignature of w1" in done.output
    watched.cosigning.collect()
    file.write_text(json.dumps(watched.receipt(0).to_json()))
    done = assay("verify-receipt", file, "--key", key, "--witness-policy", policy)
    assert done.exit_code == 0
    assert "cosigned by w.example/1; quorum met" in done.output


def test_a_policy_that_asks_for_nobody_leaves_the_check_undone(watched, tmp_path):
    key, policy = tmp_path / "log.vkey", tmp_path / "none"
    key.write_text(watched.ledger.vkey)
    policy.write_text("quorum none\n")
    export = export_house(watched, tmp_path / "export")
    done = assay("audit", export, "--key", key, "--witness-policy", policy)
    assert done.exit_code == 2
    assert "the policy asks for no witness" in done.output


def test_an_export_is_cosigned_though_the_log_grows_meanwhile(watched, witness, tmp_path):
    stop, done = threading.Event(), []
    key = tmp_path / "log.vkey"
    key.write_text(watched.ledger.vkey)

    def write():
        while not stop.is_set():
            grow(watched)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            export = export_house(watched, tmp_path / "export")
            done.append(
                assay(
                    *("audit", export, "--key", key),
                    *("--witness-policy", watched.settings.witness_policy),
                )
            )
    finally:
        stop.set()
        thread.join()
    assert [result.exit_code for result in done] == [0, 0, 0], done[0].output
