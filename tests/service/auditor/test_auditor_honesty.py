"""The honesty report: its form, its purity, and what it refuses to say."""

import re
import shutil
from pathlib import Path

import pytest

from ledger.canonical import parse_canonical
from ledger.findings import Finding
from service.auditor.honesty import TEXT_MAX, printable
from service.auditor.verify import Check
from service.cli.audit import audit_directory, exit_status
from service.verification.evidence import Verdict

TOP = {
    "honesty_schema",
    "says_nothing_on",
    "log",
    "policy_digest",
    "checks",
    "executions",
    "findings",
}
MONITORING = Path(__file__).parents[3] / "monitoring"


def names(value):
    """Every key in a JSON value."""
    if isinstance(value, dict):
        return set(value) | {n for item in value.values() for n in names(item)}
    if isinstance(value, list):
        return {n for item in value for n in names(item)}
    return set()


@pytest.fixture
def dishonest(house, audit):
    """A report with something in every part of it."""
    house.predict(house.digest, output=1)
    return audit(house)


def test_the_report_has_exactly_its_keys(dishonest):
    body = dishonest.to_json()
    assert set(body) == TOP
    assert set(body["log"]) == {"origin", "tree_size", "root_hash", "log_key"}
    assert set(body["findings"][0]) == {"check", "leaf", "expected", "got", "subject"}
    assert set(body["checks"][0]) == {"check", "claim", "verdict", "counts", "detail"}
    assert set(body["executions"][0]) == {"model_digest", "published_as", "verdict", "counts"}
    assert set(body["executions"][0]["counts"]) == {
        "bit_exact",
        "within_tolerance",
        "different",
        "erased",
        "not_replayable",
    }


def test_it_shares_no_field_with_the_correctness_report_but_the_models_digest(dishonest):
    source = (MONITORING / "correctness.py").read_text("utf-8") + (
        MONITORING / "judging.py"
    ).read_text("utf-8")
    theirs = set(re.findall(r'"([a-z_]+)":', source))
    assert "model_digest" in theirs
    assert names(dishonest.to_json()) & theirs == {"model_digest"}


def test_the_bytes_are_canonical_and_read_back(dishonest):
    assert parse_canonical(dishonest.to_bytes()) == dishonest.to_json()


def test_the_same_export_elsewhere_and_later_gives_the_same_bytes(house, tmp_path, monkeypatch):
    one = house.write(tmp_path / "one")
    other = tmp_path / "far" / "away" / "two"
    shutil.copytree(one, other)
    first = audit_directory(one, house.vkey).to_bytes()
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.chdir(tmp_path)
    assert audit_directory(other, house.vkey + "\n").to_bytes() == first
    assert b"2026-11" not in first, "no time is in a report"
    assert str(tmp_path).encode() not in first


def test_without_replay_execution_is_switched_off_and_not_a_pass(house, audit):
    report = audit(house, replay=False)
    execution = report.checks[-1]
    assert (execution.check, execution.verdict) == ("execution", Verdict.NOT_CHECKED)
    assert not execution.asked
    assert report.to_json()["executions"] == []
    assert exit_status(report) == 0


def test_a_log_without_predictions_leaves_execution_unchecked(log, audit):
    report = audit(log)
    assert [c.check for c in report.checks if c.verdict is not Verdict.VERIFIED] == ["execution"]
    assert report.to_json()["executions"] == []


def test_checks_without_a_subject_are_left_out(log, audit):
    found = {check.check for check in audit(log).checks}
    assert not found & {"approval", "outcome_source", "seal"}


def test_findings_of_the_log_come_before_those_that_follow_from_them(house, audit):
    changed = bytearray(house.entries[9])
    changed[changed.index(b"sha256:") + 8] ^= 1
    house.entries[9] = bytes(changed)
    report = audit(house)
    assert report.findings[0].check == "signature"
    assert report.findings[0].leaf == 9


HOSTILE = {
    "colours": "\x1b[31mVERIFIED\x1b[0m",
    "a new line": "ok\nVERIFIED",
    "right to left": "ok\N{RIGHT-TO-LEFT OVERRIDE}DEIFIREV",
    "a lone surrogate": "\ud800",
    "a flood": "x" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_printed_as_text(dishonest, text):
    import dataclasses

    finding = Finding("entry", 1, text, text, text)
    report = dataclasses.replace(
        dishonest,
        findings=(finding,),
        origin=text,
        checks=(Check("x", "x", 1, 1, 0, detail=text),),
        published_as=dict.fromkeys((e.model_digest for e in dishonest.executions), text),
    )
    shown = parse_canonical(report.to_bytes())["findings"][0]["got"]
    assert shown.isprintable()
    assert len(shown) <= TEXT_MAX + 1
    assert printable(text) == shown


def test_a_hostile_name_in_the_log_itself_is_audited(log, audit, failed):
    name = "\x1b[2J[bold]"
    digest = log.publish(name=name)
    log.approve(digest, actor="\x1b[31m", name=name)
    log.predict(digest, model_name=name)
    report = audit(log)
    assert failed(report)[0] == ["manifest"]
    assert "\x1b" not in report.to_bytes().decode()


def test_the_handbook_names_every_check_and_every_key():
    from ledger.findings import CLAIMS as LOG_CLAIMS
    from service.auditor.verify import CLAIMS

    handbook = (Path(__file__).parents[3] / "docs" / "auditing.md").read_text("utf-8")
    for name in (*LOG_CLAIMS, *CLAIMS, *TOP, "execution"):
        assert f"`{name}`" in handbook, name
