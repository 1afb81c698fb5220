"""`assay audit` and `assay verify-receipt` as an outsider meets them."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledger.layout import WITHHELD
from ledger.merkle import inclusion_path, leaf_hash
from ledger.receipt import Receipt
from service.cli import main
from service.cli.audit import audit_directory
from service.verification.policy import Policy

ROOT = Path(__file__).parents[3]
HEAVY = (
    "flask",
    "sqlalchemy",
    "sqlmodel",
    "pandas",
    "sklearn",
    "xgboost",
    "evidently",
    "monitoring",
)


@pytest.fixture
def export(house, tmp_path):
    return house.write(tmp_path / "export")


@pytest.fixture
def vkey(house, tmp_path):
    path = tmp_path / "log.vkey"
    path.write_text(house.vkey + "\n")
    return path


def assay(*arguments, **options):
    return CliRunner().invoke(main, [str(a) for a in arguments], **options)


def test_an_export_in_order_exits_0_and_says_what_that_does_not_mean(export, vkey):
    done = assay("audit", export, "--key", vkey)
    assert done.exit_code == 0, done.output
    assert "VERIFIED: every check listed here held." in done.stdout
    assert "Nothing on whether the model was right" in done.stdout
    assert "trade-signal" in done.stdout
    assert "8 bit-exact" in done.stdout


def test_the_key_itself_does_as_well_as_its_file(export, house):
    assert assay("audit", export, "--key", house.vkey).exit_code == 0


def test_the_json_report_is_the_canonical_one(export, vkey, house, tmp_path):
    target = tmp_path / "honesty.json"
    assay("audit", export, "--key", vkey, "--json", target)
    assert target.read_bytes() == audit_directory(export, house.vkey).to_bytes() + b"\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export", "honesty.json", "log.vkey"]


def test_a_failure_exits_1_names_leaf_and_check_and_still_writes_the_report(export, vkey, tmp_path):
    bundle = next((export / "tile" / "entries").rglob("*/[0-9]*"))
    bundle.write_bytes(bundle.read_bytes().replace(b'"as_of":null', b'"as_of":nulL', 1))
    target = tmp_path / "honesty.json"
    done = assay("audit", export, "--key", vkey, "--json", target)
    assert done.exit_code == 1
    assert "leaf 8, leaf: expected" in done.stdout
    assert "FAILED" in done.stdout
    assert json.loads(target.read_bytes())["findings"][0]["leaf"] == 8


def test_a_dishonest_execution_exits_1_and_names_the_prediction(house, tmp_path, vkey):
    leaf = house.predict(house.digest, output=1)
    done = assay("audit", house.write(tmp_path / "other"), "--key", vkey)
    assert done.exit_code == 1
    assert f"leaf {leaf}, execution" in done.stdout
    assert f"prediction {leaf}.0, output margin_q16" in done.stdout


def test_no_replay_says_so_and_runs_nothing(export, vkey):
    done = assay("audit", export, "--key", vkey, "--no-replay")
    assert done.exit_code == 0
    assert "Switched off: execution" in done.stdout
    assert "bit-exact" not in done.stdout


def test_withheld_openings_exit_2_and_say_what_was_left(house, tmp_path, vkey):
    where = house.write(tmp_path / "withheld", openings=WITHHELD)
    done = assay("audit", where, "--key", vkey)
    assert done.exit_code == 2
    assert "NOT ALL CHECKED: nothing failed; left undone: execution" in done.stdout
    assert "withholds openings" in done.stdout


def test_an_older_checkpoint_is_audited_by_its_size(export, vkey, house):
    done = assay("audit", export, "--key", vkey, "--size", house.halfway)
    assert done.exit_code == 0
    assert f"checkpoint of {house.halfway} entries" in done.stdout


def test_many_findings_are_cut_short_with_a_word(house, tmp_path, vkey):
    for _ in range(15):
        house.predict(house.digest, output=1)
    done = assay("audit", house.write(tmp_path / "many"), "--key", vkey)
    assert done.exit_code == 1
    assert "and 5 more" in done.stdout


def test_a_policy_from_outside_is_used(export, vkey, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_bytes(Policy("mine").to_bytes())
    done = assay("audit", export, "--key", vkey, "--policy", policy)
    assert done.exit_code == 1
    assert "policy named" in done.stdout


def test_markup_in_a_log_is_not_interpreted(log, tmp_path, vkey):
    digest = log.publish()
    log.approve(digest)
    log.predict(digest, model_name="[bold red]x[/nothing]\x1b[2J")
    done = assay("audit", log.write(tmp_path / "hostile"), "--key", vkey)
    assert done.exit_code == 1
    assert "[bold red]x[/nothing]\\u001b[2J" in done.stdout
    assert "\x1b" not in done.stdout


# Could not check: one line, exit 2.


def _unreadable(path):
    path.write_bytes(b"\xff\xfe")
    return path


COULD_NOT = {
    "no such directory": lambda e, k, t: (t / "none", "--key", k),
    "a file for a directory": lambda e, k, t: (k, "--key", k),
    "not an export": lambda e, k, t: (t, "--key", k),
    "no such key file": lambda e, k, t: (e, "--key", t / "none.vkey"),
    "a key that is no key": lambda e, k, t: (e, "--key", "me+00000000+AAAA"),
    "a key file of noise": lambda e, k, t: (e, "--key", _unreadable(t / "noise")),
    "a directory for a key": lambda e, k, t: (e, "--key", t),
    "a key of absurd length": lambda e, k, t: (e, "--key", "x" * 5000),
    "no such policy": lambda e, k, t: (e, "--key", k, "--policy", t / "none.json"),
    "a policy of noise": lambda e, k, t: (e, "--key", k, "--policy", _unreadable(t / "noise")),
    "a size never signed": lambda e, k, t: (e, "--key", k, "--size", 3),
    "a report nobody can write": lambda e, k, t: (e, "--key", k, "--json", t / "no" / "r.json"),
}


@pytest.mark.parametrize("arguments", COULD_NOT.values(), ids=COULD_NOT.keys())
def test_what_cannot_be_checked_is_told_in_one_line(export, vkey, tmp_path, arguments):
    done = assay("audit", *arguments(export, vkey, tmp_path))
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", ["audit", "verify-receipt"])
def test_help_shows_examples_that_name_real_options(command):
    done = assay(command, "--help")
    assert done.exit_code == 0
    assert f"assay {command} " in done.stdout
    assert "Examples:" in done.stdout
    used = {word for word in done.stdout.split("Examples:")[1].split() if word.startswith("--")}
    assert used <= set(done.stdout.split("Examples:")[0].replace(",", " ").split())


# Receipts.


@pytest.fixture
def receipt(house):
    size = house.checkpoint()
    leaf = house.predictions[0]
    hashes = [leaf_hash(entry) for entry in house.entries]
    return Receipt(
        leaf_index=leaf,
        entry=house.entries[leaf],
        tree_size=size,
        path=tuple(inclusion_path(hashes, leaf)),
        checkpoint=house.checkpoints[-1][1],
    )


def given(receipt):
    return json.dumps(receipt.to_json())


def test_a_receipt_that_holds_exits_0(receipt, vkey, tmp_path):
    path = tmp_path / "receipt.json"
    path.write_text(given(receipt))
    done = assay("verify-receipt", path, "--key", vkey)
    assert done.exit_code == 0, done.output
    assert f"entry {receipt.leaf_index} is in the tree of {receipt.tree_size}" in done.stdout
    assert "Nothing on who may sign" in done.stdout


def test_a_receipt_comes_through_a_pipe_and_within_the_answer_it_came_in(receipt, vkey):
    answer = json.dumps({"prediction_id": "8", "receipt": receipt.to_json()})
    for text in (given(receipt), answer):
        assert assay("verify-receipt", "-", "--key", vkey, input=text).exit_code == 0


BROKEN = {
    "another leaf": {"leaf_index": 9},
    "another size": {"tree_size": 7},
    "a path cut short": {"path": ()},
    "another entry": {"entry": b'{"body":{},"sig":""}'},
    "no checkpoint": {"checkpoint": "hello\n"},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_receipt_that_does_not_hold_exits_1_with_the_reason(receipt, vkey, change):
    text = given(dataclasses.replace(receipt, **change))
    done = assay("verify-receipt", "-", "--key", vkey, input=text)
    assert done.exit_code == 1
    assert done.stderr.startswith("FAILED  ")
    assert done.stderr.strip().count("\n") == 0
    assert not done.stdout


NO_RECEIPT = {
    "not json": b"{",
    "nested too deep": b"[" * 100_000,
    "not utf-8": b"\xff",
    "nothing": b"",
    "a flood": b" " * ((4 << 20) + 1),
}


@pytest.mark.parametrize("data", NO_RECEIPT.values(), ids=NO_RECEIPT.keys())
def test_what_is_no_receipt_exits_2(vkey, data):
    done = assay("verify-receipt", "-", "--key", vkey, input=data)
    assert done.exit_code == 2
    assert done.stderr.strip().count("\n") == 0


def test_a_missing_receipt_file_exits_2(vkey, tmp_path):
    done = assay("verify-receipt", tmp_path / "none.json", "--key", vkey)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


# In an interpreter of its own: no server, no database, no training library, no network.

PROBE = """
import socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket = socket.create_connection = refuse
sys.argv = ["assay", *sys.argv[1:]]
from service.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
print("MODULES", code, *sorted(sys.modules))
"""


def modules_after(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, *names = done.stdout.rpartition("MODULES ")[2].split()
    return int(code or 0), set(names)


def test_an_audit_loads_no_server_no_database_and_no_training_library(export, vkey):
    code, names = modules_after("audit", export, "--key", vkey)
    assert code == 0
    assert not names & {*HEAVY, "rfc8785", "merkletools", "models.reference", "service.app"}


def test_a_receipt_check_loads_no_model_either(receipt, vkey, tmp_path):
    path = tmp_path / "receipt.json"
    path.write_text(given(receipt))
    code, names = modules_after("verify-receipt", path, "--key", vkey)
    assert code == 0
    assert not names & {*HEAVY, "models", "numpy"}


@pytest.mark.parametrize("module", ["bundle", "verify", "replay", "honesty", "prefix", "dsse"])
def test_the_auditor_alone_knows_no_model(module):
    out = subprocess.run(
        [sys.executable, "-c", f"import sys, service.auditor.{module}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not set(out) & {*HEAVY, "models", "numpy", "click", "rich"}
