"""Receipts that clients kept, against the log they are of, a shorter one, and a forked one."""

import copy
import json

import pytest
from click.testing import CliRunner

from ledger.keys import SigningKey
from ledger.layout import DirectorySource
from ledger.merkle import inclusion_path, leaf_hash
from ledger.note import NoteSigner
from ledger.receipt import Receipt
from service.auditor import receipts
from service.auditor.receipts import find_receipts
from service.cli import main
from service.cli.audit import exit_status
from service.cli.auditing import Asked, audit_source


def receipt(paper, leaf):
    """What the log handed out for a leaf: under its checkpoint of now."""
    size = paper.checkpoint()
    hashes = [leaf_hash(entry) for entry in paper.entries]
    note = dict(paper.checkpoints)[size]
    path = tuple(inclusion_path(hashes, leaf))
    return Receipt(leaf, paper.entries[leaf], size, path, note).to_json()


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def keep(kept, name, *values):
    text = "\n".join(json.dumps(value) for value in values)
    (kept / name).parent.mkdir(exist_ok=True)
    (kept / name).write_text(text)


@pytest.fixture
def audit(tmp_path, kept):
    def run(paper, **options):
        where = paper.write(tmp_path / f"export-{len(list(tmp_path.iterdir()))}")
        asked = Asked(receipts=options.pop("receipts", kept), **options)
        return audit_source(DirectorySource(where), paper.vkey, asked).report

    return run


def check(report):
    (found,) = [c for c in report.checks if c.check == "receipt"]
    return found.examined, found.failed, found.unchecked


def grow(paper, count):
    for n in range(count):
        paper.predict(paper.digest, (float(n % 9), 2.0))


def test_every_receipt_of_the_log_is_found_in_it(house, kept, audit):
    early = [receipt(house, leaf) for leaf in house.predictions]
    grow(house, 300)
    keep(kept, "one.json", early[0])
    keep(kept, "desk/many.jsonl", *early[1:], receipt(house, 300))
    keep(kept, "answer.json", {"prediction_id": "8", "rows": [], "receipt": early[1]})
    (kept / "notes.txt").write_text("not a receipt, and not named like one")
    report = audit(house)
    assert check(report) == (8, 0, 0)
    assert exit_status(report) == 0


def test_a_receipt_past_the_end_is_an_omission_that_names_its_checkpoint(house, kept, audit):
    shorter = copy.deepcopy(house)
    grow(house, 3)
    promise = receipt(house, len(house.entries) - 1)
    keep(kept, "r.json", promise)
    report = audit(shorter)
    assert check(report) == (1, 1, 0)
    assert exit_status(report) == 1
    (finding,) = report.findings
    assert (finding.check, finding.leaf) == ("receipt", len(house.entries) - 1)
    assert finding.subject == "receipt r.json"
    assert f"checkpoint of size {len(house.entries)} with root" in finding.expected
    assert finding.got == f"nothing: the audited log ends at size {len(shorter.entries)}"


def test_another_entry_at_the_leaf_is_a_contradiction(house, kept, audit):
    other = copy.deepcopy(house)
    leaf = house.predict(house.digest, (1.0, 1.0))
    other.predict(other.digest, (2.0, 2.0))
    keep(kept, "r.jsonl", receipt(house, 9), receipt(house, leaf))
    report = audit(other)
    # The first receipt's entry is there, but its checkpoint is of the other tree.
    told = {finding.leaf: finding for finding in report.findings}
    assert set(told) == {9, leaf}
    assert told[leaf].got == f"entry {leaf_hash(other.entries[leaf]).hex()}"
    assert "two trees were signed" in told[9].got
    assert told[9].subject == "receipt r.jsonl line 1"


def test_a_log_that_dropped_an_entry_from_the_middle_contradicts_receipts(house, kept, audit):
    """The whole rest is in order: signed again, numbered again. Only the caller knows."""
    rewritten = copy.deepcopy(house)
    grow(house, 1)
    promise = receipt(house, len(house.entries) - 1)
    grow(rewritten, 5)
    rewritten.entries[len(house.entries) - 1] = rewritten.entries[-1]
    keep(kept, "r.json", promise)
    again = copy.deepcopy(rewritten)
    again.entries.pop()
    assert check(audit(again))[1] == 1


def tampered(value, **changes):
    return {**copy.deepcopy(value), **changes}


def test_a_receipt_that_does_not_check_by_itself_is_a_failure(house, kept, audit):
    good = receipt(house, 9)
    path = good["inclusion"]["path"]
    bad = [
        tampered(good, leaf_index=10),
        tampered(good, entry=good["entry"].replace("null", "nulL", 1)),
        tampered(good, inclusion={**good["inclusion"], "path": path[:-1]}),
        tampered(good, checkpoint=good["checkpoint"].replace("\n15\n", "\n16\n")),
        tampered(good, format="assay/receipt/v9"),
    ]
    stranger = copy.deepcopy(house)
    stranger.signer = NoteSigner("paper.example/log", SigningKey(b"y" * 32))
    stranger.checkpoints.clear()
    bad.append(receipt(stranger, 9))
    keep(kept, "r.jsonl", good, *bad)
    report = audit(house)
    assert check(report) == (7, 6, 0)
    assert {finding.subject for finding in report.findings} == {
        f"receipt r.jsonl line {n}" for n in range(2, 8)
    }


def test_what_is_no_receipt_is_left_unchecked_and_named(house, kept, audit):
    keep(kept, "good.json", receipt(house, 9))
    (kept / "broken.json").write_text("{")
    (kept / "other.json").write_text('{"colour": "blue"}')
    (kept / "list.json").write_text("[1]")
    (kept / "deep.json").write_text("[" * 100_000)
    report = audit(house)
    assert check(report) == (5, 0, 4)
    assert exit_status(report) == 2
    (found,) = [c for c in report.checks if c.check == "receipt"]
    assert found.detail.startswith("receipt broken.json: no JSON")


def test_a_file_too_long_for_a_receipt_is_not_read(house, kept, audit, monkeypatch):
    monkeypatch.setattr(receipts, "RECEIPT_MAX", 1000)
    keep(kept, "r.json", {"x": "y" * 1000})
    assert check(audit(house)) == (1, 0, 1)


def test_at_an_older_size_later_receipts_are_left(house, kept, audit):
    size = house.checkpoint()
    early = receipt(house, 9)
    grow(house, 4)
    keep(kept, "r.jsonl", early, receipt(house, 8), receipt(house, size))
    report = audit(house, size=size)
    assert check(report) == (3, 0, 1)
    (found,) = [c for c in report.checks if c.check == "receipt"]
    assert "past the size asked for" in found.detail


def test_receipts_of_old_entries_are_held_against_the_new_tree_without_reading_bundles(
    house, kept, tmp_path
):
    grow(house, 600)
    first = audit_source(DirectorySource(house.write(tmp_path / "1")), house.vkey, Asked())
    keep(kept, "r.jsonl", *(receipt(house, leaf) for leaf in (0, 8, 300, 599)))
    grow(house, 10)
    asked = []

    class Counting(DirectorySource):
        def read(self, path):
            asked.append(path)
            return super().read(path)

    source = Counting(house.write(tmp_path / "2"))
    report = audit_source(source, house.vkey, Asked(earlier=first.state, receipts=kept)).report
    assert check(report) == (4, 0, 0)
    assert "tile/entries/000" not in asked
    assert "tile/entries/001" not in asked


def test_tiles_that_lead_nowhere_leave_receipts_unchecked_under_a_failed_log(house, kept, tmp_path):
    grow(house, 300)
    keep(kept, "r.json", receipt(house, 9))
    where = house.write(tmp_path / "x")
    (where / "tile/0/000").write_bytes(bytes(8192))
    asked = Asked(receipts=kept, replay=False)
    report = audit_source(DirectorySource(where), house.vkey, asked).report
    assert check(report) == (1, 0, 1)
    assert exit_status(report) == 1
    (where / "checkpoint").write_bytes(b"")
    report = audit_source(DirectorySource(where), house.vkey, asked).report
    assert check(report) == (0, 0, 1)
    assert exit_status(report) == 1


def test_names_are_told_below_the_directory(kept, house):
    keep(kept, "a/b.json", receipt(house, 9))
    assert [found.where for found in find_receipts(kept)] == ["a/b.json"]
    assert [found.where for found in find_receipts(kept / "a" / "b.json")] == ["b.json"]


def assay(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_command_lists_omissions_and_exits_1(house, kept, tmp_path):
    shorter = copy.deepcopy(house)
    grow(house, 2)
    keep(kept, "r.json", receipt(house, len(house.entries) - 1))
    arguments = ("--key", house.vkey, "--receipts", kept)
    done = assay("audit", shorter.write(tmp_path / "short"), *arguments)
    assert done.exit_code == 1
    assert "receipt: expected entry" in done.stdout
    assert "(receipt r.json)" in done.stdout
    done = assay("audit", house.write(tmp_path / "whole"), *arguments)
    assert done.exit_code == 0, done.output


def test_a_directory_without_receipts_is_could_not_check(house, kept, tmp_path):
    done = assay("audit", house.write(tmp_path / "x"), "--key", house.vkey, "--receipts", kept)
    assert done.exit_code == 2
    assert "no receipt" in done.output


def test_without_the_option_no_receipt_is_spoken_of(house, audit):
    report = audit(house, receipts=None)
    assert "receipt" not in {c.check for c in report.checks}
