"""How `export-0.3-batch` was made: batches by columns of a tree model and a linear one, one erased.

Usage: PYTHONPATH=tests/support:. python tests/golden/build_batch.py DIRECTORY
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from houses import DESK, credit_rows, make_house, signal_days
from models.reference import trade_signal
from service.batch import BatchAsk, score
from service.erasure import Order, erase
from service.exporting import export_house
from service.predict import Ask, predict
from service.sealing import seal


def columns(rows):
    return {name: (np.asarray([row[name] for row in rows], float), None) for name in rows[0]}


def build(house):
    credit, days = credit_rows(60), signal_days(20)
    signals = [day.of(trade_signal.FEATURES) for day in days]
    score(house, BatchAsk("credit-default", columns(credit), DESK, as_of="2005-10-01"))
    score(house, BatchAsk(trade_signal.NAME, columns(signals), DESK))
    score(house, BatchAsk("credit-default", columns(credit[:1]), DESK))
    score(house, BatchAsk("credit-default", columns(credit[:7]), DESK, subject="sub_gone"))
    predict(house, Ask(model="credit-default", rows=credit[:2], caller=DESK))
    erase(house, "sub_gone", Order("request of 3 May", "GDPR Art. 17", "privacy-office"))
    seal(house, period="2026-11-24", actor_id="operations")


def main(destination):
    with tempfile.TemporaryDirectory() as scratch:
        house = make_house(Path(scratch) / "house")
        build(house)
        export_house(house, Path(scratch) / "house" / "export")
        shutil.copytree(Path(scratch) / "house" / "export", destination / "export")
        shutil.copy(Path(scratch) / "house" / "log.vkey", destination / "log.vkey")
        house.engine.dispose()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
