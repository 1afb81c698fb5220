"""One export per released format, verified for ever: what an auditor was handed stays auditable."""

import json
from pathlib import Path

import pytest

from service.cli.audit import audit_directory, exit_status

BUNDLES = sorted(path for path in Path(__file__).parent.glob("export-*") if path.is_dir())
ROWS = {  # run again, exact
    "export-0.1": 180,
    "export-0.2-erased": 15,
    "export-0.2-rotated": 59,
    "export-0.3-alarms": 64,
    "export-0.3-batch": 83,
    "export-0.3-hub": 24,
    "export-0.3-log-rotated": 14,
}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_golden_export_verifies_and_replays(bundle):
    vkey = (bundle / "log.vkey").read_text("utf-8")
    report = audit_directory(bundle / "export", vkey)
    assert exit_status(report) == 0, report.findings[:3]
    counts = [execution["counts"] for execution in report.to_json()["executions"]]
    assert sum(count["bit_exact"] for count in counts) == ROWS[bundle.name]


def test_there_is_a_bundle_for_the_format_in_use():
    assert [bundle.name for bundle in BUNDLES] == sorted(ROWS)


def test_a_golden_export_under_another_key_is_refused():
    from ledger.keys import SigningKey
    from ledger.note import NoteSigner

    bundle = BUNDLES[0]
    name = (bundle / "log.vkey").read_text("utf-8").partition("+")[0]
    stranger = NoteSigner(name, SigningKey.generate()).vkey
    report = audit_directory(bundle / "export", stranger)
    assert exit_status(report) == 1
    assert json.loads(report.to_bytes())["findings"][0]["check"] == "checkpoint"
