"""`assay demo --once`: exits 0, leaves its four files, and the auditor agrees with what it left."""

import json
import random
import shutil
import subprocess
import sys

import pytest

from service.cli.audit import audit_directory


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        **kwargs,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One demo for every test of this file."""
    directory = tmp_path_factory.mktemp("demo") / "data"
    return directory, run("demo", "--once", "--data-dir", str(directory))


@pytest.mark.slow
def test_the_demo_exits_0_and_leaves_reports_export_and_key(told):
    directory, done = told
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "reports/honesty.json",
        "reports/correctness.json",
        "export/checkpoint",
        "log.vkey",
    ):
        assert (directory / name).is_file(), name
    assert "all as expected" in done.stdout


@pytest.mark.slow
def test_its_two_reports_share_no_field_but_the_model_digest(told):
    def names(value):
        if isinstance(value, dict):
            return set(value) | {n for v in value.values() for n in names(v)}
        return {n for v in value for n in names(v)} if isinstance(value, list) else set()

    directory, _ = told
    honesty, correctness = (
        json.loads((directory / "reports" / f"{kind}.json").read_text("utf-8"))
        for kind in ("honesty", "correctness")
    )
    assert names(honesty) & names(correctness) == {"model_digest"}


@pytest.mark.slow
def test_assay_audit_on_its_export_exits_0(told):
    directory, _ = told
    done = run("audit", str(directory / "export"), "--key", str(directory / "log.vkey"))
    assert done.returncode == 0, done.stdout
    assert "VERIFIED" in done.stdout


@pytest.mark.slow
def test_any_flipped_byte_of_its_export_is_found(told, tmp_path):
    """Random positions, by kind of file; the seed is printed so that a failure can be repeated."""
    directory, _ = told
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    copy = tmp_path / "copy"
    shutil.copytree(directory / "export", copy)
    vkey = (directory / "log.vkey").read_text("utf-8")
    kinds = {
        "checkpoint": [copy / "checkpoint"],
        "entry": sorted((copy / "tile" / "entries").rglob("*")),
        "tile": sorted((copy / "tile" / "0").rglob("*")) + sorted((copy / "tile" / "1").rglob("*")),
        "model": sorted((copy / "blobs").iterdir()),
    }
    for kind, paths in kinds.items():
        for _ in range(3):
            path = chance.choice([p for p in paths if p.is_file()])
            data = bytearray(path.read_bytes())
            at = chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
            original = path.read_bytes()
            path.write_bytes(bytes(data))
            report = audit_directory(copy, vkey, replay=False)
            assert report.failed, f"{kind}: byte {at} of {path.relative_to(copy)}"
            named = {f.leaf for f in report.findings} | {f.subject for f in report.findings}
            assert any(name is not None for name in named)
            path.write_bytes(original)


@pytest.mark.slow
def test_a_directory_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = run("demo", "--once", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "--data-dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"
