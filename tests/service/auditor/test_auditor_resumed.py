"""Going on from an earlier audit: growth is shown first, then only what is new is read."""

import copy
import dataclasses
import json

import pytest
from click.testing import CliRunner

from ledger.canonical import canonical_bytes
from ledger.keys import Role, SigningKey
from ledger.layout import DirectorySource
from ledger.merkle import leaf_hash, root_of
from service.auditor.state import AuditState, StateRefused
from service.cli import main
from service.cli.audit import exit_status
from service.cli.auditing import Asked, audit_source
from service.verification.policy import DEFAULT_POLICY


class Counting(DirectorySource):
    """A directory that keeps what was read of it."""

    def __init__(self, directory):
        super().__init__(directory)
        self.asked = []

    def read(self, path):
        self.asked.append(path)
        return super().read(path)


class Auditor:
    """One auditor's desk: writes exports, audits them, keeps what came out."""

    def __init__(self, directory):
        self.directory = directory
        self.source = None
        self.count = 0

    def __call__(self, paper, earlier=None, **options):
        self.count += 1
        where = paper.write(self.directory / str(self.count))
        self.source = Counting(where)
        return audit_source(self.source, paper.vkey, Asked(earlier=earlier, **options))


@pytest.fixture
def desk(tmp_path):
    return Auditor(tmp_path)


def grow(paper, entries, seed=0):
    """Predictions of one row and of many, outcomes of old and new ones, seals."""
    goal = len(paper.entries) + entries
    open_predictions = []
    while len(paper.entries) < goal:
        n = len(paper.entries) + seed
        if n % 3 == 2 and open_predictions:
            paper.outcome(open_predictions.pop(n % len(open_predictions)), str(n))
        elif n % 41 == 0:
            seal(paper)
        else:
            points = [(float(n % 7 + i), 1.0) for i in range(1 + n % 3)]
            open_predictions.append(paper.predict(paper.digest, *points))
            paper.predictions.append(open_predictions[-1])
        if n % 5 == 0:
            paper.checkpoint()
    return paper


def seal(paper):
    hashes = [leaf_hash(entry) for entry in paper.entries]
    first = getattr(paper, "sealed", 0)
    data = {
        "period": "2026-11-25",
        "first_index": first,
        "count": len(hashes) - first,
        "root": root_of(hashes[first:]).hex(),
        "checkpoint_size": len(hashes),
    }
    paper.sealed = len(hashes)
    return paper.add("seal", data, paper.keys[Role.REPORTER], "ops")


def counts(report):
    return {check.check: (check.examined, check.failed) for check in report.checks}


# Growth.


@pytest.mark.parametrize(
    ("old", "new"),
    [(14, 1), (14, 300), (255, 1), (255, 2), (256, 1), (256, 256), (257, 255), (300, 212)],
)
def test_an_audit_goes_on_and_ends_where_a_full_one_would(house, desk, old, new):
    grow(house, old - len(house.entries))
    first = desk(house)
    assert first.report.failed == 0
    grow(house, new)
    resumed = desk(house, first.state)
    assert resumed.report.findings == ()
    assert exit_status(resumed.report) == 0
    full = desk(house)
    assert resumed.state == full.state.__class__.parse(resumed.state.to_bytes())
    # What it looked at besides is told in `checked`; all that later audits build on is equal.
    assert resumed.state.carried == full.state.carried
    assert resumed.state.keys == full.state.keys
    assert resumed.state.checkpoint == full.state.checkpoint
    examined = counts(resumed.report)
    assert examined["entry"][0] == new
    for check in ("signature", "sequence", "opening", "row", "seal", "model_name", "execution"):
        before, both = (counts(a.report).get(check, (0, 0))[0] for a in (first, full))
        assert examined.get(check, (0, 0))[0] == both - before, check


def test_only_new_bundles_are_read(house, desk):
    grow(house, 700 - len(house.entries))
    seal(house)
    first = desk(house)
    size = len(house.entries)
    grow(house, 100)
    resumed = desk(house, first.state)
    assert resumed.report.failed == 0
    bundles = {path for path in desk.source.asked if path.startswith(("tile/entries", "rows"))}
    assert bundles == {f"tile/entries/{n:03d}" for n in (2,)} | {
        f"tile/entries/003.p/{len(house.entries) - 768}",
        "rows/002.jsonl",
        "rows/003.jsonl",
    }
    assert resumed.report.since.size == size
    assert resumed.report.to_json()["since"]["tree_size"] == size


def test_an_outcome_of_an_old_prediction_reads_that_bundle_again(house, desk):
    old = house.predictions[4]  # of three rows
    grow(house, 700 - len(house.entries))
    first = desk(house)
    house.outcome(old)
    resumed = desk(house, first.state)
    assert resumed.report.failed == 0
    assert "tile/entries/000" in desk.source.asked
    assert "tile/entries/001" not in desk.source.asked


def test_nothing_new_is_nothing_failed(house, desk):
    first = desk(house)
    again = desk(house, first.state)
    assert again.report.findings == ()
    assert counts(again.report)["consistency"] == (1, 0)
    assert again.state.carried == first.state.carried


def test_a_full_audit_is_done_when_asked_and_still_shows_growth(house, desk):
    first = desk(house)
    grow(house, 20)
    done = desk(house, first.state, full=True)
    assert done.report.since is None
    assert counts(done.report)["entry"][0] == len(house.entries)
    assert counts(done.report)["consistency"] == (1, 0)


def test_an_earlier_audit_that_asked_for_less_is_no_base(house, desk):
    first = desk(house, replay=False)
    grow(house, 20)
    done = desk(house, first.state)
    assert done.report.since is None
    assert "did not run the models" in Asked(earlier=first.state).reads_all
    other = dataclasses.replace(DEFAULT_POLICY, name="another")
    assert "another policy" in Asked(earlier=first.state, replay=False, policy=other).reads_all
    assert Asked(earlier=first.state, replay=False).reads_all == ""


# A log that did not only grow.


def both_named(report, earlier, newest):
    (finding,) = [f for f in report.findings if f.check == "consistency"]
    assert f"size {earlier.size} with root {earlier.root.hex()}" in finding.expected
    assert f"size {newest[0]} with root {newest[1]}" in finding.got
    return finding.got


def root(paper):
    return root_of([leaf_hash(entry) for entry in paper.entries]).hex()


@pytest.mark.parametrize("full", [False, True])
def test_a_cut_tail_is_a_finding_that_names_both_checkpoints(house, desk, full):
    shorter = copy.deepcopy(house)
    grow(house, 300)
    first = desk(house)
    done = desk(shorter, first.state, full=full)
    assert exit_status(done.report) == 1
    size = len(shorter.entries)
    told = both_named(done.report, first.state.checkpoint, (size, root(shorter)))
    assert "which is shorter" in told
    assert done.state is None
    assert not [p for p in desk.source.asked if p.startswith("tile/")], "looked at no further"


@pytest.mark.parametrize("more", [0, 1, 77, 500])
def test_a_fork_is_a_finding_that_names_both_checkpoints(house, desk, more):
    other = copy.deepcopy(house)
    house.outcome(house.predictions[1], "0.5")
    other.outcome(other.predictions[1], "-9.75")
    grow(house, 250)
    first = desk(house)
    grow(other, len(house.entries) - len(other.entries) + more)
    done = desk(other, first.state)
    assert exit_status(done.report) == 1
    newest = (len(other.entries), root(other))
    told = both_named(done.report, first.state.checkpoint, newest)
    assert "the log forked" in told
    assert [check.check for check in done.report.checks if check.failed] == ["consistency"]
    assert not [p for p in desk.source.asked if p.startswith("tile/entries")]


def test_a_fork_that_is_otherwise_in_order_passes_only_without_the_state(house, desk):
    other = copy.deepcopy(house)
    house.outcome(house.predictions[1])
    other.outcome(other.predictions[2])
    first = desk(house)
    assert desk(other).report.failed == 0
    assert desk(other, first.state).report.failed == 1


def test_tiles_that_prove_nothing_are_a_finding_too(house, desk, tmp_path):
    grow(house, 300)
    first = desk(house)
    grow(house, 300)
    where = house.write(tmp_path / "export")
    tile = where / "tile/0/001"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
    assert exit_status(done.report) == 1
    assert "give no proof" in done.report.findings[0].got


def erase(paper, row, *, gone=True):
    leaf, index = map(int, row.split("."))
    if gone:
        kept = [o for o in paper.openings[leaf] if o["row_index"] != index]
        paper.openings[leaf] = kept
    data = {"rows": [row], "reason": "asked for", "authority": "the data protection officer"}
    return paper.add("erasure", data, paper.keys[Role.OPERATOR], "dpo")


def test_an_old_row_erased_since_is_no_finding(house, desk):
    grow(house, 300)
    first = desk(house)
    erase(house, f"{house.predictions[0]}.0")
    erase(house, f"{house.predictions[-1]}.0")
    resumed, full = desk(house, first.state), desk(house)
    assert full.report.findings == resumed.report.findings == ()
    assert counts(resumed.report)["erasure"] == counts(full.report)["erasure"] == (2, 0)


# Wrong in the new part: the same findings as a full audit's.


def forged_signature(paper):
    grow(paper, 10)
    changed = bytearray(paper.entries[-3])
    changed[changed.index(b'"sig":"') + 20] ^= 1
    paper.entries[-3] = bytes(changed)


def skipped_number(paper):
    paper.seq[paper.keys[Role.PRODUCER].key_id] += 1
    paper.predict(paper.digest)


def repeated_number(paper):
    paper.seq[paper.keys[Role.PRODUCER].key_id] -= 1
    paper.predict(paper.digest)


def unknown_key(paper):
    paper.predict(paper.digest, key=SigningKey(b"x" * 32))


def key_of_another_role(paper):
    paper.predict(paper.digest, key=paper.keys[Role.REPORTER])


def key_introduced_twice(paper):
    paper.introduce(paper.keys[Role.PRODUCER], Role.PRODUCER)


def outcome_of_an_old_approval(paper):
    paper.outcome(next(i for i, e in enumerate(paper.entries) if b"model.approved" in e))


def outcome_of_a_row_that_an_old_prediction_has_not(paper):
    data = {
        "prediction_leaf": paper.predictions[0],
        "row_index": 7,
        "value": "0" * 64,
        "observed_at": "2026-11-26",
        "kind": "return_pct",
        "revises": None,
        "reason": None,
    }
    paper.add("outcome", data, paper.keys[Role.OUTCOME_SOURCE], "market")


def missing_opening(paper):
    del paper.openings[paper.predict(paper.digest, (1.0, 1.0), (2.0, 1.0))]


def missing_row(paper):
    paper.rows[paper.predict(paper.digest, (1.0, 1.0), (2.0, 1.0))].pop()


def seal_with_a_gap(paper):
    paper.sealed = getattr(paper, "sealed", 0) + 1
    seal(paper)


def seal_over_other_leaves(paper):
    paper.predict(paper.digest)
    kept = paper.entries[-2:]
    paper.entries[-2:] = kept[::-1]
    seal(paper)
    paper.entries[-3:-1] = kept


def erasure_of_an_old_row_that_is_still_open(paper):
    erase(paper, f"{paper.predictions[0]}.0", gone=False)


def use_after_an_old_withdrawal(paper):
    paper.predict(paper.digest)


def unapproved_model(paper):
    paper.predict(paper.publish(paper.made(version="2.0.0")))


def approval_by_the_old_publisher(paper):
    paper.approve(paper.digest, actor="ada")


def wrong_output(paper):
    paper.predict(paper.digest, output=1)


def outcomes_signed_by_the_predictor(paper):
    paper.outcome(paper.predictions[1], key=paper.keys[Role.PRODUCER])


WRONGS = [value for value in list(globals().values()) if getattr(value, "__code__", None)]
WRONGS = WRONGS[WRONGS.index(forged_signature) :]


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("old", [40, 250])
def test_what_is_wrong_is_found_as_a_full_audit_finds_it(house, desk, made, wrong, old):
    house.made = made
    grow(house, old)
    if wrong is use_after_an_old_withdrawal:
        house.withdraw(house.digest)
    first = desk(house)
    assert first.report.failed == 0
    wrong(house)
    if wrong is not use_after_an_old_withdrawal:
        grow(house, 5)
    resumed, full = desk(house, first.state), desk(house)
    assert full.report.failed > 0
    assert resumed.report.findings == full.report.findings
    assert resumed.state is None


def test_an_old_outcomes_key_that_signs_predictions_since_is_told_at_its_first_outcome(house, desk):
    first = desk(house)
    house.predict(house.digest, key=house.keys[Role.OUTCOME_SOURCE])
    resumed = desk(house, first.state)
    told = {(f.check, f.leaf) for f in resumed.report.findings}
    assert ("outcome_source", first.state.carried.size - 1) in told
    assert resumed.report.findings == desk(house).report.findings


def test_a_file_missing_or_added_in_the_new_part_is_found(house, desk, tmp_path):
    grow(house, 300)
    first = desk(house)
    grow(house, 300)
    where = house.write(tmp_path / "export")
    paths = sorted(p.relative_to(where).as_posix() for p in where.rglob("*") if p.is_file())
    new = [p for p in paths if not p.startswith("blobs/") and "/000" not in p and p != "checkpoint"]
    assert len(new) > 8
    for path in new:
        data = (where / path).read_bytes()
        (where / path).unlink()
        done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
        assert done.report.failed, path
        (where / path).write_bytes(data)
    (where / "surprise").write_bytes(b"")
    done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
    assert [f.subject for f in done.report.findings] == ["surprise"]


def test_a_changed_entry_is_named_by_its_leaf(house, desk, tmp_path):
    grow(house, 300)
    first = desk(house)
    leaf = house.predict(house.digest)
    where = house.write(tmp_path / "export")
    bundle = next(p for p in (where / "tile/entries/001.p").iterdir())
    data = bundle.read_bytes()
    at = data.rindex(b'"as_of":null')
    bundle.write_bytes(data[:at] + data[at:].replace(b"null", b"nulL", 1))
    done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
    assert ("leaf", leaf) in {(f.check, f.leaf) for f in done.report.findings}


def rewrite_history(where, change):
    lines = (where / "checkpoints.jsonl").read_bytes().splitlines(keepends=True)
    (where / "checkpoints.jsonl").write_bytes(b"".join(change(lines)))


def test_a_history_without_the_audited_checkpoint_is_found(house, desk, tmp_path):
    first = desk(house)
    grow(house, 30)
    where = house.write(tmp_path / "export")
    size = b'"size":%d}' % first.state.checkpoint.size
    rewrite_history(where, lambda lines: [line for line in lines if size not in line])
    done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
    told = [f for f in done.report.findings if f.check == "history"]
    assert f"audited checkpoint of size {first.state.checkpoint.size}" in told[0].expected


def test_a_later_checkpoint_of_another_tree_is_found(house, desk, tmp_path):
    first = desk(house)
    grow(house, 30)
    other = copy.deepcopy(house)
    house.outcome(house.predictions[1], "0.5")
    other.outcome(other.predictions[1], "-9.75")
    size = house.checkpoint()
    assert other.checkpoint() == size
    house.checkpoints[-1] = other.checkpoints[-1]
    grow(house, 3)
    done = desk(house, first.state)
    (finding,) = done.report.findings
    assert (finding.check, finding.got) == ("history", root_at(house, size))


def root_at(paper, size):
    return root_of([leaf_hash(entry) for entry in paper.entries[:size]]).hex()


def test_any_changed_byte_of_a_new_file_is_found(house, desk, tmp_path):
    import random

    grow(house, 300)
    first = desk(house)
    grow(house, 300)
    where = house.write(tmp_path / "export")
    chance = random.Random(11)
    size = len(house.entries)
    edge = [f"tile/entries/002.p/{size - 512}", f"tile/0/002.p/{size - 512}", "tile/0/001"]
    files = [*edge, "tile/1/000.p/2", "openings/002.jsonl", "rows/002.jsonl", "checkpoint"]
    for path in files:
        data = (where / path).read_bytes()
        for _ in range(6):
            changed = bytearray(data)
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            (where / path).write_bytes(changed)
            done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
            assert done.report.failed, path
        (where / path).write_bytes(data)


def test_an_old_entry_changed_under_a_new_reference_is_found(house, desk, tmp_path):
    grow(house, 300)
    first = desk(house)
    house.outcome(house.predictions[0])
    where = house.write(tmp_path / "export")
    bundle = where / "tile/entries/000"
    changed = bundle.read_bytes().replace(b'"as_of":null', b'"as_of":nulL', 1)
    bundle.write_bytes(changed)
    done = audit_source(DirectorySource(where), house.vkey, Asked(earlier=first.state))
    assert ("leaf", house.predictions[0]) in {(f.check, f.leaf) for f in done.report.findings}


# The state.


def test_the_state_is_small_and_is_read_back(house, desk):
    small = desk(house).state
    assert AuditState.parse(small.to_bytes()) == small
    grow(house, 1000)
    grown = desk(house).state
    assert len(grown.to_bytes()) < len(small.to_bytes()) + 100


def test_a_state_that_was_changed_is_refused(house, desk):
    value = json.loads(desk(house).state.to_bytes())

    def refused(**changes):
        with pytest.raises(StateRefused):
            AuditState.parse(canonical_bytes(value | changes))

    assert AuditState.parse(canonical_bytes(value))
    refused(tree_size=value["tree_size"] - 1)
    refused(root_hash="0" * 64)
    refused(origin="elsewhere.example/log")
    refused(checkpoint=value["checkpoint"].replace("\n14\n", "\n13\n").replace("A", "B", 1))
    refused(schema="assay/audit-state/v2")
    refused(keys=[{}])
    refused(lifecycle=[{"leaf": 1}])
    refused(surprise=1)
    refused(next_seq={"x": -1})
    for text in (b"", b"{", b"[]", b"null"):
        with pytest.raises(StateRefused):
            AuditState.parse(text)


def test_a_state_of_another_log_is_refused(house, desk, tmp_path):
    first = desk(house)
    other = house.vkey.replace("paper.example", "other.example")
    where = house.write(tmp_path / "x")
    from ledger.note import NoteSigner

    other = NoteSigner("other.example/log", house.keys[Role.LOG]).vkey
    with pytest.raises(StateRefused, match=r"is of the log paper\.example/log"):
        audit_source(DirectorySource(where), other, Asked(earlier=first.state))


def assay(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_command_keeps_its_state_only_when_all_held(house, tmp_path):
    state = tmp_path / "state.json"
    arguments = ("--key", house.vkey, "--state", state)
    done = assay("audit", house.write(tmp_path / "1"), *arguments)
    assert done.exit_code == 0, done.output
    assert f"kept in {state}: {len(house.entries)} entries are audited" in done.stderr
    kept = state.read_bytes()
    house.predict(house.digest, output=1)
    done = assay("audit", house.write(tmp_path / "2"), *arguments)
    assert done.exit_code == 1
    assert "entries were audited before and not read again" in done.stdout
    assert "is left as it was" in done.stderr
    assert state.read_bytes() == kept
    done = assay("audit", house.write(tmp_path / "2"), *arguments, "--full")
    assert done.exit_code == 1
    assert "audited before" not in done.stdout


def test_the_command_tells_of_a_cut_tail(house, tmp_path):
    shorter = copy.deepcopy(house)
    state = tmp_path / "state.json"
    grow(house, 3)
    arguments = ("--key", house.vkey, "--state", state)
    assert assay("audit", house.write(tmp_path / "1"), *arguments).exit_code == 0
    done = assay("audit", shorter.write(tmp_path / "2"), *arguments)
    assert done.exit_code == 1
    assert "consistency: expected a tree that begins with the audited one" in done.stdout
    assert "which is shorter" in done.stdout


def test_the_command_refuses_what_is_no_state(house, tmp_path):
    state = tmp_path / "state.json"
    state.write_text("{}")
    where = house.write(tmp_path / "1")
    done = assay("audit", where, "--key", house.vkey, "--state", state)
    assert done.exit_code == 2
    assert "is no kept audit" in done.stderr
    done = assay("audit", where, "--key", house.vkey, "--state", state, "--size", "3")
    assert done.exit_code == 2
