"""How `export-0.2-rotated` was made: a log of 2020 whose keys are retired. Kept for the record.

Usage: PYTHONPATH=tests/support python tests/golden/build_rotated.py DIRECTORY
A golden bundle is never built again; a next format gets a directory of its own beside it.
"""

import itertools
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from houses import DESK, ORIGIN, packages, reporter, signal_days
from ledger.keys import Role, load_key
from ledger.record import Draft
from models.reference import trade_signal
from service import keys
from service.assembly import assemble, initialise
from service.exporting import export_house
from service.honesty import issue_honesty
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.sealing import seal
from service.settings import Settings

BEGIN = datetime(2020, 3, 2, 9, tzinfo=UTC)
SECURITY = keys.Act("security")


def clock_of_2020():
    """An hour later at every look: nothing in the log may depend on today."""
    hours = itertools.count()
    return lambda: BEGIN + timedelta(hours=next(hours))


def trade(house, days):
    """A prediction and its outcome for every day."""
    digest = house.inventory.resolve(trade_signal.NAME).digest
    for place, day in enumerate(days):
        rows = [day.of(trade_signal.FEATURES)] * (1 + place % 2)
        done = predict(house, Ask(model=digest, rows=rows, caller=DESK, as_of=day.as_of))
        observed = [
            Observed(f"{done.index}.0", f"{day.return_pct:.6f}", day.outcome_date, None, None)
        ]
        record_outcomes(
            house, observed, caller=reporter(), idempotency_key=None, request_digest=None
        )


def rotate(house, role):
    """A new key for a role; the house again as a restart opens it."""
    keys.rotate(house, role, holder="", uri=None, destroy=True, actor_id="security")
    return assemble(house.settings, house.clock)


def refuse(house, key):
    """An entry by another producer than the house itself."""
    data = {"cause": "NotApproved", "model_digest": None, "detail": "a test"}
    draft = Draft(type="refusal", actor_id="desk 2", data=data, event_time=house.now())
    house.ledger.append(draft, key)


def build(directory):
    """Producer, outcome source and operator replaced, the producer twice; a second one revoked."""
    settings = Settings(data_dir=directory, origin=ORIGIN, database_url="")
    house = initialise(settings, clock_of_2020())
    digest = publish_package(house, packages()[trade_signal.NAME], actor_id=DEVELOPER)
    put_to_work(house, digest, reason="a test", actor_id=VALIDATOR)
    days = signal_days(40)
    trade(house, days[:10])
    house = rotate(house, Role.PRODUCER)
    trade(house, days[10:20])
    seal(house, period="2020-03-03", actor_id="operations")
    path, _ = keys.add(house, Role.PRODUCER, "desk 2", SECURITY)
    second = load_key(path)
    refuse(house, second)
    house = rotate(house, Role.OPERATOR)
    trade(house, days[20:25])
    keys.revoke(house, second.key_id, "the laptop of desk 2 was stolen", SECURITY)
    house = rotate(rotate(house, Role.OUTCOME_SOURCE), Role.PRODUCER)
    trade(house, days[25:])
    issue_honesty(house, actor_id="auditor")
    seal(house, period="2020-03-10", actor_id="operations")
    return house


def main(destination):
    with tempfile.TemporaryDirectory() as scratch:
        house = build(Path(scratch) / "house")
        export_house(house, Path(scratch) / "export")
        shutil.copytree(Path(scratch) / "export", destination / "export")
        shutil.copy(Path(scratch) / "house" / "log.vkey", destination / "log.vkey")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
