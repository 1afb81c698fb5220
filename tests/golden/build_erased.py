"""How `export-0.2-erased` was made: one person erased, one held, a seal time-stamped.

Usage: PYTHONPATH=tests/support:. python tests/golden/build_erased.py DIRECTORY
The time-stamp authority was a throw-away one (`openssl ts`); its certificate is beside the export.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from test_timestamps import Authority

from houses import DESK, make_house, reporter, signal_days
from models.reference import trade_signal
from service.erasure import Order, erase, lift_hold, place_hold
from service.exporting import export_house
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict
from service.sealing import seal
from service.timestamps import stamp


def build(house, authority):
    ref = house.inventory.resolve(trade_signal.NAME)
    for place, day in enumerate(signal_days(20)):
        subject = "sub_gone" if place % 4 == 0 else f"sub_{place}"
        row = [day.of(trade_signal.FEATURES)]
        done = predict(
            house,
            Ask(model=ref.digest, rows=row, caller=DESK, as_of=day.as_of, subject=subject),
        )
        observed = [
            Observed(f"{done.index}.0", f"{day.return_pct:.6f}", day.outcome_date, None, None)
        ]
        record_outcomes(
            house, observed, caller=reporter(), idempotency_key=None, request_digest=None
        )
    hold = place_hold(house, "sub_gone", Order("case 12", "court order 7", "legal"))
    lift_hold(house, hold, Order("case closed", "court order 9", "legal"))
    erase(house, "sub_gone", Order("request of 3 May", "GDPR Art. 17", "privacy-office"))
    place_hold(house, "sub_1", Order("case 13", "court order 8", "legal"))
    leaf = seal(house, period="2026-11-24", actor_id="operations").index
    stamp(house, leaf, url=authority.url, roots=authority.roots, actor_id="operations")


def main(destination):
    with tempfile.TemporaryDirectory() as scratch:
        authority = Authority(Path(scratch) / "tsa")
        house = make_house(Path(scratch) / "house", models=(trade_signal.NAME,))
        build(house, authority)
        export_house(house, Path(scratch) / "house" / "export")
        shutil.copytree(Path(scratch) / "house" / "export", destination / "export")
        shutil.copy(Path(scratch) / "house" / "log.vkey", destination / "log.vkey")
        shutil.copy(Path(scratch) / "tsa" / "ca.pem", destination / "tsa-ca.pem")
        authority.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
