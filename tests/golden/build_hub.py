"""How `export-0.3-hub` was made: a user's model published, validated twice, promoted, withdrawn.

Usage: PYTHONPATH=tests/support:. python tests/golden/build_hub.py DIRECTORY
The model is a logistic regression of scikit-learn on a made-up table (tests/support/userfiles.py).
"""

import shutil
import sys
import tempfile
from pathlib import Path

from houses import DESK, make_house
from service import lifecycle
from service.exporting import export_house
from service.intake import Submission, submit
from service.predict import Ask, predict
from userfiles import CARD, csv_bytes, skops_bytes


def build(house, scratch):
    (scratch / "model.skops").write_bytes(skops_bytes("scaled-logistic"))
    (scratch / "train.csv").write_bytes(csv_bytes())
    (scratch / "card.md").write_text(CARD)
    files = (scratch / "model.skops", scratch / "card.md", scratch / "train.csv")
    digest = submit(house, Submission(*files, "dana", target="default", vendor="a vendor")).digest
    report = house.blobs.put(b"validation report, 1 page\n")
    said = {"digest": digest, "actor_id": "anna"}
    for conclusion in ("unsatisfactory", "conditions"):
        review = lifecycle.Review(conclusion, "high", "2031-01-31", report)
        lifecycle.validate(house, review=review, reason="MV-17", **said)
    lifecycle.approve(house, reason="MV-17", **said)
    lifecycle.promote(house, alias="shadow", reason="beside the other", **said)
    lifecycle.promote(house, alias="champion", reason="MV-17", **said)
    names = house.inventory.manifest(digest).feature_names
    for step in range(12):
        rows = [dict.fromkeys(names, step / 8 - 0.5)] * (1 + step % 3)
        predict(house, Ask(model=digest, rows=rows, caller=DESK))
    lifecycle.withdraw(house, reason="leaks the target", **said)


def main(destination):
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        house = make_house(scratch / "house", models=())
        build(house, scratch)
        export_house(house, scratch / "house" / "export")
        shutil.copytree(scratch / "house" / "export", destination / "export")
        shutil.copy(scratch / "house" / "log.vkey", destination / "log.vkey")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
