"""The real service, its real ledger and its real export, audited as an outsider would.

Two fences are shown here end to end: the service's own report is the auditor's, and outcomes that
arrive after a checkpoint change no byte of the report at it.
"""

import dataclasses
import json

import pytest

from ledger.keys import Role
from models.hub.publish import Package, publish
from service.assembly import initialise
from service.auth import Identity, Scope
from service.cli.audit import audit_directory, exit_status
from service.exporting import export_house
from service.honesty import issue_honesty
from service.lifecycle import approve, promote
from service.lifecycle import publish as record_publication
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.sealing import seal
from service.settings import Settings

CALLER = Identity("k1", "desk-1", frozenset(Scope))


@pytest.fixture
def real(tmp_path, made, paper_blobs):
    """A house with one approved model, a dozen predictions, outcomes and a seal."""
    house = initialise(Settings(data_dir=tmp_path / "house"))
    artifact, reference = paper_blobs
    manifest = dataclasses.replace(made(), environment_digest=house.environment_digest)
    blobs = {output.artifact: artifact for output in manifest.outputs}
    blobs[manifest.training.reference_digest] = reference
    key = house.signers[Role.PUBLISHER]
    done = publish(house.blobs, Package(manifest, blobs), key_id=key.key_id, sign=key.sign)
    record_publication(
        house, digest=done.digest, provenance_digest=done.provenance_digest, actor_id="ada"
    )
    approve(house, digest=done.digest, reason="tests", actor_id="grace")
    promote(house, digest=done.digest, alias="champion", reason="tests", actor_id="grace")
    for i in range(6):
        rows = [{"x": float(i), "y": 1.5}] * (1 + i % 3)
        predict(house, Ask("trade-signal", rows, CALLER, caller_reference=f"order {i}"))
    return house


def outcomes(house, *values):
    """One outcome per value for the first predictions that have none, in leaf order."""
    leaves = [stored.index for stored in house.ledger.entries(type="prediction")]
    had = len(list(house.ledger.entries(type="outcome")))
    observed = [
        Observed(f"{leaf}.0", value, "2026-11-26", None, None)
        for leaf, value in zip(leaves[had:], values, strict=False)
    ]
    record_outcomes(house, observed, caller=CALLER, idempotency_key=None, request_digest=None)


def test_a_real_export_verifies_in_every_check(real, tmp_path):
    outcomes(real, "0.5", "-0.25")
    seal(real, period="2026-11-25", actor_id="ops")
    where = export_house(real, tmp_path / "export")
    report = audit_directory(where, real.ledger.vkey)
    assert report.findings == ()
    assert exit_status(report) == 0
    assert report.tree_size == real.ledger.size
    assert {c["verdict"] for c in report.to_json()["checks"]} == {"VERIFIED"}
    assert report.to_json()["executions"][0]["counts"]["bit_exact"] == 12


def test_the_services_own_report_is_the_auditors_byte_for_byte(real, tmp_path):
    outcomes(real, "0.5")
    issued = issue_honesty(real, actor_id="ops")
    body = json.loads(real.ledger.entry(issued.index).entry)["body"]["data"]
    outcomes(real, "9.75")
    issue_honesty(real, actor_id="ops")
    where = export_house(real, tmp_path / "export")
    again = audit_directory(where, real.ledger.vkey, size=body["checkpoint_size"])
    assert again.to_bytes() == real.blobs.get(body["report_digest"])
    assert exit_status(audit_directory(where, real.ledger.vkey)) == 0


def test_an_older_export_and_an_older_view_are_one(real, tmp_path):
    """Whatever came in between: outcomes, another model call, a seal, a report."""
    then = export_house(real, tmp_path / "then")
    before = audit_directory(then, real.ledger.vkey)
    outcomes(real, "0.5", "-3")
    predict(real, Ask("trade-signal", [{"x": 1.0, "y": 1.0}], CALLER))
    seal(real, period="2026-11-25", actor_id="ops")
    issue_honesty(real, actor_id="ops")
    now = export_house(real, tmp_path / "now")
    view = audit_directory(now, real.ledger.vkey, size=before.tree_size)
    assert view.to_bytes() == before.to_bytes()
