"""Alarms and policies at the command line: acts with names, told in a line; errors that say why."""

import pytest
from click.testing import CliRunner

from houses import make_house
from ledger.record import unsigned_body
from service.alerts import raise_about_job
from service.alerts_read import alarms
from service.cli import main
from service.switch import switch_of


@pytest.fixture
def house(tmp_path):
    made = make_house(tmp_path / "house", models=("credit-default",))
    yield made
    made.engine.dispose()


def run(house, *words):
    return CliRunner().invoke(main, [*words, "--data-dir", str(house.settings.data_dir)])


def test_an_alarm_is_listed_acknowledged_commented_on_and_closed(house):
    assert "no alarm is open" in run(house, "alarms", "list").output
    told = {"cause": "job_failed", "detail": "job drift failed", "actor_id": "s"}
    leaf = str(raise_about_job(house, "drift", **told).index)
    listed = run(house, "alarms", "list").output
    assert leaf in listed
    assert "job drift failed" in listed
    for act in ("acknowledge", "comment", "close"):
        done = run(house, "alarms", act, leaf, "--actor", "risk-1", "--comment", f"the {act}")
        assert done.exit_code == 0, done.output
        assert "by risk-1" in done.output
    (alarm,) = alarms(house.ledger)
    assert [act.data["comment"] for act in alarm.acts] == ["the acknowledge", "the comment", "the close"]  # fmt: skip
    again = run(house, "alarms", "close", leaf, "--actor", "risk-1", "--comment", "again")
    assert again.exit_code == 1
    assert "was closed" in again.output
    assert "no alarm is open" in run(house, "alarms", "list").output
    assert leaf in run(house, "alarms", "list", "--all").output


def test_a_policy_is_signed_changed_by_two_and_listed(house):
    digest = house.inventory.resolve("credit-default").digest
    words = ["policies", "sign", digest, "--metric", "brier", "--side", "max", "--actor", "risk-1"]
    done = run(house, *words, "--limit", "0.2", "--on-alarm", "shadow")
    assert done.exit_code == 0, done.output
    (first,) = house.ledger.entries(type="policy", ref=digest)
    refused = run(house, *words, "--limit", "0.3")
    assert refused.exit_code == 1
    assert f"replaces={first.index}" in refused.output
    change = [*words, "--limit", "0.3", "--replaces", str(first.index), "--reason", "a new book"]
    assert "somebody else" in run(house, *change, "--second-person", "risk-1").output
    assert run(house, *change, "--second-person", "risk-2").exit_code == 0
    listed = run(house, "policies", "list", digest).output
    assert "replaced at" in listed
    assert "in force" in listed


def test_a_model_is_halted_by_one_and_resumed_by_two(house):
    digest = house.inventory.resolve("credit-default").digest
    halt = ["policies", "halt", digest, "--state", "blocked", "--reason", "odd", "--actor", "a"]
    assert "it answers nobody" in run(house, *halt).output
    assert switch_of(house).halt_of(digest).state == "blocked"
    resume = ["policies", "resume", digest, "--reason", "repaired", "--actor", "a"]
    assert run(house, *resume, "--second-person", "a").exit_code == 1
    assert run(house, *resume, "--second-person", "b").exit_code == 0
    assert switch_of(house).halt_of(digest) is None
    (entry,) = house.ledger.entries(type="model.resumed")
    assert unsigned_body(entry.entry)["data"]["second_person"] == "b"
