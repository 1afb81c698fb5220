"""A replay in parts: whoever runs them, in whatever order, kept or not, the same bytes come out."""

import ast
import json
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from houses import Api, credit_rows, make_house
from ledger.layout import DirectorySource
from service.auditor.replay import PartReplay
from service.cli import audit_parts, main
from service.cli.auditing import Asked, audit_source
from service.cli.given import CouldNotCheck
from service.exporting import export_house

ROOT = Path(__file__).parents[3]
ROWS = credit_rows(40)
NAMES = list(ROWS[0])
TELEMETRY = find_spec("opentelemetry") is None or find_spec("opentelemetry.metrics") is not None
RAY = find_spec("ray") is not None and TELEMETRY
needs_ray = pytest.mark.skipif(not RAY, reason="the extra `ray` or opentelemetry-sdk is not here")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Batches of one row to forty, single rows in between; and the log's key."""
    directory = tmp_path_factory.mktemp("parts")
    house = make_house(directory / "house")
    api = Api(house)
    for size in (40, 1, 7, 40, 40):
        columns = {name: [row[name] for row in ROWS[:size]] for name in NAMES}
        body = {"model": "credit-default", "columns": columns}
        assert api.trader.post("/v1/predictions:batch", body).status_code == 200
        api.predict(ROWS[size - 1])
    export_house(house, directory / "export")
    vkey = house.ledger.vkey
    house.engine.dispose()
    return directory / "export", vkey


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    monkeypatch.setattr("service.auditor.bundle.PART_ROWS", 30)
    monkeypatch.setattr(audit_parts, "_LOADED", {})


def report(exported, **asked):
    directory, vkey = exported
    return audit_source(DirectorySource(directory), vkey, Asked(**asked)).report.to_bytes()


def backwards(task, parts):
    """The last part first."""
    for place in reversed(range(len(parts))):
        yield place, task(parts[place])


def test_parts_in_any_order_give_the_same_bytes(exported):
    whole = report(exported)
    assert report(exported, workers=backwards) == whole
    told = json.loads(whole)
    counts = told["executions"][0]["counts"]
    assert counts["bit_exact"] == 133
    assert not told["findings"]


def test_there_are_several_parts_and_they_cover_every_leaf_once(exported):
    seen = []

    def spying(task, parts):
        seen.extend(parts)
        return backwards(task, parts)

    report(exported, workers=spying)
    assert len(seen) >= 4
    assert seen[0].first == 0
    assert all(part.end == after.first for part, after in pairwise(seen))
    assert seen[-1].end == seen[-1].size


def test_length_of_parts_changes_nothing(exported, monkeypatch):
    whole = report(exported)
    for rows, leaves in ((1, 1), (10**9, 10**9), (50, 2)):
        monkeypatch.setattr("service.auditor.bundle.PART_ROWS", rows)
        monkeypatch.setattr("service.auditor.bundle.PART_LEAVES", leaves)
        assert report(exported, workers=backwards) == whole


def test_an_audit_that_was_cut_off_runs_only_what_is_left(exported, tmp_path):
    ran = []

    def dying(task, parts):
        for place, part in enumerate(parts):
            if len(ran) == 2:
                raise KeyboardInterrupt
            ran.append(part.first)
            yield place, task(part)

    with pytest.raises(KeyboardInterrupt):
        report(exported, workers=dying, work=tmp_path / "work")
    left = []

    def going_on(task, parts):
        left.extend(part.first for part in parts)
        return backwards(task, parts)

    assert report(exported, workers=going_on, work=tmp_path / "work") == report(exported)
    assert not set(left) & set(ran)
    left.clear()
    assert report(exported, workers=going_on, work=tmp_path / "work") == report(exported)
    assert not left


def test_a_kept_part_that_is_damaged_is_run_again(exported, tmp_path):
    whole = report(exported, work=tmp_path / "work")
    for path, text in zip(
        sorted((tmp_path / "work").glob("*-*.json")),
        ("", "[]", '{"counts":5}', '{"counts":{"m":{"no such":1}}}'),
        strict=False,
    ):
        path.write_text(text)
    assert report(exported, work=tmp_path / "work") == whole


def test_parts_of_another_audit_are_refused(exported, tmp_path, monkeypatch):
    report(exported, work=tmp_path / "work")
    monkeypatch.setattr("service.cli.auditing.program_digest", lambda: "sha256:other")
    with pytest.raises(CouldNotCheck, match=r"another audit.*rm -r"):
        report(exported, work=tmp_path / "work")
    (tmp_path / "work/audit.json").write_text("{")
    with pytest.raises(CouldNotCheck, match="cannot be read"):
        report(exported, work=tmp_path / "work")


def tampered(exported, tmp_path):
    """A copy in which some recorded outputs of a batch were changed."""
    import shutil

    directory, vkey = exported
    shutil.copytree(directory, tmp_path / "copy")
    path = max((tmp_path / "copy/batches").glob("*.records"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    width = len(data) // 40
    for row in (3, 17):
        data[(row + 1) * width - 1] ^= 1
    path.write_bytes(bytes(data))
    return tmp_path / "copy", vkey


def test_differences_are_told_alike(exported, tmp_path):
    other = tampered(exported, tmp_path)
    whole = json.loads(report(other))
    assert json.loads(report(other, workers=backwards)) == whole
    (execution,) = whole["executions"]
    assert execution["counts"]["different"] == 2
    told = [f for f in whole["findings"] if f["check"] == "execution"]
    assert [f["subject"].rpartition(", ")[2] for f in told] == ["output margin_q16"] * 2


def test_a_model_that_must_not_be_run_is_one_failure_however_many_parts(exported, tmp_path):
    import shutil

    directory, vkey = exported
    shutil.copytree(directory, tmp_path / "copy")
    digest = json.loads(report(exported))["executions"][0]["model_digest"]
    blob = tmp_path / f"copy/blobs/{digest[7:]}"
    blob.write_bytes(blob.read_bytes()[:-1])
    other = (tmp_path / "copy", vkey)
    whole = json.loads(report(other))
    assert json.loads(report(other, workers=backwards)) == whole
    assert whole["executions"][0]["counts"]["not_replayable"] == 133
    assert len([f for f in whole["findings"] if f["check"] == "execution"]) == 1


def test_a_part_survives_its_json():
    part = PartReplay({}, (), 0, {}, {})
    assert PartReplay.from_json(json.loads(json.dumps(part.to_json()))) == part


# --- the command, and Ray --------------------------------------------------------------------


def audit(exported, *more):
    directory, vkey = exported
    return CliRunner().invoke(main, ["audit", str(directory), "--key", vkey, *map(str, more)])


def test_options_that_do_not_fit_are_told(exported):
    assert "belong to --engine ray" in audit(exported, "--workers", "2").output
    where = ("https://log.example/export", exported[1])
    assert "reads a directory" in audit(where, "--engine", "ray").output


def test_work_is_kept_by_the_command(exported, tmp_path):
    assert audit(exported, "--work", tmp_path / "work").exit_code == 0
    assert len(list((tmp_path / "work").glob("*-*.json"))) >= 4


def test_the_server_never_imports_ray_and_one_file_does():
    code = (
        "import sys, service.app, service.server, service.jobs, service.cli.audit,"
        " service.cli.auditing; print('ray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == ["False"]
    found = set()
    for package in ("service", "models", "ledger", "monitoring", "dashboards"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                if any(name.split(".")[0] == "ray" for name in names):
                    found.add(file.name)
    assert found == {"ray_engine.py"}


@needs_ray
def test_ray_gives_the_same_bytes_and_survives_a_lost_worker(exported, tmp_path):
    """Ray takes half a minute to start on a busy machine: one test for all of it."""
    from service.cli.ray_engine import ray_workers

    marker = str(tmp_path / "died")
    with ExitStack() as stack:
        try:
            workers = stack.enter_context(ray_workers(2))
        except CouldNotCheck as error:
            pytest.skip(str(error))  # too busy a machine: Ray gives itself 30 seconds
        whole = report(exported)
        assert report(exported, workers=workers) == whole

        def losing_one(task, parts):
            def dies_once(part):  # travels by value: a worker cannot import this file
                import os
                import signal

                if not os.path.exists(marker):  # noqa: PTH110 - nothing else has to travel
                    os.close(os.open(marker, os.O_CREAT))
                    os.kill(os.getpid(), signal.SIGKILL)
                return task(part)

            return workers(dies_once, parts)

        assert report(exported, workers=losing_one) == whole
        assert Path(marker).exists()
        other = tampered(exported, tmp_path)
        assert report(other, workers=workers) == report(other)


def test_without_ray_the_command_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install" in audit(exported, "--engine", "ray").output
