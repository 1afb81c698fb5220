"""Another operator, with a house and keys of its own, who records what was never computed.

It holds every key of its house, so its signatures verify and its entries are included. What it
cannot do is make the approved model say what it recorded: replay shows the difference.

- `value-at-risk`: an unapproved model that has seen the years to come answers under the approved
  model's digest. The answers are good. They are not what was approved.
- `value-at-risk-baseline`: the right model runs, and half of the loss it forecasts is recorded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.keys import Role
from models.hub.manifest import Manifest
from models.reference import value_at_risk
from models.runtime import Output, load
from service.assembly import initialise
from service.auth import Identity, Scope
from service.clock import system_clock
from service.demo.history import FROZEN, HINDSIGHT, market_days
from service.demo.limits import LIMITS
from service.lifecycle import set_limit
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, Row, execute, record
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.hub.catalog import ModelRef
    from models.hub.publish import Package
    from models.reference.market import Day
    from models.runtime import Predictor
    from service.assembly import Assembly

FIRST_DAY: Final = "2008-01-01"
LAST_DAY: Final = "2008-12-31"
DESK: Final = Identity(key_id="0" * 16, actor_id="rogue-desk", scopes=frozenset({Scope.TRADER}))


def run_rogue_house(directory: Path, progress: Callable[[int, int], None]) -> Assembly:
    """Build the rogue house and record a year of its decisions; returns it for inspection."""
    house = initialise(Settings(data_dir=directory, origin="rogue.example/decisions"), system_clock)
    digest = house.environment_digest
    approved = value_at_risk.train(environment_digest=digest, until=FROZEN)
    baseline = value_at_risk.train_baseline(environment_digest=digest, until=FROZEN)
    lucky = _predictor(value_at_risk.train(environment_digest=digest, until=HINDSIGHT))
    refs = [_publish(house, package) for package in (approved, baseline)]
    days = market_days(FIRST_DAY, LAST_DAY)
    for done, day in enumerate(days, start=1):
        _record_day(house, day, lucky=lucky, approved=refs[0], baseline=refs[1])
        progress(done, len(days))
    return house


def _publish(house: Assembly, package: Package) -> ModelRef:
    digest = publish_package(house, package, actor_id=DEVELOPER)
    put_to_work(house, digest, reason="approved by the book", actor_id=VALIDATOR)
    for terms in LIMITS[package.manifest.name]:
        set_limit(house, digest=digest, terms=terms, actor_id=VALIDATOR)
    return house.inventory.resolve(digest)


def _predictor(package: Package) -> Predictor:
    manifest = Manifest.parse(package.manifest.to_bytes())
    return load(manifest, lambda digest: package.blobs[digest])


def _record_day(
    house: Assembly, day: Day, *, lucky: Predictor, approved: ModelRef, baseline: ModelRef
) -> None:
    """Two entries under approved digests, neither holding what the approved model said."""
    good = execute(lucky, [day.of(value_at_risk.FEATURES)])
    honest = execute(
        house.inventory.predictor(baseline.digest), [day.of(value_at_risk.BASELINE_FEATURES)]
    )
    drafts = []
    for ref, rows in ((approved, good), (baseline, [_halved(row) for row in honest])):
        ask = Ask(model=ref.digest, rows=[], caller=DESK, as_of=day.as_of)
        drafts.append((record(house, ask, ref, rows), house.signers[Role.PRODUCER]))
    appended = house.ledger.append_many(drafts)
    observed = [
        Observed(f"{done.index}.0", f"{day.return_pct:.6f}", day.outcome_date, None, None)
        for done in appended
    ]
    record_outcomes(house, observed, caller=DESK, idempotency_key=None, request_digest=None)


def _halved(row: Row) -> Row:
    values = {name: value // 2 for name, value in row.output.values.items()}
    return replace(row, output=Output(values=values, decision=row.output.decision))
