"""How `export-0.3-alarms` was made: a policy crossed, its model halted and resumed, a challenger.

Usage: PYTHONPATH=tests/support:. python tests/golden/build_alarms.py DIRECTORY
"""

import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path

from houses import DESK, make_house, packages, reporter, signal_days
from models.hub.publish import Package
from models.reference import trade_signal
from receivers import Hook
from service.alerts import acknowledge, close, raise_about_job, remark
from service.alerts_delivery import deliver
from service.alerts_read import alarms
from service.assembly import assemble
from service.champion import issue_comparison
from service.correctness import issue_correctness
from service.exporting import export_house
from service.lifecycle import LimitTerms, approve, promote
from service.outcomes import Observed, record_outcomes
from service.policies import sign_policy
from service.predict import Ask, predict
from service.publishing import DEVELOPER, VALIDATOR, publish_package
from service.shadow import score_shadows
from service.switch import resume

TERMS = LimitTerms("hit_rate", "0.99", "min", "0", "all", 30, "threshold")


def challenge(house):
    package = packages()[trade_signal.NAME]
    manifest = dataclasses.replace(package.manifest, version="1.0.1")
    digest = publish_package(house, Package(manifest, package.blobs), actor_id=DEVELOPER)
    approve(house, digest=digest, reason="a second look", actor_id=VALIDATOR)
    promote(house, digest=digest, alias="challenger", reason="beside it", actor_id=VALIDATOR)


def build(house):
    digest = house.inventory.resolve(trade_signal.NAME).digest
    signed = sign_policy(
        house, digest=digest, terms=TERMS, on_alarm="blocked", actor_id="risk-1"
    ).index
    challenge(house)
    days = signal_days(32)
    leaves = [
        predict(
            house,
            Ask(model=digest, rows=[day.of(trade_signal.FEATURES)], caller=DESK, as_of=day.as_of),
        ).index
        for day in days
    ]
    score_shadows(house)
    observed = [
        Observed(f"{leaf}.0", f"{day.return_pct:.6f}", day.outcome_date, None, None)
        for leaf, day in zip(leaves, days, strict=True)
    ]
    record_outcomes(house, observed, caller=reporter(), idempotency_key=None, request_digest=None)
    issue_correctness(house, actor_id="house:scheduler")
    issue_comparison(house, actor_id="house:scheduler")
    deliver(house)
    (alarm,) = alarms(house.ledger)
    acknowledge(house, alarm.leaf, comment="looking at it", actor_id="risk-1")
    remark(house, alarm.leaf, comment="the limit was a typing error", actor_id="risk-2")
    sign_policy(
        house,
        digest=digest,
        terms=dataclasses.replace(TERMS, limit="0.40"),
        on_alarm="shadow",
        actor_id="risk-1",
        replaces=signed,
        reason="0.99 was meant to be 0.40",
        second_person="risk-2",
    )
    close(house, alarm.leaf, comment="see the new limit", actor_id="risk-1")
    resume(
        house, digest=digest, reason="see the new limit", actor_id="risk-1", second_person="risk-2"
    )
    raise_about_job(
        house, "drift", cause="job_failed", detail="job drift failed: DriftError", actor_id="s"
    )


def main(destination):
    hook = Hook()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "channels.toml"
        file.write_text(f'[desk]\nurl = "{hook.address}"\n', "utf-8")
        file.chmod(0o600)
        made = make_house(Path(scratch) / "house", models=(trade_signal.NAME,))
        house = assemble(made.settings.model_copy(update={"alert_channels": file}))
        build(house)
        export_house(house, Path(scratch) / "house" / "export")
        shutil.copytree(Path(scratch) / "house" / "export", destination / "export")
        shutil.copy(Path(scratch) / "house" / "log.vkey", destination / "log.vkey")
    hook.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
