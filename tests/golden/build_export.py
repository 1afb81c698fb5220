"""How `export-0.1` was made. Kept for the record: a golden bundle is never built again.

Usage: PYTHONPATH=tests/support python tests/golden/build_export.py DIRECTORY
A next format gets a directory of its own beside it; the old one stays and must verify for ever.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from houses import DESK, make_house, reporter, signal_days
from ledger.keys import Role
from ledger.record import Draft, parse_entry
from models.reference import trade_signal
from service.correctness import issue_correctness
from service.exporting import export_house
from service.honesty import issue_honesty
from service.lifecycle import LimitTerms, set_limit, withdraw
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.sealing import seal

TERMS = LimitTerms("hit_rate", "0.45", "min", "0", "all", 30, "threshold")


def build(house):
    """Every entry type of the format but `drift`; more than one tile; many-row entries; a seal."""
    ref = house.inventory.resolve(trade_signal.NAME)
    set_limit(house, digest=ref.digest, terms=TERMS, actor_id="risk-committee")
    for place, day in enumerate(signal_days(90)):
        rows = [day.of(trade_signal.FEATURES)] * (1 + place % 3)
        done = predict(
            house,
            Ask(
                model=ref.digest,
                rows=rows,
                caller=DESK,
                as_of=day.as_of,
                caller_reference=f"order {place}" if place % 2 else None,
            ),
        )
        observed = [
            Observed(f"{done.index}.{row}", f"{day.return_pct:.6f}", day.outcome_date, None, None)
            for row in range(len(rows))
        ]
        record_outcomes(
            house, observed, caller=reporter(), idempotency_key=None, request_digest=None
        )
        if place % 30 == 29:
            seal(house, period=day.as_of, actor_id="operations")
    row, newest = first_outcome(house)
    record_outcomes(
        house,
        [Observed(row, "-0.5", "2007-02-01", newest, "the exchange corrected it")],
        caller=reporter(),
        idempotency_key=None,
        request_digest=None,
    )
    house.ledger.append(
        Draft(
            type="refusal",
            actor_id="house:producer",
            data={"cause": "DigestMismatch", "model_digest": ref.digest, "detail": "a test"},
            event_time=house.now(),
            ref=ref.digest,
        ),
        house.signers[Role.PRODUCER],
    )
    issue_correctness(house, actor_id="risk")
    issue_honesty(house, actor_id="auditor")
    withdraw(house, digest=ref.digest, reason="end of the golden run", actor_id="model-validation")


def first_outcome(house):
    """Row id and leaf of the first outcome."""
    stored = next(house.ledger.entries(type="outcome"))
    data = parse_entry(stored.entry).data
    return f"{data['prediction_leaf']}.{data['row_index']}", stored.index


def main(destination):
    with tempfile.TemporaryDirectory() as scratch:
        house = make_house(Path(scratch) / "house", models=(trade_signal.NAME,))
        build(house)
        export_house(house, Path(scratch) / "house" / "export")
        shutil.copytree(Path(scratch) / "house" / "export", destination / "export")
        shutil.copy(Path(scratch) / "house" / "log.vkey", destination / "log.vkey")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
