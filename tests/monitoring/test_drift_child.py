"""The child process that measures drift: its result, its limits, its silence."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785

from monitoring import drift
from monitoring.errors import DriftError, DriftInputError

ROOT = Path(__file__).parents[2]


def rows(n, *, seed=1, shift=0.0):
    rng = random.Random(seed)
    return [
        {"a": rng.gauss(shift, 1), "b": rng.random(), "c": None if n % 2 else 1.0} for n in range(n)
    ]


@pytest.fixture(scope="module")
def measured():
    return drift.measure_in_subprocess(rows(400), rows(300, seed=2, shift=0.5))


@pytest.mark.slow
def test_a_moved_column_is_told_from_one_that_stayed(measured):
    a, b, c = measured["columns"]
    assert (a["column"], a["drifted"], a["psi_above_limit"]) == ("a", True, True)
    assert (b["drifted"], b["psi_above_limit"]) == (False, False)
    assert (c["value"], c["current_missing_share"]) == ("0.000000", "0.500000")
    assert measured["share_drifted"] == "0.333333"


@pytest.mark.slow
def test_distance_is_scipys_in_reference_deviations(measured):
    import numpy as np
    from scipy.stats import wasserstein_distance

    one, two = ([r["a"] for r in side] for side in (rows(400), rows(300, seed=2, shift=0.5)))
    expected = wasserstein_distance(one, two) / np.std(one)
    assert float(measured["columns"][0]["value"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_result_has_a_digest_and_is_the_same_again(measured):
    again = drift.measure_in_subprocess(rows(400), rows(300, seed=2, shift=0.5))
    assert rfc8785.dumps(again) == rfc8785.dumps(measured)
    assert measured["library"] == "evidently"
    assert measured["version"] == "0.7.23"
    assert measured["configuration"] == drift.configuration(["a", "b", "c"])


@pytest.mark.slow
def test_nothing_was_imported_here(measured):
    assert measured
    assert "evidently" not in sys.modules


@pytest.mark.slow
def test_the_child_opens_no_connection():
    script = (
        "import io, json, socket, sys\n"
        "def refuse(*a, **k): sys.stderr.write('CONNECTED'); raise OSError\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        "socket.create_connection = socket.getaddrinfo = refuse\n"
        "sides = {s: {'a': [float(n) for n in range(50)]} for s in ('reference', 'current')}\n"
        "sys.stdin = io.StringIO(json.dumps(sides))\n"
        "from monitoring import drift\n"
        "sys.exit(drift.main([str(drift.MEMORY_BYTES)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=drift.child_environment("/tmp"),
        capture_output=True,
        check=True,
    )
    assert b"CONNECTED" not in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["values"] == {"a": 0.0}


@pytest.mark.slow
def test_without_a_network_it_measures_and_the_kernel_sees_nothing_sent(tmp_path):
    """In a namespace with no network at all, every network call of the child and its threads traced."""
    trace, page = tmp_path / "trace", tmp_path / "page.html"
    strace, unshare = shutil.which("strace"), shutil.which("unshare")
    watched = [strace, "-f", "-qq", "-e", "trace=network", "-o", str(trace), unshare, "-rn"]
    if not strace or not unshare:
        pytest.skip("strace or unshare is not installed")
    if subprocess.run([*watched, "true"], check=False, capture_output=True).returncode:
        pytest.skip("tracing or network namespaces are not permitted here")
    question = {s: {"a": [float(n) for n in range(50)]} for s in ("reference", "current")}
    done = subprocess.run(
        [*watched, sys.executable, "-m", "monitoring.drift", str(drift.MEMORY_BYTES), str(page)],
        input=json.dumps(question).encode(),
        cwd=ROOT,
        env=drift.child_environment(str(tmp_path)),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-400:]
    assert json.loads(done.stdout.splitlines()[-1])["values"] == {"a": 0.0}
    assert "<html" in page.read_text()[:2000]
    # A library asks whether ::1 can be bound, which sends nothing.
    sent = [line for line in trace.read_text().splitlines() if "AF_INET" in line and ("connect(" in line or "send" in line)]  # fmt: skip
    assert sent == []


@pytest.mark.slow
def test_too_little_memory_stops_the_child_only():
    with pytest.raises(DriftError, match="it stopped"):
        drift.measure_in_subprocess(rows(50), rows(50), memory_bytes=200 << 20)


def test_too_little_time_stops_the_child():
    with pytest.raises(DriftError, match=r"no answer within 0.2 s"):
        drift.measure_in_subprocess(rows(50), rows(50), timeout_s=0.2)


def test_the_child_is_told_not_to_track_and_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("ASSAY_KEK", "secret")
    told = drift.child_environment("/nowhere")
    assert told["DO_NOT_TRACK"] == "1"
    assert told["OMP_NUM_THREADS"] == "1"
    assert not [name for name in told if name.startswith("ASSAY")]


def test_tracking_is_off_before_the_import(monkeypatch):
    seen = []
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    monkeypatch.setattr(drift, "_limit_memory", lambda limit: seen.append(dict(os.environ)))
    monkeypatch.setattr(drift, "_measure", lambda *sides: {"values": {}})
    monkeypatch.setattr("sys.stdin", io.StringIO('{"reference":{},"current":{}}'))
    assert drift.main(["1"]) == 0
    assert seen[0]["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize("arguments", [[], ["much"], ["1e9"]])
def test_the_child_does_not_run_without_a_memory_limit(arguments):
    assert drift.main(arguments) == 3


@pytest.mark.parametrize(
    ("reference", "current", "why"),
    [
        (rows(29), rows(50), "reference rows: 29 rows; needs 30"),
        (rows(50), [], "current rows: 0 rows; needs 30"),
        (rows(50), [{"a": 1.0}] * 50, "row 0 has no column b"),
        ([{"a": float("inf")}] * 50, [{"a": 1.0}] * 50, "column a is infinite"),
        ([{}] * 50, [{}] * 50, "no columns"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused_before_any_child(reference, current, why):
    with pytest.raises(DriftInputError, match=why):
        drift.measure_in_subprocess(reference, current)


def test_the_sample_depends_on_the_rows_and_nothing_else(monkeypatch):
    asked = []

    def answer(sampled, names, **limits):
        asked.append(sampled)
        return {"version": "0", "values": dict.fromkeys(names, 0.0)}

    monkeypatch.setattr(drift, "_ask_child", answer)
    for seed in (2, 2, 3):
        drift.measure_in_subprocess(rows(80), rows(90, seed=seed), columns=["a"], sample_rows=40)
    one, same, other = asked
    assert one == same
    assert one != other
    assert len(one["current"]["a"]) == len(one["reference"]["a"]) == 40
    everything = [row["a"] for row in rows(90, seed=2)]
    assert one["current"]["a"] == [value for value in everything if value in one["current"]["a"]]


def test_a_column_with_no_value_on_one_side_is_not_called_steady(monkeypatch):
    monkeypatch.setattr(
        drift, "_ask_child", lambda *a, **k: {"version": "0", "values": {"b": 0.0, "c": 0.0}}
    )
    gone = [{**row, "a": None} for row in rows(50)]
    found = drift.measure_in_subprocess(rows(50), gone)["columns"][0]
    assert (found["value"], found["drifted"]) == (None, None)
    assert found["current_missing_share"] == "1.000000"
