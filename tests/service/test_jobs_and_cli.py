"""The scheduler's process and the command line."""

import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from houses import make_house, signal_days
from ledger.record import parse_entry
from models.reference import trade_signal
from service import jobs
from service.cli import COMMANDS, main
from service.errors import ServiceError
from service.predict import Ask, predict
from service.sealing import seal


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


# --- jobs ------------------------------------------------------------------------------------


def test_jobs_run_once_through_the_scheduler(house):
    told = jobs.run_once(house, ["seal", "correctness", "honesty"])
    assert [line.split()[0] for line in told] == ["sealed", "correctness", "honesty"]
    assert house.ledger.counts()["report"] == 2


def test_a_failing_job_is_told_to_its_caller(house, monkeypatch):
    def fail(_):
        raise ServiceError(500, "x", "it broke")

    monkeypatch.setitem(jobs.JOBS, "seal", fail)
    with pytest.raises(ServiceError, match="it broke"):
        jobs.run_once(house, ["seal"])


def test_a_second_scheduler_is_refused_and_told_who_runs(house):
    with jobs.lease(house.settings), pytest.raises(ServiceError, match=str(os.getpid())):
        jobs.run_once(house, ["seal"])
    jobs.run_once(house, ["seal"])  # and the lease ends with its holder


def test_every_job_has_a_time(house):
    assert set(jobs.triggers(house.settings)) == set(jobs.JOBS)


def test_sealing_twice_leaves_no_gap_and_no_overlap(house):
    for _ in range(2):
        seal(house, period="2026-11-25", actor_id="x")
    end = 0
    for stored in house.ledger.entries(type="seal"):
        data = parse_entry(stored.entry).data
        assert data["first_index"] == end
        end += data["count"]
    assert end == house.ledger.size - 1


def test_two_sealers_at_once_make_one_seal(house):
    barrier, done = threading.Barrier(4), []

    def race():
        barrier.wait()
        done.append(seal(house, period="2026-11-25", actor_id="x").index)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ranges = [parse_entry(e.entry).data for e in house.ledger.entries(type="seal")]
    ends = [r["first_index"] + r["count"] for r in ranges]
    assert [r["first_index"] for r in ranges] == [0, *ends[:-1]]
    assert len(done) == 4


@pytest.mark.slow
def test_drift_is_measured_outside_this_process_and_recorded(house):
    ref = house.inventory.resolve(trade_signal.NAME)
    from houses import DESK

    for day in signal_days(40):
        row = [day.of(trade_signal.FEATURES)]
        predict(house, Ask(model=ref.digest, rows=row, caller=DESK, as_of=day.as_of))
    (told,) = jobs.run_once(house, ["drift"])
    (stored,) = house.ledger.entries(type="drift")
    data = parse_entry(stored.entry).data
    assert str(stored.index) in told
    assert data["library"] == "evidently"
    assert data["version"]
    assert (
        data["reference_digest"] == house.inventory.manifest(ref.digest).training.reference_digest
    )
    for name in ("result_digest", "configuration_digest"):
        assert house.blobs.has(data[name])
    assert "evidently" not in sys.modules


# --- command line ----------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_none():
    code = "import sys; from service.cli import main; main(['--help'], standalone_mode=False);"
    code += "print(sorted(m for m in sys.modules if m in {'flask', 'numpy', 'sqlalchemy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert name in done.stdout
    assert done.stdout.strip().endswith("[]")


def leaves(command, path=()):
    for name, sub in getattr(command, "commands", {}).items():
        yield from leaves(sub, (*path, name))
    if not getattr(command, "commands", None):
        yield path


def every_command():
    for name in COMMANDS:
        yield from leaves(main.get_command(None, name), (name,))


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_helps_with_an_example(path):
    told = run(*path, "--help")
    assert told.exit_code == 0
    assert "Example" in told.output
    assert f"assay {' '.join(path)}" in told.output


def test_a_house_from_nothing_to_an_audit(tmp_path):
    house = tmp_path / "house"
    assert "verifier key" in run("init", "--data-dir", house, "--origin", "cli.example/log").output
    assert "no models yet" in run("models", "list", "--data-dir", house).output
    first = run("models", "publish-reference", "--data-dir", house)
    assert first.output.count("published, approved, promoted") == 4
    again = run("models", "publish-reference", "--data-dir", house)
    assert again.output.count("is published already") == 4
    assert "champion" in run("models", "list", "--data-dir", house).output
    key = run("api-keys", "issue", "desk-1", "--scope", "trader", "--data-dir", house).output
    key_id = key.split("_")[1]
    assert key_id in run("api-keys", "list", "--data-dir", house).output
    assert run("api-keys", "revoke", key_id, "--data-dir", house).exit_code == 0
    assert "revoked" in run("api-keys", "list", "--data-dir", house).output
    assert "sealed at leaf" in run("ledger", "seal", "2026-11-25", "--data-dir", house).output
    assert '"honesty_schema"' in run("report", "honesty", "--data-dir", house).output
    assert '"correctness_schema"' in run("report", "correctness", "--data-dir", house).output
    assert "assay audit" in run("ledger", "export", "--data-dir", house).output
    audited = run("audit", house / "export", "--key", house / "log.vkey")
    assert audited.exit_code == 0, audited.output
    assert "tree size" in run("status", "--data-dir", house).output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status",), "assay init"),
        (("serve",), "assay init"),
        (("scheduler", "--once", "seal"), "assay init"),
        (("ledger", "export"), "assay init"),
    ],
)
def test_without_a_house_a_command_says_how_to_make_one_in_one_line(tmp_path, arguments, says):
    told = run(*arguments, "--data-dir", tmp_path / "none")
    assert told.exit_code == 1
    assert says in told.output
    assert len(told.output.strip().splitlines()) == 1


def test_init_twice_is_refused(tmp_path):
    run("init", "--data-dir", tmp_path / "house")
    told = run("init", "--data-dir", tmp_path / "house")
    assert told.exit_code == 1
    assert "already holds keys" in told.output


def test_an_unknown_digest_is_one_line(tmp_path):
    make_house(tmp_path / "house", models=()).engine.dispose()
    told = run(
        "models",
        "approve",
        "sha256:" + "1" * 64,
        "--actor",
        "a",
        "--reason",
        "because",
        "--data-dir",
        tmp_path / "house",
    )
    assert told.exit_code == 1
    assert len(told.output.strip().splitlines()) == 1


def test_version():
    assert run("--version").output.startswith("assay 0.")
