"""A witness: what it cosigns, what it refuses, that it never goes back, that a split is caught."""

import base64
import contextlib
import os
import re
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import witness_state
from ledger.cosignature import (
    WitnessKey,
    cosigned_message,
    read_cosignatures,
    verify_cosignatures,
)
from ledger.errors import ConsistencyError, KeyRefused, SplitView
from ledger.histories import verify_one_history
from ledger.keys import SigningKey
from ledger.merkle import (
    EMPTY_ROOT,
    consistency_path,
    leaf_hash,
    root_of,
    verify_consistency,
)
from ledger.note import (
    Checkpoint,
    NoteSigner,
    format_signature,
    open_checkpoint,
    sign_checkpoint,
    sign_note,
)
from ledger.tlog_policy import parse_policy
from ledger.witness import (
    KEY_FILE,
    STATE_FILE,
    LogSignatureRefused,
    LogUnknown,
    ProofRefused,
    RootDiffers,
    SizeStale,
    Witness,
)
from ledger.witness_request import (
    PROOF_MAX,
    REQUEST_MAX,
    RequestMalformed,
    format_request,
    parse_request,
)
from ledger.witness_state import origin_hash

# C2SP tlog-witness, its example request (CC BY 4.0).
EXAMPLE = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""
# Checkpoints that logs of others publish, with the keys they publish.
GO_SUM = (
    "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    "go.sum database tree",
    """\
go.sum database tree
35225469
vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=

— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=
""",
)
GEOMYS = (
    "geomys.org/witness/test-log+c0787ff4+AeMb5VOzy60PTGdGmLPxOKGAa0jNyDGsgv2rnprGju1t",
    None,
    """\
geomys.org/witness/test-log
1
BCml5C32yqMcl0gjTrcSOeNVx59oPnSdytBzDGBO5k0=

— geomys.org/witness/test-log wHh/9BPsoBNr2x0Ol3qPBYasIN0HI2ZiBg5ac0v3LQq/7F+YO7U4oWbDeJn1VaWVrlbSEM30Gr7WWYQjj2SBxRoJ/Ao=
""",
)

LOG = NoteSigner("log.example/1", SigningKey(bytes(range(32))))
STRANGER = NoteSigner("log.example/1", SigningKey(bytes(range(1, 33))))
LEAVES = [leaf_hash(b"entry %d" % n) for n in range(300)]
FORK = [*LEAVES[:5], leaf_hash(b"another"), *LEAVES[6:]]  # differs at leaf 5
START = 1_795_000_000


def note_of(size, leaves=LEAVES, signer=LOG):
    return sign_checkpoint(Checkpoint(LOG.name, size, root_of(leaves[:size])), signer)


def request(old, size, leaves=LEAVES, signer=LOG):
    path = consistency_path(leaves[:size], old) if 0 < old < size else []
    return format_request(old, path, note_of(size, leaves, signer))


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def witness(tmp_path, clock):
    made = Witness.create(tmp_path / "w", "w.example/1", clock)
    made.add_log(LOG.vkey)
    return made


def held(witness):
    (log,) = witness.logs()
    return log.held


# --- the request's form ------------------------------------------------------------------------


def test_the_standards_example_request_reads_and_writes_back():
    read = parse_request(EXAMPLE.encode())
    assert (read.old_size, len(read.path)) == (20852014, 4)
    assert (read.checkpoint.origin, read.checkpoint.size) == (
        "example.com/behind-the-sofa",
        20852163,
    )
    assert read.path[0] == base64.b64decode("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=")
    assert format_request(read.old_size, read.path, read.note) == EXAMPLE.encode()


NOTE = note_of(3)
HASH = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw="
MALFORMED = {
    "empty": b"",
    "no old line": b"\n" + NOTE.encode(),
    "old without number": b"old \n\n" + NOTE.encode(),
    "old padded": b"old 01\n\n" + NOTE.encode(),
    "old negative": b"old -1\n\n" + NOTE.encode(),
    "old in other digits": "old \N{ARABIC-INDIC DIGIT ONE}\n\n".encode() + NOTE.encode(),
    "old past 2^63": f"old {2**63}\n\n{NOTE}".encode(),
    "old with a tail": b"old 1 2\n\n" + NOTE.encode(),
    "no empty line": b"old 0\n" + NOTE.replace("\n\n", "\n").encode(),
    "no checkpoint": b"old 0\n\n",
    "no signatures": b"old 0\n\no\n3\nAAAA\n",
    "proof not base64": f"old 1\n!\n\n{NOTE}".encode(),
    "proof of 31 bytes": f"old 1\n{base64.b64encode(bytes(31)).decode()}\n\n{NOTE}".encode(),
    "proof in loose base64": f"old 1\n{HASH[:-2]}x=\n\n{NOTE}".encode(),
    "64 proof lines": f"old 1\n{(HASH + chr(10)) * (PROOF_MAX + 1)}\n{NOTE}".encode(),
    "carriage returns": f"old 0\r\n\r\n{NOTE}".encode(),
    "not UTF-8": b"old 0\n\n\xff" + NOTE.encode(),
    "root of 31 bytes": b"old 0\n\no\n3\nAAAA\n\n\xe2\x80\x94 o AAAAAAA=\n",
    "size padded": f"old 0\n\n{NOTE.replace(chr(10) + '3', chr(10) + '03', 1)}".encode(),
    "too long": b"old 0\n\n" + NOTE.encode() + b"x" * REQUEST_MAX,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_changes_nothing(witness, name):
    with pytest.raises(RequestMalformed):
        witness.add_checkpoint(MALFORMED[name])
    assert held(witness).note == ""


# --- growth ------------------------------------------------------------------------------------


def test_growth_is_cosigned_step_by_step(witness, clock):
    for old, size in [(0, 1), (1, 5), (5, 5), (5, 6), (6, 256), (256, 300)]:
        clock.now += 1
        line = witness.add_checkpoint(request(old, size))
        note = note_of(size) + line
        (found,) = verify_cosignatures(note, [WitnessKey.parse(witness.vkey)])
        assert found.time == clock.now
        assert held(witness).size == size
        assert witness.checkpoint(origin_hash(LOG.name)) == note


@pytest.mark.parametrize("log", [GO_SUM, GEOMYS], ids=["go.sum", "geomys"])
def test_the_checkpoints_of_others_are_cosigned(tmp_path, clock, log):
    vkey, origin, note = log
    witness = Witness.create(tmp_path / "w", "w.example/1", clock)
    with pytest.raises(LogUnknown):
        witness.add_checkpoint(format_request(0, [], note))
    witness.add_log(vkey, origin)
    assert witness.add_checkpoint(format_request(0, [], note)).startswith("\u2014 w.example/1 ")


def test_extension_lines_are_cosigned_with_the_rest(witness):
    text = Checkpoint(LOG.name, 3, root_of(LEAVES[:3])).to_text() + "extension 1\nextension 2\n"
    line = witness.add_checkpoint(format_request(0, [], sign_note(text, [LOG])))
    key = WitnessKey.parse(witness.vkey)
    assert read_cosignatures(text, line, key)
    assert parse_request(format_request(0, [], sign_note(text, [LOG]))).checkpoint.size == 3


def test_an_unknown_log_is_refused(witness):
    other = NoteSigner("log.example/2", LOG.key)
    note = sign_checkpoint(Checkpoint(other.name, 1, LEAVES[0]), other)
    with pytest.raises(LogUnknown, match=r"log\.example/2"):
        witness.add_checkpoint(format_request(0, [], note))


def test_a_checkpoint_of_another_key_is_refused(witness):
    with pytest.raises(LogSignatureRefused):
        witness.add_checkpoint(request(0, 1, signer=STRANGER))


def test_one_bad_signature_of_a_trusted_key_refuses_the_note(witness):
    witness.add_log(STRANGER.vkey)  # two keys of one log, as in a rotation
    bad = format_signature(STRANGER.name, STRANGER.hash, bytes(64))
    with pytest.raises(LogSignatureRefused):
        witness.add_checkpoint(format_request(0, [], note_of(1) + bad))
    assert witness.add_checkpoint(request(0, 1, signer=STRANGER))


def test_what_a_stranger_signed_beside_is_not_served_again(witness):
    noise = format_signature("noise", b"abcd", bytes(64))
    line = witness.add_checkpoint(format_request(0, [], note_of(1) + noise))
    assert witness.checkpoint(origin_hash(LOG.name)) == note_of(1) + line


def test_old_larger_than_new_is_malformed(witness):
    with pytest.raises(RequestMalformed, match="old size 2, checkpoint of 1"):
        witness.add_checkpoint(request(2, 1))


@pytest.mark.parametrize("old", [0, 1, 4, 6])
def test_growth_from_another_size_is_told_the_right_one(witness, old):
    witness.add_checkpoint(request(0, 5))
    with pytest.raises(SizeStale) as refused:
        witness.add_checkpoint(request(old, 7))
    assert refused.value.held == 5


BAD_PROOFS = {
    "none": lambda path: [],
    "cut": lambda path: path[:-1],
    "padded": lambda path: [*path, bytes(32)],
    "reordered": lambda path: path[::-1],
    "one bit": lambda path: [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]],
}


@pytest.mark.parametrize("name", BAD_PROOFS)
def test_a_proof_that_does_not_lead_there_is_refused(witness, name):
    witness.add_checkpoint(request(0, 5))
    path = BAD_PROOFS[name](consistency_path(LEAVES[:300], 5))
    with pytest.raises(ProofRefused):
        witness.add_checkpoint(format_request(5, path, note_of(300)))
    assert held(witness).size == 5
    assert witness.add_checkpoint(request(5, 300))  # and the right one goes through


# --- size 0 ------------------------------------------------------------------------------------


def test_an_empty_tree_is_cosigned_and_grows(witness):
    for _ in range(2):
        witness.add_checkpoint(request(0, 0))
    assert held(witness).root == EMPTY_ROOT
    witness.add_checkpoint(request(0, 3))
    assert held(witness).size == 3


def test_an_empty_tree_has_one_root(witness):
    note = sign_checkpoint(Checkpoint(LOG.name, 0, LEAVES[0]), LOG)
    with pytest.raises(ProofRefused, match="root of an empty tree"):
        witness.add_checkpoint(format_request(0, [], note))
    witness.add_checkpoint(request(0, 0))
    with pytest.raises(RootDiffers):
        witness.add_checkpoint(format_request(0, [], note))


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_proof_from_nothing_proves_nothing_and_is_refused(witness, size):
    with pytest.raises(ProofRefused, match="the proof is empty"):
        witness.add_checkpoint(format_request(0, [LEAVES[0]], note_of(size)))


def test_a_proof_between_equal_sizes_is_refused(witness):
    witness.add_checkpoint(request(0, 5))
    with pytest.raises(ProofRefused, match="the proof is empty"):
        witness.add_checkpoint(format_request(5, [LEAVES[0]], note_of(5)))


# --- two histories -----------------------------------------------------------------------------


def test_a_second_root_for_one_size_is_refused_and_kept_as_evidence(witness):
    line = witness.add_checkpoint(request(0, 10))
    for _ in range(2):
        with pytest.raises(RootDiffers):
            witness.add_checkpoint(request(10, 10, FORK))
    (log,) = witness.logs()
    assert log.held.root == root_of(LEAVES[:10])
    (kept,) = log.evidence
    assert (kept.split, kept.held, kept.note) == (True, note_of(10) + line, note_of(10, FORK))
    with pytest.raises(SplitView, match="sizes 10 and 10"):  # the two notes alone convict the log
        verify_one_history(kept.held, kept.note, LOG.vkey)


@pytest.mark.parametrize("proof", ["of the fork", "of the other history", "none"])
def test_a_fork_that_goes_on_is_refused_whatever_proof_it_brings(witness, proof):
    witness.add_checkpoint(request(0, 10))
    path = {
        "of the fork": consistency_path(FORK[:20], 10),
        "of the other history": consistency_path(LEAVES[:20], 10),
        "none": [],
    }[proof]
    with pytest.raises(ProofRefused):
        witness.add_checkpoint(format_request(10, path, note_of(20, FORK)))
    (log,) = witness.logs()
    (kept,) = log.evidence
    assert (kept.split, kept.note) == (False, note_of(20, FORK))
    assert log.held.size == 10


def test_a_fork_begun_after_what_was_seen_is_growth(witness):
    """What no witness saw is not bound: the first of two continuations wins, the other is caught."""
    witness.add_checkpoint(request(0, 5))
    witness.add_checkpoint(request(5, 10, FORK))
    with pytest.raises(RootDiffers):
        witness.add_checkpoint(request(10, 10, LEAVES))


def test_evidence_is_bounded_and_senders_cannot_crowd_out_a_split(witness, monkeypatch):
    monkeypatch.setattr(witness_state, "EVIDENCE_KEPT", 3)
    witness.add_checkpoint(request(0, 10))
    for size in range(11, 17):
        with pytest.raises(ProofRefused):
            witness.add_checkpoint(format_request(10, [], note_of(size)))
    with pytest.raises(RootDiffers):
        witness.add_checkpoint(request(10, 10, FORK))
    (log,) = witness.logs()
    assert [item.split for item in log.evidence].count(False) == 3
    assert [item.split for item in log.evidence].count(True) == 1


def test_a_stale_size_is_no_evidence(witness):
    witness.add_checkpoint(request(0, 5))
    with pytest.raises(SizeStale):
        witness.add_checkpoint(request(0, 7))
    assert witness.logs()[0].evidence == ()


def test_receipts_of_two_histories_are_caught_by_whoever_compares_them():
    verify_one_history(note_of(5), note_of(5), LOG.vkey)
    for one, other in [(note_of(3), note_of(20)), (note_of(20), note_of(3))]:
        verify_one_history(one, other, LOG.vkey, consistency_path(LEAVES[:20], 3))
    verify_one_history(note_of(0), note_of(20), LOG.vkey)
    with pytest.raises(SplitView, match=r"log\.example/1 signed two histories"):
        verify_one_history(note_of(10), note_of(10, FORK), LOG.vkey)
    for leaves in (LEAVES, FORK):
        with pytest.raises(ConsistencyError):
            verify_one_history(
                note_of(10), note_of(20, FORK), LOG.vkey, consistency_path(leaves[:20], 10)
            )


# --- never back --------------------------------------------------------------------------------


def test_rollback_is_refused(witness):
    witness.add_checkpoint(request(0, 300))
    for old, size in [(0, 10), (5, 10), (10, 10), (299, 299)]:
        with pytest.raises(SizeStale):
            witness.add_checkpoint(request(old, size))
    with pytest.raises(RequestMalformed):
        witness.add_checkpoint(request(300, 10))
    assert held(witness).size == 300


def test_racing_requests_never_roll_it_back(tmp_path, clock):
    """The race of the standard: many clients at many sizes, in two openings of one state."""
    one = Witness.create(tmp_path / "w", "w.example/1", clock)
    one.add_log(LOG.vkey)
    other = Witness.open(tmp_path / "w", clock)
    one.add_checkpoint(request(0, 1))
    seen, stale, barrier = [], [], threading.Barrier(8)

    def client(seed):
        witness = (one, other)[seed % 2]
        barrier.wait()
        for step in range(12):
            old = held(witness).size
            size = min(300, old + 1 + (seed + step) % 5)
            try:
                with_line = witness.add_checkpoint(request(old, size))
            except SizeStale as error:
                stale.append(error.held - old)
                continue
            (found,) = read_cosignatures(
                note_of(size).partition("\n\n")[0] + "\n", with_line, WitnessKey.parse(one.vkey)
            )
            seen.append(size)
            assert found
            assert held(witness).size >= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))
    assert stale  # there was a race
    assert min(stale) > 0
    assert held(one).size == max(seen)
    assert held(one).root == root_of(LEAVES[: max(seen)])


def test_the_standards_race_as_it_is_told(witness, monkeypatch):
    """A (to 3) is checked, B (to 5) would be cosigned meanwhile, A commits: nothing goes back."""
    witness.add_checkpoint(request(0, 1))
    checked, go_on, sizes = threading.Event(), threading.Event(), []
    real = witness_state.State.hold

    def slow(self, new, time, note):
        if new.size == 3:
            checked.set()
            assert go_on.wait(10)
        real(self, new, time, note)

    monkeypatch.setattr(witness_state.State, "hold", slow)

    def first():
        witness.add_checkpoint(request(1, 3))
        sizes.append(3)

    def second():
        checked.wait()
        threading.Timer(0.2, go_on.set).start()
        with pytest.raises(SizeStale) as refused:  # it waited, and looks at what A left
            witness.add_checkpoint(request(1, 5))
        sizes.append(refused.value.held)

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [3, 3]
    witness.add_checkpoint(request(3, 5))
    assert held(witness).size == 5


def test_the_state_itself_refuses_to_go_back(witness, tmp_path):
    witness.add_checkpoint(request(0, 10))
    state = sqlite3.connect(tmp_path / "w" / STATE_FILE)
    for statement in (
        "UPDATE held SET size = 9",
        "UPDATE held SET root = x'00'",
        "UPDATE held SET time = time - 1",
        "UPDATE held SET origin = 'other', size = 11",
        "DELETE FROM held",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            state.execute(statement)
    state.close()


def test_times_never_go_back(witness, clock):
    key = WitnessKey.parse(witness.vkey)
    text = note_of(5).partition("\n\n")[0] + "\n"
    (first,) = read_cosignatures(text, witness.add_checkpoint(request(0, 5)), key)
    clock.now -= 1000
    (second,) = read_cosignatures(text, witness.add_checkpoint(request(5, 5)), key)
    assert first.time == second.time == START
    clock.now += 1001
    (third,) = read_cosignatures(text, witness.add_checkpoint(request(5, 5)), key)
    assert third.time == START + 1


def test_no_cosignature_leaves_before_its_checkpoint_is_on_disk(witness, monkeypatch):
    real = witness_state.State.hold

    def full_disk(self, *arguments):
        real(self, *arguments)
        raise sqlite3.OperationalError("database or disk is full")

    witness.add_checkpoint(request(0, 5))
    monkeypatch.setattr(witness_state.State, "hold", full_disk)
    with pytest.raises(sqlite3.OperationalError):
        witness.add_checkpoint(request(5, 10))
    monkeypatch.undo()
    assert held(witness).size == 5
    with pytest.raises(ProofRefused):  # so the other history from 5 on is still judged against 5
        witness.add_checkpoint(request(5, 10, [leaf_hash(b"x"), *LEAVES[1:]]))


# --- key and state -----------------------------------------------------------------------------


def test_a_witness_is_made_once(tmp_path, clock, witness):
    with pytest.raises(KeyRefused, match="made once"):
        Witness.create(tmp_path / "w", "w.example/1", clock)
    assert Witness.open(tmp_path / "w", clock).vkey == witness.vkey
    assert (tmp_path / "w" / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_without_its_state_is_refused(tmp_path, clock, witness):
    (tmp_path / "w" / STATE_FILE).unlink()
    with pytest.raises(KeyRefused, match="make a new witness with a new key"):
        Witness.open(tmp_path / "w", clock)
    assert not (tmp_path / "w" / STATE_FILE).exists()


def test_the_state_of_another_witness_is_refused(tmp_path, clock, witness):
    Witness.create(tmp_path / "v", "v.example/1", clock)
    shutil.copy(tmp_path / "v" / STATE_FILE, tmp_path / "w" / STATE_FILE)
    with pytest.raises(KeyRefused, match=r"belongs to v\.example/1"):
        Witness.open(tmp_path / "w", clock)


def test_a_key_that_others_can_read_is_refused(tmp_path, clock, witness):
    (tmp_path / "w" / KEY_FILE).chmod(0o644)
    with pytest.raises(KeyRefused, match="can be read by others"):
        Witness.open(tmp_path / "w", clock)


# --- whatever comes ----------------------------------------------------------------------------


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), max_size=12))
def test_what_was_cosigned_is_always_one_history(tmp_path, steps):
    """Any requests, of two histories that part at leaf 5: all that is cosigned is one of them."""
    directory = tmp_path / sha256(os.urandom(8)).hexdigest()
    witness = Witness.create(directory, "w.example/1", lambda: START)
    witness.add_log(LOG.vkey)
    cosigned = []
    for old, size, forked in steps:
        leaves = FORK if forked else LEAVES
        try:
            witness.add_checkpoint(request(min(old, size), size, leaves))
        except (SizeStale, RootDiffers, ProofRefused):
            continue
        cosigned.append((size, root_of(leaves[:size])))
    sizes = [size for size, _ in cosigned]
    assert sizes == sorted(sizes)
    assert any(
        all(root == root_of(history[:size]) for size, root in cosigned)
        for history in (LEAVES, FORK)
    )


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body):
    with contextlib.suppress(RequestMalformed):
        parse_request(b"old 1\n" + body)


# --- the page ----------------------------------------------------------------------------------


def test_the_examples_of_the_format_page_are_real():
    page = (Path(__file__).parents[2] / "docs" / "formats" / "witness.md").read_text("utf-8")
    blocks = dict(re.findall(r"<!-- (\w+) -->\n```text\n(.*?)```", page, re.DOTALL))
    policy = parse_policy(blocks["policy"].encode())
    read = parse_request(blocks["request"].encode())
    (log,), (known, _) = policy.logs, policy.witnesses
    assert open_checkpoint(read.note, log.key).size == 5
    (found,) = read_cosignatures(read.text, blocks["answer"], known.key)
    assert found.line == blocks["answer"]
    assert cosigned_message(read.text, found.time).decode() in page
    policy.require(read.note + blocks["answer"], log.key)
    # The request grows from the three leaves that its first proof lines belong to.
    old = root_of([leaf_hash(b"entry %d" % n) for n in range(3)])
    verify_consistency(
        old_size=3, old_root=old, new_size=5, new_root=read.checkpoint.root, path=read.path
    )
